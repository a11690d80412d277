// The table exponential against libm, bit for bit over every bf16, and against the published error table.
#include "kernels/exp_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "kernels/tile_model_test.hpp"

namespace kernels {
namespace {

using model::bf16_stores;
using model::infinity;
using model::not_a_number;
using model::to_float;

std::uint16_t bits_of(float value) {
    return model::to_bf16(value, Store::bf16_toward_zero);
}

struct Error {
    double lowest = 1;
    double highest = -1;
    double mean = 0;
    double rms = 0;
};

// Relative error of the result over all bf16 bit patterns in [first, last].
Error measured(float first, float last, Store store) {
    Error error;
    double sum = 0;
    double squares = 0;
    int count = 0;
    for (std::uint32_t x = 0; x <= 0xFFFF; ++x) {
        const auto bits = static_cast<std::uint16_t>(x);
        const float argument = to_float(bits);
        if (!(argument >= first && argument <= last)) {
            continue;
        }
        const long double exact = std::exp(static_cast<long double>(argument));
        const auto relative =
            static_cast<double>(static_cast<long double>(to_float(exp_bf16(bits, store))) / exact - 1);
        error.lowest = std::min(error.lowest, relative);
        error.highest = std::max(error.highest, relative);
        sum += relative;
        squares += relative * relative;
        ++count;
    }
    error.mean = sum / count;
    error.rms = std::sqrt(squares / count);
    return error;
}

// Property: all 65536 arguments give the bits of the definition, with libm's long double exp for the tables.
TEST(ExpBf16, EqualsTheDefinitionForEveryArgument) {
    for (const Store store : bf16_stores) {
        for (std::uint32_t x = 0; x <= 0xFFFF; ++x) {
            const auto bits = static_cast<std::uint16_t>(x);
            ASSERT_EQ(exp_bf16(bits, store), model::exp_bits(bits, store)) << "argument bits " << x;
        }
    }
}

TEST(ExpBf16, IntegerTableHasThePublishedEnds) {
    // The table goes on to exp(-92), but what leaves a VMAC below 2^-126 is 0.
    EXPECT_EQ(exp_bf16(bits_of(-86.0F), Store::bf16_nearest_even), 372);
    EXPECT_EQ(exp_bf16(bits_of(-87.0F), Store::bf16_nearest_even), 179);
    for (int n = 88; n <= 128; ++n) {
        EXPECT_EQ(exp_bf16(bits_of(static_cast<float>(-n)), Store::bf16_nearest_even), 0);
    }
    for (int n = 88; n < 128; ++n) {
        EXPECT_EQ(exp_bf16(bits_of(static_cast<float>(n)), Store::bf16_nearest_even), 0x7EF9);
    }
    EXPECT_EQ(exp_bf16(bits_of(128.0F), Store::bf16_nearest_even), 0);
}

// The published extremes of the error in percent, to the digits quoted: an exhaustive emulation of mlir-aie's
// aie_runtime_lib/AIE2/lut_based_ops.cpp.
TEST(ExpBf16, HasThePublishedExtremes) {
    struct Row {
        float first, last;
        Store store;
        double lowest, highest;
    };
    const Row rows[] = {
        {-1, 0, Store::bf16_nearest_even, -1.02, 0.37},     {-1, 0, Store::bf16_floor, -1.18, 0.12},
        {-85, 0, Store::bf16_nearest_even, -1.02, 0.80},    {-85, 0, Store::bf16_floor, -1.24, 0.52},
        {-85, -0.5, Store::bf16_nearest_even, -0.86, 0.80}, {-85, -0.5, Store::bf16_floor, -1.24, 0.52},
        {0, 85, Store::bf16_nearest_even, -0.83, 0.84},     {0, 85, Store::bf16_floor, -1.18, 0.44},
    };
    constexpr double digit = 0.0055;
    for (const Row& row : rows) {
        const Error error = measured(row.first, row.last, row.store);
        const auto label = testing::Message() << "[" << row.first << ", " << row.last << "] store "
                                              << static_cast<int>(row.store);
        EXPECT_NEAR(100 * error.lowest, row.lowest, digit) << label;
        EXPECT_NEAR(100 * error.highest, row.highest, digit) << label;
    }
    // Mean and rms only where they do not depend on how many tiny arguments are counted.
    const Error nearest = measured(-85, -0.5, Store::bf16_nearest_even);
    EXPECT_NEAR(100 * nearest.mean, -0.04, digit);
    EXPECT_NEAR(100 * nearest.rms, 0.30, digit);
    const Error floored = measured(-85, -0.5, Store::bf16_floor);
    EXPECT_NEAR(100 * floored.mean, -0.28, digit);
    EXPECT_NEAR(100 * floored.rms, 0.42, digit);
}

TEST(ExpBf16, WrapsBelowMinus128) {
    const auto exp_of = [](float x) { return to_float(exp_bf16(bits_of(x), Store::bf16_nearest_even)); };
    EXPECT_EQ(exp_bf16(bits_of(-129.0F), Store::bf16_nearest_even), 0x7EF9);
    EXPECT_EQ(exp_bf16(bits_of(-142.0F), Store::bf16_nearest_even), 0x7EF9);
    EXPECT_EQ(exp_of(-256.0F), 1.0F);
    EXPECT_NEAR(exp_of(-300.0F), 7.8e-20F, 0.05e-20F);
    EXPECT_EQ(exp_of(-infinity), 1.0F);  // saturates to the smallest integer, whose low 16 bits are 0
}

TEST(ExpBf16, HasNoFp32Result) {
    EXPECT_THROW(exp_bf16(0, Store::f32), std::invalid_argument);
    EXPECT_THROW(exp_error(Store::f32), std::invalid_argument);
}

TEST(ExpError, EqualsAMeasurementWithLibm) {
    for (const Store store : bf16_stores) {
        const ExpError error = exp_error(store);
        const Error expected = measured(-87, 0, store);
        EXPECT_NEAR(error.lowest, expected.lowest, 1e-12);
        EXPECT_NEAR(error.highest, expected.highest, 1e-12);
    }
    EXPECT_NEAR(exp_error(Store::bf16_nearest_even).lowest, -0.0102, 5e-5);
    EXPECT_NEAR(exp_error(Store::bf16_nearest_even).highest, 0.0080, 5e-5);
    EXPECT_NEAR(exp_error(Store::bf16_floor).lowest, -0.0124, 5e-5);
}

// Property: for every bf16 difference, s - 0 and (s + 8) - 8 where exact, the function is the clamped table.
TEST(ExpDifference, EqualsTheClampedTableForEveryArgument) {
    for (std::uint32_t magnitude = 0; magnitude <= 0x7F80; ++magnitude) {
        const auto bits = static_cast<std::uint16_t>(magnitude | 0x8000);
        const float s = to_float(bits);
        const float clamped = std::max(s, exp_lowest_argument);
        const float expected = to_float(model::exp_bits(bits_of(clamped), Store::bf16_nearest_even));
        ASSERT_EQ(exp_difference(s, 0.0F), expected) << s;
        ASSERT_LE(exp_difference(s, 0.0F), 1.0F) << "the wrap below -128 must not be reachable";
    }
}

// Property: fp32 differences are rounded to bf16 to nearest even before the table.
TEST(ExpDifference, RoundsTheDifferenceToBf16) {
    std::mt19937 engine(5);
    std::uniform_real_distribution<float> uniform(-130.0F, 90.0F);
    for (int i = 0; i < 200000; ++i) {
        const float a = uniform(engine);
        const float b = uniform(engine);
        const float s = std::min(a, b);
        const float m = std::max(a, b);
        ASSERT_EQ(exp_difference(s, m), model::exp_difference(s, m)) << s << " - " << m;
    }
    // 1 + 2^-8 lies between two bf16, the even one is 1; 1 + 3 * 2^-8 goes up to 1 + 4 * 2^-8.
    EXPECT_EQ(exp_difference(-1.00390625F, 0.0F), exp_difference(-1.0F, 0.0F));
    EXPECT_EQ(exp_difference(-1.01171875F, 0.0F), exp_difference(-1.015625F, 0.0F));
    EXPECT_NE(exp_difference(-1.0F, 0.0F), exp_difference(-1.015625F, 0.0F));
}

TEST(ExpDifference, EndsAndNonNumbers) {
    EXPECT_EQ(exp_difference(3.0F, 3.0F), 1.0F);
    EXPECT_EQ(exp_difference(-infinity, 3.0F), 0.0F);
    EXPECT_EQ(exp_difference(-3e38F, 3e38F), 0.0F);
    EXPECT_EQ(exp_difference(1.0F, infinity), 0.0F);
    EXPECT_TRUE(std::isnan(exp_difference(-infinity, -infinity)));
    EXPECT_TRUE(std::isnan(exp_difference(infinity, infinity)));
    EXPECT_TRUE(std::isnan(exp_difference(not_a_number, 0.0F)));
    EXPECT_TRUE(std::isnan(exp_difference(1.0F, 0.0F)));
}

// Property: entry i is exp_difference of the bf16 -i, so that both ways of computing agree.
TEST(ExpDifference, EqualsTheLookup) {
    model::Bits entries(exp_nan_entry + 1);
    for (std::uint16_t i = 0; i <= exp_nan_entry; ++i) {
        entries[i] = i;
    }
    look_up_exponentials(entries);
    for (std::uint16_t i = 0; i < exp_nan_entry; ++i) {
        ASSERT_EQ(to_float(entries[i]), exp_difference(-to_float(i), 0.0F)) << i;
    }
    EXPECT_EQ(entries[0], 0x3F80);
    EXPECT_EQ(entries[exp_zero_entry], 0);
    EXPECT_EQ(to_float(exp_zero_entry), -exp_lowest_argument);
    EXPECT_TRUE(std::isnan(to_float(entries[exp_nan_entry])));
}

}  // namespace
}  // namespace kernels
