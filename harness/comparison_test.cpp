#include "harness/comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "harness/row_comparison.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rounding;
using datasets::Rows;

// A whole tensor of an op with one head or none, compared block by block.
struct Tensor {
    datasets::LayerShape shape;
    Op op;
    std::vector<float> got, golden;
    double bound = 0.1;
    std::optional<Rounding> store{};
    double before_store = 0;  // relative error before the store; the bound where `store` is there

    [[nodiscard]] std::int64_t columns() const { return datasets::row_width(op, shape); }

    [[nodiscard]] OpStatistics compare(bool backwards = false) const {
        Comparison comparison(op, shape, -1);
        std::vector<std::pair<int, std::int64_t>> blocks;
        const int heads = datasets::has_heads(op) ? shape.heads : 1;
        for (int head = 0; head < heads; ++head) {
            for (std::int64_t b = 0; b < shape.blocks(); ++b) {
                blocks.emplace_back(head, b);
            }
        }
        if (backwards) {
            std::ranges::reverse(blocks);
        }
        for (const auto& [head, b] : blocks) {
            const Rows rows{datasets::has_heads(op) ? head : -1, b * 64,
                            std::min<std::int64_t>(64, shape.context - b * 64)};
            const auto offset = std::size_t((head * shape.context + rows.begin) * columns());
            const auto count = std::size_t(rows.count * columns());
            Bounded expected{rows.count, columns(), {}, std::vector<double>(count, bound), store};
            expected.value.assign(golden.begin() + std::ptrdiff_t(offset),
                                  golden.begin() + std::ptrdiff_t(offset + count));
            for (std::size_t i = 0; store && i < count; ++i) {
                const double unit = datasets::bf16_unit(*store);
                expected.bound[i] = (unit + (1 + unit) * before_store) * std::abs(expected.value[i]);
            }
            comparison.add(rows, {got.data() + offset, rows.count, columns(), columns()}, expected,
                           std::span(golden).subspan(offset, count));
        }
        return comparison.finish();
    }
};

Tensor random_tensor(std::int64_t context, int heads, Op op, unsigned seed) {
    Tensor t{{context, heads}, op, {}, {}};
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto count =
        std::size_t(context * t.columns()) * (datasets::has_heads(op) ? std::size_t(heads) : 1U);
    t.golden.resize(count);
    t.got.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        t.golden[i] = normal(random) + 3.0F;
        t.got[i] = t.golden[i] + 0.01F * normal(random);
    }
    return t;
}

TEST(Comparison, MatchIsTheCentredShareOfTheEnergy) {
    const Tensor t = random_tensor(130, 1, Op::output, 1);
    const OpStatistics s = t.compare();
    double error = 0;
    double centred = 0;
    double energy = 0;
    for (std::int64_t c = 0; c < t.columns(); ++c) {
        double mean = 0;
        for (std::int64_t r = 0; r < 130; ++r) {
            mean += double{t.golden[std::size_t(r * t.columns() + c)]} / 130;
        }
        for (std::int64_t r = 0; r < 130; ++r) {
            const double b{t.golden[std::size_t(r * t.columns() + c)]};
            error += std::pow(double{t.got[std::size_t(r * t.columns() + c)]} - b, 2);
            centred += (b - mean) * (b - mean);
            energy += b * b;
        }
    }
    EXPECT_NEAR(s.match_percent, 100 * (1 - error / centred), 1e-9);
    EXPECT_NEAR(s.centred_energy, centred / energy, 1e-12);
    EXPECT_NEAR(s.relative_error, std::sqrt(error / energy), 1e-12);
    EXPECT_EQ(s.elements, 130 * 64);
    EXPECT_EQ(s.outside, 0);
    EXPECT_FALSE(s.damage.has_value());
}

TEST(Comparison, DoesNotDependOnTheOrderOfTheBlocks) {
    const Tensor t = random_tensor(200, 3, Op::probabilities, 2);
    const OpStatistics a = t.compare(false);
    const OpStatistics b = t.compare(true);
    EXPECT_EQ(a.match_percent, b.match_percent);
    EXPECT_EQ(a.cosine, b.cosine);
    EXPECT_EQ(a.relative_error, b.relative_error);
    EXPECT_EQ(a.worst_row, b.worst_row);
    EXPECT_EQ(a.rho, b.rho);
}

