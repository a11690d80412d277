// start, multiply and finish on every vector target of this CPU: bit for bit against the scalar model,
// exactly against integer arithmetic, and nothing written outside the tile.
#include "kernels/tile_kernels.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>

#include "kernels/tile_model_test.hpp"

namespace kernels {
namespace {

using model::all_stores;
using model::at;
using model::Bits;
using model::both_layouts;
using model::draw_tile;
using model::equal_tiles;
using model::Floats;
using model::Guarded;
using model::infinity;
using model::normal_tile;
using model::not_a_number;
using model::to_float;

using TileKernels = model::EveryTarget;
INSTANTIATE_TEST_SUITE_P(Targets, TileKernels, testing::ValuesIn(model::targets_of_this_cpu()),
                         model::target_name);

struct Operands {
    const char* what;
    Bits left, right;
    Floats acc;
};

// Magnitudes 2^-50 ... 2^50, so that almost every addition rounds or cancels; no product leaves fp32's range.
Bits mixed_magnitudes(unsigned seed) {
    std::mt19937 engine(seed);
    std::uniform_int_distribution<int> exponent(-50, 50);
    std::normal_distribution<float> normal;
    return draw_tile([&] { return std::ldexp(normal(engine), exponent(engine)); });
}

// Each k is followed by its negative times 1 + 2^-7: sums cancel to their last bits.
Bits cancelling(unsigned seed) {
    Bits bits = normal_tile(seed);
    for (std::size_t i = 0; i + 1 < bits.size(); i += 2) {
        bits[i + 1] = static_cast<std::uint16_t>((bits[i] ^ 0x8000) + 1);
    }
    return bits;
}

Bits with_specials(unsigned seed) {
    Bits bits = normal_tile(seed);
    bits[at(3, 5)] = 0x7F80;                               // +infinity
    bits[at(7, 9)] = 0xFF80;                               // -infinity
    bits[at(11, 13)] = 0x7FC0;                             // NaN
    bits[at(20, 5)] = bits[at(20, 6)] = 0x7F80;            // infinity twice
    bits[at(21, 5)] = 0x7F80, bits[at(21, 6)] = 0xFF80;    // infinity minus infinity
    bits[at(30, 30)] = 0x8000, bits[at(31, 31)] = 0x0000;  // zeros of both signs
    return bits;
}

std::vector<Operands> operand_cases() {
    std::mt19937 engine(17);
    std::normal_distribution<float> normal;
    Floats random_acc(tile * tile);
    for (float& value : random_acc) {
        value = normal(engine);
    }
    const Floats zero(tile * tile, 0.0F);
    const Bits ones(tile * tile, 0x3F80);
    return {{"random", normal_tile(1), normal_tile(2), random_acc},
            {"mixed magnitudes", mixed_magnitudes(3), mixed_magnitudes(4), random_acc},
            {"cancelling", cancelling(5), ones, zero},
            {"small after large", mixed_magnitudes(6), normal_tile(7), Floats(tile * tile, 1e30F)},
            {"infinities and NaN", with_specials(8), with_specials(9), random_acc}};
}

TEST_P(TileKernels, MultiplyEqualsTheModelBitForBit) {
    for (const Operands& operands : operand_cases()) {
        for (const Right layout : both_layouts) {
            Guarded<float> acc(operands.acc);
            Floats expected = operands.acc;
            kernels().multiply(operands.left.data(), operands.right.data(), layout, acc.data());
            model::multiply(operands.left.data(), operands.right.data(), layout, tile, expected.data());
            EXPECT_TRUE(equal_tiles(acc.data(), expected.data(), expected.size()))
                << operands.what << ", layout " << static_cast<int>(layout);
            EXPECT_TRUE(acc.intact()) << operands.what;
        }
    }
}

// The order is ascending k: in any other, or with wider accumulation, these sums differ.
TEST_P(TileKernels, MultiplyAddsInAscendingOrder) {
    Bits left(tile * tile, 0x3F80);  // 1
    Bits right(tile * tile, 0);
    for (int j = 0; j < tile; ++j) {
        right[at(0, j)] = 0x4B80;               // 2^24
        right[at(1, j)] = 0x3F80;               // lost: 2^24 + 1 rounds to 2^24
        right[at(2, j)] = 0xCB80;               // -2^24
        right[at(3, j)] = j == 7 ? 0 : 0x4000;  // 2
    }
    Guarded<float> acc(Floats(tile * tile, 0.0F));
    kernels().multiply(left.data(), right.data(), Right::k_by_n, acc.data());
    EXPECT_EQ(acc.data()[at(5, 3)], 2.0F);
    EXPECT_EQ(acc.data()[at(5, 7)], 0.0F);
}

// Independent of floating point: integers below 2^24 have exact sums.
TEST_P(TileKernels, MultiplyIsExactOnIntegers) {
    std::mt19937 engine(23);
    std::uniform_int_distribution<int> integer(-127, 127);
    const auto draw = [&] { return static_cast<float>(integer(engine)); };
    const Bits left = draw_tile(draw);
    const Bits right = draw_tile(draw);
    for (const Right layout : both_layouts) {
        Guarded<float> acc(Floats(tile * tile, 0.0F));
        kernels().start(nullptr, acc.data());
        for (int repeat = 1; repeat <= 3; ++repeat) {
            kernels().multiply(left.data(), right.data(), layout, acc.data());
            for (int i = 0; i < tile; ++i) {
                for (int j = 0; j < tile; ++j) {
                    std::int64_t sum = 0;
                    for (int k = 0; k < tile; ++k) {
                        sum += static_cast<std::int64_t>(to_float(left[at(i, k)])) *
                               static_cast<std::int64_t>(model::right_at(right.data(), layout, k, j));
                    }
                    ASSERT_EQ(static_cast<std::int64_t>(acc.data()[at(i, j)]), repeat * sum);
                }
            }
        }
    }
}

// One-hot rows pick rows of the right operand.
TEST_P(TileKernels, MultiplyByAPermutationPicksRows) {
    Bits left(tile * tile, 0);
    for (int i = 0; i < tile; ++i) {
        left[at(i, (i * 37 + 5) % tile)] = 0x3F80;
    }
    const Bits right = normal_tile(31);
    for (const Right layout : both_layouts) {
        Guarded<float> acc(Floats(tile * tile, 0.0F));
        kernels().multiply(left.data(), right.data(), layout, acc.data());
        for (int i = 0; i < tile; ++i) {
            for (int j = 0; j < tile; ++j) {
                ASSERT_EQ(acc.data()[at(i, j)],
                          model::right_at(right.data(), layout, (i * 37 + 5) % tile, j));
            }
        }
    }
}

TEST_P(TileKernels, StartBroadcastsTheBias) {
    const Bits bias = with_specials(41);
    Guarded<float> acc(tile * tile);
    kernels().start(bias.data(), acc.data());
    for (int i = 0; i < tile; ++i) {
        for (int j = 0; j < tile; ++j) {
            ASSERT_TRUE(model::same(acc.data()[at(i, j)], to_float(bias[at(0, j)])));
        }
    }
    EXPECT_TRUE(acc.intact());
    kernels().start(nullptr, acc.data());
    const Floats zero(tile * tile, 0.0F);
    EXPECT_TRUE(equal_tiles(acc.data(), zero.data(), zero.size()));
    EXPECT_TRUE(acc.intact());
}

// Values at, beside and halfway between bf16, of both signs, denormal, huge and not finite.
Floats rounding_cases() {
    std::vector<std::uint32_t> bits;
    for (const std::uint32_t upper :
         {0x0000U, 0x0001U, 0x007FU, 0x0080U, 0x3F80U, 0x3F81U, 0x42FEU, 0x7F7FU}) {
        for (const std::uint32_t lower : {0x0000U, 0x0001U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
            bits.push_back((upper << 16) | lower);
            bits.push_back((upper << 16) | lower | 0x80000000U);
        }
    }
    for (const std::uint32_t special :
         {0x7F800000U, 0xFF800000U, 0x7FC00000U, 0xFFC00000U, 0x7F800001U, 0xFFFFFFFFU}) {
        bits.push_back(special);
    }
    std::mt19937 engine(43);
    std::uniform_int_distribution<std::uint32_t> any;
    Floats values(tile * tile);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = std::bit_cast<float>(i < bits.size() ? bits[i] : any(engine));
    }
    return values;
}

TEST_P(TileKernels, FinishStoresEveryRounding) {
    const Floats values = rounding_cases();
    for (const Store store : all_stores) {
        for (const float scale : {1.0F, 0.125F, 4.0F}) {
            Guarded<float> as_float(tile * tile);
            Guarded<std::uint16_t> as_bf16(tile * tile);
            const bool wide = store == Store::f32;
            void* out = wide ? static_cast<void*>(as_float.data()) : as_bf16.data();
            kernels().finish(values.data(), scale, store, out);
            Floats expected(values.size());
            Bits expected_bits(values.size());
            for (std::size_t i = 0; i < values.size(); ++i) {
                expected[i] = values[i] * scale;
                expected_bits[i] = model::to_bf16(expected[i], store);
            }
            EXPECT_TRUE(wide ? equal_tiles(as_float.data(), expected.data(), expected.size())
                             : equal_tiles(as_bf16.data(), expected_bits.data(), expected_bits.size()))
                << "store " << static_cast<int>(store) << ", scale " << scale;
            EXPECT_TRUE(as_float.intact());
            EXPECT_TRUE(as_bf16.intact());
        }
    }
}

TEST(TileKernelTable, ChoosesTheBestTargetOfThisCpu) {
    const std::int64_t best = model::targets_of_this_cpu().front();
    EXPECT_STREQ(tile_kernels().target, hwy::TargetName(best));
    EXPECT_EQ(&tile_kernels(), &tile_kernels());
}

}  // namespace
}  // namespace kernels
