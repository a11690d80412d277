#include "kernels/kernel_module.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "kernels/tile_model_test.hpp"

namespace kernels {
namespace {

using model::Bits;
using model::Floats;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::size_t elements = std::size_t{tile} * tile;

Bits random_tile(unsigned seed, float spread) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, spread);
    Bits bits(elements);
    std::ranges::generate(bits, [&] { return model::to_bf16(normal(random), Store::bf16_nearest_even); });
    return bits;
}

Bits integer_tile(unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> integer(-8, 8);
    Bits bits(elements);
    std::ranges::generate(
        bits, [&] { return model::to_bf16(static_cast<float>(integer(random)), Store::bf16_nearest_even); });
    return bits;
}

// The modules that this CPU can run, loaded once.
const std::vector<KernelModule>& modules() {
    static const std::vector<KernelModule> all = [] {
        std::vector<KernelModule> list;
        for (const std::string_view level : x86_64_levels()) {
            list.emplace_back(module_file(level));
        }
        return list;
    }();
    return all;
}

struct Results {
    Floats products, context;
    Bits stored, rerounded, probabilities, attention;
    Floats row_sum;

    bool operator==(const Results&) const = default;
};

Results run(const KernelTable& table) {
    const Bits left = random_tile(1, 1.5F);
    const Bits right = random_tile(2, 1.5F);
    const Bits value = random_tile(3, 1.0F);
    Results out{Floats(elements),
                Floats(elements),
                Bits(elements),
                Bits(elements),
                Bits(elements),
                Bits(elements),
                {}};
    table.reset();
    table.start(left.data(), out.products.data());
    table.multiply(left.data(), right.data(), Right::n_by_k, out.products.data());
    table.multiply(left.data(), right.data(), Right::k_by_n, out.products.data());
    table.finish(out.products.data(), 0.125F, Store::bf16_floor, out.stored.data());
    table.multiply_stored(left.data(), right.data(), Right::k_by_n, Store::bf16_nearest_even,
                          out.rerounded.data());
    model::State state;
    table.softmax_update(out.products.data(), 50, {state.row_max.data(), state.row_sum.data()});
    table.softmax_finish(out.products.data(), 50, {state.row_max.data(), state.row_sum.data()},
                         Store::bf16_nearest_even, out.probabilities.data());
    out.row_sum = state.row_sum;
    model::State fused;
    const AttentionState attention{{fused.row_max.data(), fused.row_sum.data()}, fused.context.data()};
    table.attention_update(left.data(), right.data(), value.data(), tile, 0.125F, attention);
    table.attention_update(right.data(), left.data(), value.data(), 17, 0.125F, attention);
    out.context = fused.context;
    table.attention_finish(attention, Store::bf16_floor, out.attention.data());
    return out;
}

TEST(KernelModule, EveryLevelComputesTheSameBits) {
    ASSERT_FALSE(modules().empty());
    const Results expected = run(modules().front().table());
    EXPECT_FALSE(std::ranges::all_of(expected.attention, [](std::uint16_t bits) { return bits == 0; }));
    for (const KernelModule& module : modules()) {
        EXPECT_EQ(run(module.table()), expected) << module.table().target;
    }
}

// On integers every order of summation is exact, so the data layout alone decides.
TEST(KernelModule, AgreesWithTheRowMajorKernelsOnIntegers) {
    const Bits left = integer_tile(5);
    const Bits right = integer_tile(6);
    const Bits bias = integer_tile(7);
    const KernelTable exact = aie2_module().table();
    const KernelTable& plain = tile_kernels();
    for (const Right layout : model::both_layouts) {
        Floats got(elements);
        Floats expected(elements);
        exact.start(bias.data(), got.data());
        plain.start(bias.data(), expected.data());
        exact.multiply(left.data(), right.data(), layout, got.data());
        plain.multiply(left.data(), right.data(), layout, expected.data());
        EXPECT_TRUE(model::equal_tiles(got.data(), expected.data(), elements));
        for (const Store store : {Store::bf16_nearest_even, Store::bf16_floor}) {
            Bits got_bits(elements);
            Bits expected_bits(elements);
            exact.finish(got.data(), 0.125F, store, got_bits.data());
            plain.finish(expected.data(), 0.125F, store, expected_bits.data());
            EXPECT_TRUE(model::equal_tiles(got_bits.data(), expected_bits.data(), elements));
            exact.multiply_stored(left.data(), right.data(), layout, store, got_bits.data());
            plain.multiply_stored(left.data(), right.data(), layout, store, expected_bits.data());
            EXPECT_TRUE(model::equal_tiles(got_bits.data(), expected_bits.data(), elements));
        }
    }
}

TEST(KernelModule, FinishesInPlaceAsFloats) {
    Floats acc(elements);
    std::ranges::generate(acc, [value = 0.0F]() mutable { return value += 0.25F; });
    Floats expected = acc;
    std::ranges::for_each(expected, [](float& value) { value *= 0.125F; });
    aie2_module().table().finish(acc.data(), 0.125F, Store::f32, acc.data());
    EXPECT_EQ(acc, expected);
}

TEST(KernelModule, RefusesStoresThatTheKernelsDoNotHave) {
    const KernelTable table = aie2_module().table();
    Floats acc(elements, 1.0F);
    Bits out(elements);
    EXPECT_THROW(table.finish(acc.data(), 1.0F, Store::bf16_toward_zero, out.data()), std::invalid_argument);
    model::State state;
    EXPECT_THROW(table.attention_finish({{state.row_max.data(), state.row_sum.data()}, acc.data()},
                                        Store::f32, acc.data()),
                 std::invalid_argument);
}

TEST(KernelModule, NamesFileAndFunctionOfWhatItCannotLoad) {
    EXPECT_THAT([] { KernelModule("no-such-module.so"); },
                ThrowsMessage<ModuleError>(HasSubstr("no-such-module.so")));
    KernelModule module(module_file(x86_64_levels().front()));
    const std::string file = module_file(x86_64_levels().back());
    EXPECT_THAT([&] { module.replace("matmul_tile", file, "my_matmul"); },
                ThrowsMessage<ModuleError>(HasSubstr("there is no function my_matmul")));
    EXPECT_THAT([&] { module.replace("matmul", file, "matmul_tile"); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("no kernel is called matmul")));
}

// A replaced matmul_tile serves both layouts; here it is the same kernel of another level, so bits stay.
TEST(KernelModule, TakesOneKernelFromAnotherModule) {
    KernelModule module(module_file(x86_64_levels().front()));
    const Results expected = run(module.table());
    module.replace("matmul_tile", module_file(x86_64_levels().back()), "matmul_tile");
    EXPECT_EQ(run(module.table()), expected);
    module.replace("softmax_update", module_file(x86_64_levels().back()), "softmax_update");
    EXPECT_EQ(run(module.table()), expected);
}

}  // namespace
}  // namespace kernels