TEST(Comparison, EqualTensorsMatchEntirely) {
    Tensor t = random_tensor(65, 2, Op::context, 3);
    t.got = t.golden;
    const OpStatistics s = t.compare();
    EXPECT_EQ(s.match_percent, 100);
    EXPECT_EQ(s.rho, 0);
    EXPECT_EQ(s.worst_row, 0);
    EXPECT_EQ(s.worst_tile, 0);
    EXPECT_NEAR(s.cosine, 1, 1e-12);
}

TEST(Comparison, NotANumberIsOutsideEveryBound) {
    Tensor t = random_tensor(65, 1, Op::context, 4);
    t.bound = 1e30;
    t.got[70] = std::numeric_limits<float>::quiet_NaN();
    t.got[71] = std::bit_cast<float>(0x7FC07FC0U);
    t.got[72] = -std::numeric_limits<float>::infinity();
    const OpStatistics s = t.compare();
    EXPECT_EQ(s.nonfinite, 3);
    EXPECT_GE(s.poisoned, 1);
    EXPECT_EQ(s.outside, 3);
    EXPECT_TRUE(std::isinf(s.rho));
    EXPECT_TRUE(std::isnan(s.match_percent));
    EXPECT_FALSE(std::isfinite(s.worst_row));
    EXPECT_FALSE(std::isfinite(s.worst_tile));
    ASSERT_TRUE(s.damage);
    EXPECT_EQ(s.damage->first.row, 1);
    EXPECT_EQ(s.damage->first.column, 6);
}

TEST(Comparison, AnInfiniteBoundProvesNothing) {
    Tensor t = random_tensor(10, 1, Op::context, 5);
    t.bound = std::numeric_limits<double>::infinity();
    EXPECT_EQ(t.compare().outside, 10 * 64);
}

TEST(Comparison, FindsTheDamage) {
    Tensor t = random_tensor(300, 4, Op::context, 6);
    for (std::int64_t row = 130; row < 140; ++row) {
        t.got[std::size_t((2 * 300 + row) * 64 + 17)] += row == 135 ? 5.0F : 1.0F;
    }
    t.got[std::size_t((3 * 300 + 5) * 64 + 1)] += 1.0F;
    const OpStatistics s = t.compare();
    ASSERT_TRUE(s.damage);
    EXPECT_THAT(s.damage->heads, testing::ElementsAre(2, 3));
    EXPECT_EQ(s.damage->blocks, 2);
    EXPECT_EQ(s.damage->worst.head, 2);
    EXPECT_EQ(s.damage->worst.row, 135);
    EXPECT_EQ(s.damage->worst.column, 17);
    EXPECT_EQ(s.damage->row_begin, 130);
    EXPECT_EQ(s.damage->row_end, 139);
    EXPECT_EQ(s.outside, 11);
    EXPECT_EQ(s.worst_row_head, 2);
    EXPECT_EQ(s.worst_row_index, 135);
    EXPECT_EQ(s.worst_tile_head, 2);
    EXPECT_EQ(s.worst_tile_row, 2);
}

class ComparisonOfStores : public testing::TestWithParam<Rounding> {};

// What is stored may err by `before` and is then rounded.
Tensor stored_tensor(Rounding rounding, double before, unsigned seed) {
    Tensor t = random_tensor(64, 1, Op::context, seed);
    t.store = rounding;
    t.before_store = before + 0x1p-24;  // of fp32
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> share(-1, 1);
    for (std::size_t i = 0; i < t.got.size(); ++i) {
        t.golden[i] = i % 2 == 0 ? t.golden[i] : -t.golden[i];
        t.got[i] =
            datasets::round_to_bf16(float(double{t.golden[i]} * (1 + before * share(random))), rounding);
    }
    return t;
}

// The error before the store grows until it hides every rounding: at no size a store as declared is blamed.
TEST_P(ComparisonOfStores, TheDeclaredRoundingIsNeverBlamed) {
    for (double before = 0x1p-24; before < 1; before *= 2) {
        const OpStatistics s = stored_tensor(GetParam(), before, 7).compare();
        EXPECT_EQ(s.misrounded, 0) << before;
        EXPECT_EQ(s.outside, 0) << before;
        EXPECT_FALSE(s.damage) << before;
    }
}

