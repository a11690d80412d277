// The cores of the array designs on all cores, on the host: the bits of the kernels whose state they keep,
// whatever the job before left in it, and the bias that start_tile would get.
#include <gtest/gtest.h>

#include <vector>

#include "kernels/aie2/aie2_kernels_test.hpp"

extern "C" {
void product_f32_bias(const bfloat16* rows, int row, float* c);
void product_f32_scale(int power, float* c);
void product_bf16_zero();
void product_bf16_bias(const bfloat16* rows, int row);
void product_bf16_add(const bfloat16* a, const bfloat16* b);
void product_bf16_add_nk(const bfloat16* a, const bfloat16* b);
void product_bf16_store(int power, bfloat16* out);
void attention_core_begin(const bfloat16* q);
void attention_core_update(const bfloat16* key, const bfloat16* value, int keys, int power);
void attention_core_finish(bfloat16* out);
}

namespace kernels::aie2_test {
namespace {

std::vector<std::uint16_t> bits(Halves& values) {
    std::vector<std::uint16_t> out;
    for (std::size_t i = 0; i < values.size(); ++i) {
        out.push_back(bits_of(values[i]));
    }
    return out;
}

std::vector<std::uint32_t> bits(Floats& values) {
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < values.size(); ++i) {
        out.push_back(std::bit_cast<std::uint32_t>(values[i]));
    }
    return out;
}

// Rows that take turns, as the shim reads them, in blocks 4x8 as the memory tile sends them.
std::vector<bfloat16> bias_rows(const std::vector<bfloat16>& even, const std::vector<bfloat16>& odd) {
    std::vector<bfloat16> blocks(tile_size);
    for (int i = 0; i < tile; ++i) {
        for (int j = 0; j < tile; ++j) {
            blocks[blocked<4, 8>(i, j)] = (i % 2 == 0 ? even : odd)[static_cast<std::size_t>(j)];
        }
    }
    return blocks;
}

TEST(WholeProduct, StartsAtEitherBiasOfATile) {
    const std::vector<bfloat16> values = normal_tile(1);
    const std::vector<bfloat16> even(values.begin(), values.begin() + tile);
    const std::vector<bfloat16> odd(values.begin() + tile, values.begin() + 2 * tile);
    Halves rows(bias_rows(even, odd));
    for (const int row : {0, 1}) {
        Halves bias(row == 0 ? even : odd);
        Floats expected(static_cast<std::size_t>(tile_size));
        start_tile(bias.data(), expected.data());
        Floats started(static_cast<std::size_t>(tile_size), not_a_number);
        product_f32_bias(rows.data(), row, started.data());
        EXPECT_EQ(bits(started), bits(expected)) << "row " << row;
        EXPECT_TRUE(started.intact());
        Halves stored(static_cast<std::size_t>(tile_size));
        Halves wanted(static_cast<std::size_t>(tile_size));
        product_bf16_bias(rows.data(), row);
        product_bf16_store(0, stored.data());
        store_tile_even(expected.data(), 1, wanted.data());
        EXPECT_EQ(bits(stored), bits(wanted)) << "row " << row;
        EXPECT_TRUE(stored.intact());
    }
}

TEST(WholeProduct, ScalesByThePower) {
    for (const int power : {-3, 0, 2}) {
        Floats scaled(normal_floats(3, tile_size));
        Floats expected(normal_floats(3, tile_size));
        product_f32_scale(power, scaled.data());
        scale_tile(expected.data(), std::ldexp(1.0F, power));
        EXPECT_EQ(bits(scaled), bits(expected)) << power;
    }
}

TEST(WholeProduct, KeepsTheSumOfOneJobApartFromTheNext) {
    for (unsigned seed = 10; seed < 14; ++seed) {
        const bool by_key = seed % 2 == 0;
        const int power = by_key ? 0 : -3;
        Halves a(normal_tile(seed));
        Halves b(normal_tile(seed + 100));
        Floats sums(static_cast<std::size_t>(tile_size));
        Halves stored(static_cast<std::size_t>(tile_size));
        Halves expected(static_cast<std::size_t>(tile_size));
        product_bf16_zero();
        for (int k = 0; k < 2; ++k) {
            (by_key ? product_bf16_add : product_bf16_add_nk)(a.data(), b.data());
            (by_key ? matmul_tile : matmul_tile_nk)(a.data(), b.data(), sums.data());
        }
        product_bf16_store(power, stored.data());
        store_tile_even(sums.data(), std::ldexp(1.0F, power), expected.data());
        EXPECT_EQ(bits(stored), bits(expected)) << seed;
    }
}

// Blocks one after the other, each with larger scores than the next, the first of NaN: what stayed of one
// would show.
TEST(WholeAttention, HasTheBitsOfItsKernelsForEveryRowBlock) {
    Halves invalid(static_cast<std::size_t>(tile_size), exactly(not_a_number));
    attention_core_begin(invalid.data());
    attention_core_update(invalid.data(), invalid.data(), tile, -3);
    unsigned seed = 20;
    for (const int last_keys : {1, 17, 64}) {
        for (const float deviation : {6.0F, 1.0F}) {
            Halves query(normal_tile(seed, deviation));
            Floats row_max(static_cast<std::size_t>(tile), -infinity);
            Floats row_sum(static_cast<std::size_t>(tile));
            Floats context(static_cast<std::size_t>(tile_size));
            Halves sent(normal_tile(seed, deviation));
            attention_core_begin(sent.data());
            std::fill_n(sent.data(), tile_size, exactly(0));  // the fifo's buffer goes on to keys
            for (unsigned t = 0; t < 3; ++t) {
                Halves key(normal_tile(seed + t + 1));
                Halves value(normal_tile(seed + t + 50));
                const int keys = t < 2 ? tile : last_keys;
                attention_core_update(key.data(), value.data(), keys, -3);
                attention_update(query.data(), key.data(), value.data(), keys, 0.125F, row_max.data(),
                                 row_sum.data(), context.data());
            }
            Halves out(static_cast<std::size_t>(tile_size));
            Halves expected(static_cast<std::size_t>(tile_size));
            attention_core_finish(out.data());
            attention_finish_even(context.data(), row_sum.data(), expected.data());
            EXPECT_EQ(bits(out), bits(expected)) << last_keys << " keys, deviation " << deviation;
            EXPECT_TRUE(out.intact());
            seed += 7;
        }
    }
}

}  // namespace
}  // namespace kernels::aie2_test
