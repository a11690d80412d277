// The atoms of the error model against plain rounding of many values.
#include "harness/rounding_error.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "datasets/bf16.hpp"

namespace harness {
namespace {

using datasets::DType;
using datasets::Rounding;

constexpr std::array roundings{Rounding::nearest_even, Rounding::toward_zero, Rounding::floor};

struct Sample {
    double mean = 0;
    double variance = 0;
};

// Errors of rounding values spread over [1, 2) sign 2^exponent, in units of 2^exponent.
Sample measured(Rounding rounding, float scale) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> mantissa(1, 2);
    constexpr int count = 200000;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < count; ++i) {
        const float value = mantissa(random) * scale;
        const double error = double{datasets::round_to_bf16(value, rounding)} - double{value};
        sum += error;
        squares += error * error;
    }
    const double mean = sum / count;
    return {mean, squares / count - mean * mean};
}

TEST(RoundingError, IsThatOfManyRoundedValuesOfAnySizeAndSign) {
    for (const Rounding rounding : roundings) {
        for (const float scale : {1.0F, -1.0F, 0x1p-20F, -0x1p9F}) {
            const Sample sample = measured(rounding, scale);
            const RoundingError predicted = store_error(1.3F * scale, DType::bf16, rounding);
            const double spacing = 0x1p-7 * std::abs(double{scale});
            EXPECT_NEAR(double{predicted.mean}, sample.mean, 0.003 * spacing)
                << datasets::name(rounding) << " " << scale;
            EXPECT_NEAR(double{predicted.variance} / sample.variance, 1, 0.01)
                << datasets::name(rounding) << " " << scale;
        }
    }
}

// Over values of every size: eta = 2^-7 / sqrt 12 sqrt(0.375 / ln 2), and the gain of one truncation.
TEST(RoundingError, HasTheRelativeSizeOfTheClosedForm) {
    std::mt19937 random(11);
    std::uniform_real_distribution<float> exponent(-3, 3);
    double variance = 0;
    double gain = 0;
    constexpr int count = 100000;
    for (int i = 0; i < count; ++i) {
        const float value = std::exp2(exponent(random));
        variance += double{store_error(value, DType::bf16, Rounding::nearest_even).variance} /
                    (double{value} * double{value});
        gain += double{store_error(value, DType::bf16, Rounding::toward_zero).mean} / double{value};
    }
    const double eta = 0x1p-7 / std::sqrt(12.0) * std::sqrt(0.375 / std::log(2.0));
    EXPECT_NEAR(std::sqrt(variance / count) / eta, 1, 0.01);
    EXPECT_NEAR(gain / count, -2.81e-3, 0.03e-3);
}

TEST(RoundingError, IsNothingWhereNothingIsRounded) {
    for (const Rounding rounding : roundings) {
        const float cut = datasets::round_to_bf16(1.2345F, rounding) - 1.2345F;
        EXPECT_EQ(known_error(1.2345F, DType::bf16, rounding).mean, cut);
        EXPECT_EQ(known_error(1.2345F, DType::bf16, rounding).variance, 0);
        EXPECT_EQ(known_error(1.2345F, DType::f32, rounding).mean, 0);
        for (const float value : {0.0F, 1.0F, -1.5F, 0x1.FEp20F}) {
            const RoundingError error = operand_error(value, DType::bf16, rounding);
            EXPECT_EQ(error.mean, 0);
            EXPECT_EQ(error.variance, 0);
        }
        EXPECT_GT(operand_error(0x1.01p0F, DType::bf16, rounding).variance, 0);
        EXPECT_EQ(store_error(1.2345F, DType::f32, rounding).variance, 0);
        EXPECT_EQ(operand_error(1.2345F, DType::f32, rounding).variance, 0);
    }
}

}  // namespace
}  // namespace harness