// Values that bf16 all but holds, where the sign of an error says nothing of the rounding.
TEST_P(ComparisonOfStores, OfWhatAllButNeedsNoRoundingIsNotBlamed) {
    Tensor t = stored_tensor(GetParam(), 0x1p-20, 11);
    for (std::size_t i = 0; i < t.got.size(); ++i) {
        t.got[i] = datasets::round_to_bf16(t.golden[i], GetParam());
        t.golden[i] = t.got[i] * (i % 2 == 0 ? 1 + 0x1p-21F : 1 - 0x1p-21F);
    }
    EXPECT_EQ(t.compare().misrounded, 0);
}

TEST_P(ComparisonOfStores, AnyOtherRoundingIsFoundEvenOfOneElement) {
    for (const Rounding other : {Rounding::nearest_even, Rounding::toward_zero, Rounding::floor}) {
        if (other == GetParam()) {
            continue;
        }
        Tensor t = stored_tensor(other, 0x1p-20, 13);
        t.store = GetParam();
        const OpStatistics all = t.compare();
        EXPECT_GT(all.misrounded + all.outside, std::int64_t(t.got.size() * 2 / 5));
        ASSERT_TRUE(all.damage);
        Tensor one = stored_tensor(GetParam(), 0, 13);
        one.before_store = 0x1p-20;
        const auto differs = std::ranges::mismatch(one.got, t.got).in1 - one.got.begin();
        one.got[std::size_t(differs)] = t.got[std::size_t(differs)];
        const OpStatistics s = one.compare();
        EXPECT_EQ(s.misrounded + s.outside, 1);
        ASSERT_TRUE(s.damage);
        EXPECT_EQ(s.damage->first.row, differs / 64);
        EXPECT_EQ(s.damage->worst.column, differs % 64);
        EXPECT_EQ(s.damage->row_end, differs / 64);
    }
}

TEST_P(ComparisonOfStores, VectorsAgreeWithTheScalarRule) {
    std::mt19937_64 random(17);
    std::uniform_real_distribution<double> exponent(-150, 20);
    std::uniform_real_distribution<double> share(-1.5, 1.5);
    std::array<float, 13> got{}, golden{};
    std::array<double, 13> expected{}, bound{}, sums{};
    int refused = 0;
    for (int trial = 0; trial < 20000; ++trial) {
        bool allowed = true;
        for (std::size_t i = 0; i < got.size(); ++i) {
            const double size = std::exp2(exponent(random));
            expected[i] = size * share(random);
            const double before = size * std::exp2(-5 - 20 * std::abs(share(random)));
            bound[i] = datasets::bf16_unit(GetParam()) * std::abs(expected[i]) + before;
            got[i] = datasets::round_to_bf16(float(expected[i] + 1.05 * before * share(random)), GetParam());
            allowed = allowed && std::abs(double{got[i]} - expected[i]) <= bound[i] &&
                      store_range(expected[i], bound[i], GetParam()).allows(got[i]);
        }
        refused += allowed ? 0 : 1;
        ASSERT_EQ(compare_tile(got, expected, bound, GetParam(), golden, sums).inside, allowed);
    }
    EXPECT_GT(refused, 1000);
    EXPECT_LT(refused, 19000);
}

INSTANTIATE_TEST_SUITE_P(Roundings, ComparisonOfStores,
                         testing::Values(Rounding::nearest_even, Rounding::toward_zero, Rounding::floor),
                         [](const auto& rounding) { return std::string(datasets::name(rounding.param)); });

// Of every width up to a tile: whole vectors and what is left of them. A tile with an element outside adds
// nothing.
TEST(Comparison, AddsEveryGoldenOfATileToItsColumn) {
    for (std::size_t width = 1; width <= 64; ++width) {
        std::vector<float> golden(width);
        std::vector<double> sums(width);
        std::vector<double> wanted(width);
        for (std::size_t j = 0; j < width; ++j) {
            golden[j] = static_cast<float>(j) + 0.5F;
            sums[j] = 100 * static_cast<double>(j);
            wanted[j] = sums[j] + double{golden[j]};
        }
        const std::vector<double> expected(golden.begin(), golden.end());
        const std::vector<double> bound(width, 0.1);
        ASSERT_TRUE(compare_tile(golden, expected, bound, {}, golden, sums).inside);
        ASSERT_EQ(sums, wanted) << width;
        std::vector<float> got = golden;
        got.back() += 1;
        ASSERT_FALSE(compare_tile(got, expected, bound, {}, golden, sums).inside);
        ASSERT_EQ(sums, wanted) << width;
    }
}

