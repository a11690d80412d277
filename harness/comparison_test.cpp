#include "harness/comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;

// A whole tensor of an op with one head or none, compared block by block.
struct Tensor {
    datasets::LayerShape shape;
    Op op;
    std::vector<float> got, golden;
    double bound = 0.1;
    double store_unit = 0;

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
            Bounded expected{rows.count, columns(), {}, std::vector<double>(count, bound), store_unit};
            expected.value.assign(golden.begin() + std::ptrdiff_t(offset),
                                  golden.begin() + std::ptrdiff_t(offset + count));
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

TEST(Comparison, CountsTheDirectionOfTheErrors) {
    Tensor t = random_tensor(64, 1, Op::context, 7);
    for (std::size_t i = 0; i < t.got.size(); ++i) {
        t.got[i] = t.golden[i] * 0.999F;
    }
    EXPECT_EQ(t.compare().rounded, 0) << "a bound without a store says nothing about one";
    t.store_unit = 0x1p-8;
    EXPECT_EQ(t.compare().rounded, 0) << "0.1 is far more than the roundings";
    t.bound = 0x1p-20;
    const OpStatistics s = t.compare();
    EXPECT_GT(s.rounded, std::int64_t(t.got.size() * 9 / 10));
    EXPECT_EQ(s.shrunk, s.rounded);
    EXPECT_LT(s.lowered, s.rounded);
}

TEST(Comparison, MissingAndRepeatedBlocksAreCounted) {
    Comparison comparison(Op::output, {130, 1}, -1);
    const std::vector<float> block(64 * 64, 1.0F);
    const Bounded expected{64, 64, std::vector<double>(block.size(), 1.0),
                           std::vector<double>(block.size(), 0.1), 0};
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
    const Bounded expected{64, 64, std::vector<double>(block.size()), std::vector<double>(block.size()), 0};
    for (const Rows rows :
         {Rows{2, 0, 64}, Rows{0, 1, 64}, Rows{0, 192, 64}, Rows{0, 128, 64}, Rows{-1, 0, 64}}) {
        EXPECT_THROW(comparison.add(rows, {block.data(), 64, 64, 64}, expected, block), std::logic_error);
    }
}

}  // namespace
}  // namespace harness
