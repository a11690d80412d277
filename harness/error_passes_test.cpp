// The passes of the error model against plain loops, at lengths that leave a rest of every size.
#include "harness/error_passes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "harness/rounding_error.hpp"

namespace harness {
namespace {

using datasets::DType;
using datasets::Rounding;
using Floats = std::vector<float>;

// Normal numbers of many sizes, every fourth one a bf16.
Floats of_many_sizes(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    Floats out(count);
    for (std::size_t i = 0; i < count; ++i) {
        const float value = normal(random);
        out[i] = i % 4 == 0 ? std::round(value * 64) / 64 : std::ldexp(value, static_cast<int>(i % 37) - 20);
    }
    return out;
}

Floats between(std::size_t count, float low, float high, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(low, high);
    Floats out(count);
    std::ranges::generate(out, [&] { return uniform(random); });
    return out;
}

class Length : public testing::TestWithParam<std::size_t> {};

TEST_P(Length, RoundingsAddTheVarianceOfOne) {
    const Floats values = of_many_sizes(GetParam(), 1);
    for (const Rounded rounded : {Rounded::known, Rounded::erring}) {
        Floats variance(values.size(), 0.25F);
        add_bf16_variance(values, rounded, variance);
        for (std::size_t i = 0; i < values.size(); ++i) {
            const RoundingError one = rounded == Rounded::known
                                          ? operand_error(values[i], DType::bf16, Rounding::nearest_even)
                                          : store_error(values[i], DType::bf16, Rounding::nearest_even);
            ASSERT_FLOAT_EQ(variance[i], 0.25F + one.variance) << values[i];
        }
    }
}

TEST_P(Length, WeightsTakeTheExponentialsError) {
    Floats scores = between(GetParam(), -20, 3, 2);
    const float top = 3;
    scores.front() = top;
    const Floats p = between(GetParam(), 0, 1, 3);
    const Floats logits = between(GetParam(), 0, 1e-4F, 4);
    const ExpVariance variance{1e-6F, 1e-12F, 1.0F / 12};
    Floats weight = logits;
    const float share = weigh(scores, top, p, variance, weight);
    double sum = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        const float x = scores[i] - top;
        const double exponential = (x == 0 ? 0.0 : 1e-6) + 1e-12 +
                                   double{store_error(x, DType::bf16, Rounding::nearest_even).variance};
        ASSERT_NEAR(double{variance.at(x)}, exponential, 1e-6 * exponential);
        const double expected = double{p[i]} * double{p[i]} * (double{logits[i]} + exponential);
        ASSERT_NEAR(double{weight[i]}, expected, 1e-6 * expected) << i;
        sum += double{p[i]};
    }
    EXPECT_NEAR(double{share}, sum, 1e-5 * sum);
}

TEST_P(Length, TheSumIsDividedOut) {
    const Floats p = between(GetParam(), 0, 1, 5);
    const Floats weight = between(GetParam(), 0, 1e-3F, 6);
    const float shared = sum_of(weight);
    Floats variance(p.size());
    divide_out_sum(p, weight, shared, 1e-2F, variance);
    Floats sigma(p.size());
    deviations(variance, 0.01F, sigma);
    for (std::size_t i = 0; i < p.size(); ++i) {
        const double square = double{p[i]} * double{p[i]};
        const double expected = std::max(double{weight[i]} * (1 - 2 * double{p[i]}) + square * double{shared},
                                         square * double{1e-2F});
        ASSERT_NEAR(double{variance[i]}, expected, 1e-5 * expected + 1e-9);
        ASSERT_FLOAT_EQ(sigma[i], std::max(std::sqrt(variance[i]), 0.01F));
    }
}

TEST_P(Length, AccumulatesTermByTerm) {
    const std::int64_t columns = std::int64_t(GetParam());
    constexpr std::int64_t rows = 3;
    constexpr std::int64_t depth = 5;
    const Floats left = between(rows * depth, -1, 1, 11);
    const Floats right = between(std::size_t(depth) * GetParam(), -1, 1, 12);
    Floats sums = between(std::size_t(rows) * GetParam(), -1, 1, 13);
    const Floats before = sums;
    add_terms(reference::dense(left.data(), rows, depth), reference::dense(right.data(), depth, columns),
              sums);
    for (std::size_t i = 0; i < sums.size(); ++i) {
        double expected{before[i]};
        for (std::size_t k = 0; k < std::size_t(depth); ++k) {
            expected +=
                double{left[i / GetParam() * depth + k]} * double{right[k * GetParam() + i % GetParam()]};
        }
        ASSERT_NEAR(double{sums[i]}, expected, 1e-6) << i;
    }
}

// 64 terms of 2^-25 each add up to 2^-19, but not to a sum of 1.
TEST_P(Length, AccumulatorsLoseWhatLiesBelowHalfTheirSpacing) {
    const std::int64_t columns = std::int64_t(GetParam());
    const Floats left(64, 0x1p-10F);
    const Floats right(64 * GetParam(), 0x1p-15F);
    Floats sums(GetParam(), 1.0F);
    add_terms(reference::dense(left.data(), 1, 64), reference::dense(right.data(), 64, columns), sums);
    EXPECT_EQ(sums, Floats(GetParam(), 1.0F));
    std::ranges::fill(sums, 0.0F);
    add_terms(reference::dense(left.data(), 1, 64), reference::dense(right.data(), 64, columns), sums);
    EXPECT_EQ(sums, Floats(GetParam(), 0x1p-19F));
}

TEST_P(Length, SumAndLargestMissNoElement) {
    for (std::size_t at = 0; at < GetParam(); ++at) {
        Floats values(GetParam(), -4.0F);
        values[at] = -1;
        ASSERT_EQ(largest_of(values), -1) << at;
        ASSERT_EQ(sum_of(values), -4.0F * float(GetParam()) + 3) << at;
    }
}

TEST_P(Length, ZLeavesOutWhatIsNotFinite) {
    const std::size_t count = GetParam();
    const Floats golden = of_many_sizes(count, 7);
    const Floats mean = between(count, -0.1F, 0.1F, 8);
    const Floats sigma = between(count, 0.5F, 2, 9);
    Floats got = between(count, -2, 2, 10);
    got[count / 2] = std::numeric_limits<float>::quiet_NaN();
    got[count / 3] = std::numeric_limits<float>::infinity();
    const ZSums sums = z_sums(got, golden, mean, sigma);
    ZSums expected;
    for (std::size_t i = 0; i < count; ++i) {
        if (!std::isfinite(got[i])) {
            continue;
        }
        const double b{golden[i]};
        const double error = double{got[i]} - b;
        const double z = (error - double{mean[i]}) / double{sigma[i]};
        expected.squares += z * z;
        expected.sum += z;
        expected.error_golden += (error - double{mean[i]}) * b;
        expected.golden += b * b;
        expected.predicted += double{sigma[i]} * double{sigma[i]} + double{mean[i]} * double{mean[i]};
        expected.error += error * error;
        expected.largest = std::max(expected.largest, std::abs(z));
        ++expected.elements;
    }
    EXPECT_EQ(sums.elements, expected.elements);
    EXPECT_DOUBLE_EQ(sums.largest, expected.largest);
    const auto near = [](double a, double b) { EXPECT_NEAR(a, b, 1e-12 * (1 + std::abs(b))); };
    near(sums.squares, expected.squares);
    near(sums.sum, expected.sum);
    near(sums.error_golden, expected.error_golden);
    near(sums.golden, expected.golden);
    near(sums.predicted, expected.predicted);
    near(sums.error, expected.error);
}

INSTANTIATE_TEST_SUITE_P(ErrorPasses, Length, testing::Values(1, 3, 4, 7, 8, 15, 16, 31, 33, 60, 63, 64),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace harness