TEST(Comparison, CountsWhatTheDeclaredStoreCannotHold) {
    const Rows rows{-1, 0, 2};
    const std::vector<float> got{
        1, 1 + 0x1p-7F, 1 + 0x1p-8F, std::nextafter(1.0F, 2.0F), std::numeric_limits<float>::quiet_NaN(), 0};
    const std::vector<float> golden(got.size(), 1.0F);
    Bounded expected{2, 3, std::vector<double>(got.size(), 1), std::vector<double>(got.size(), 9), {}};
    for (const auto& [store, count] : {std::pair{datasets::DType::bf16, 2}, {datasets::DType::f32, 0}}) {
        Comparison comparison(Op::attention_norm, {2, 1}, -1, store);
        comparison.add(rows, {got.data(), 2, 3, 3}, expected, golden);
        EXPECT_EQ(comparison.finish().unrepresentable, count);
    }
}

TEST(Comparison, HoldsTheSumOfARowToItsBound) {
    constexpr std::int64_t context = 70;
    std::vector<float> got(std::size_t(2 * context * context), 1.0F / context);
    got[std::size_t(context * (context + 66) + 69)] += 0.03F;  // row 66 of head 1
    got[std::size_t(context * 3)] += 0.004F;                   // row 3 of head 0
    Comparison comparison(Op::probabilities, {context, 2}, -1);
    for (const int head : {0, 1}) {
        for (const Rows rows : {Rows{head, 0, 64}, Rows{head, 64, 6}}) {
            const auto elements = std::size_t(rows.count * context);
            Bounded expected{rows.count,
                             context,
                             std::vector<double>(elements, 1.0 / context),
                             std::vector<double>(elements, 1),
                             {},
                             std::vector<double>(std::size_t(rows.count), 0.01)};
            const std::vector<float> golden(elements, 1.0F / context);
            comparison.add(
                rows, {got.data() + (head * context + rows.begin) * context, rows.count, context, context},
                expected, golden);
        }
    }
    const OpStatistics found = comparison.finish();
    ASSERT_TRUE(found.row_sum);
    EXPECT_NEAR(*found.row_sum, 3, 1e-3);
    EXPECT_EQ(found.row_sums_outside, 1);
    EXPECT_EQ(found.row_sum_head, 1);
    EXPECT_EQ(found.row_sum_row, 66);
    EXPECT_EQ(found.outside, 0);
}

TEST(Comparison, MissingAndRepeatedBlocksAreCounted) {
    Comparison comparison(Op::output, {130, 1}, -1);
    const std::vector<float> block(64 * 64, 1.0F);
    const Bounded expected{64, 64, std::vector<double>(block.size(), 1.0),
                           std::vector<double>(block.size(), 0.1)};
    comparison.add({-1, 0, 64}, {block.data(), 64, 64, 64}, expected, block);
    comparison.add({-1, 0, 64}, {block.data(), 64, 64, 64}, expected, block);
    const OpStatistics s = comparison.finish();
    EXPECT_EQ(s.blocks_expected, 3);
    EXPECT_EQ(s.blocks_seen, 1);
    EXPECT_EQ(s.blocks_repeated, 1);
}

TEST(Comparison, RefusesBlocksThatAreNone) {
    Comparison comparison(Op::context, {130, 2}, -1);
    const std::vector<float> block(64 * 64);
    const Bounded expected{64, 64, std::vector<double>(block.size()), std::vector<double>(block.size())};
    for (const Rows rows :
         {Rows{2, 0, 64}, Rows{0, 1, 64}, Rows{0, 192, 64}, Rows{0, 128, 64}, Rows{-1, 0, 64}}) {
        EXPECT_THROW(comparison.add(rows, {block.data(), 64, 64, 64}, expected, block), std::logic_error);
    }
}

}  // namespace
}  // namespace harness
