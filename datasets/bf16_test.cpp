// The conversions are checked for every bf16 against a model that knows only the values, not their bits.
#include "datasets/bf16.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace datasets {
namespace {

constexpr Rounding roundings[] = {Rounding::nearest_even, Rounding::toward_zero, Rounding::floor};
constexpr std::uint16_t infinity_bits = 0x7F80;

bool is_nan(bf16 value) {
    return (value.bits & 0x7FFFU) > infinity_bits;
}

// The value as a double, from sign, exponent and fraction. An infinity counts as the next value after the
// largest finite one, 2^128: that is where rounding to nearest overflows.
double value_of(std::uint16_t bits) {
    const int exponent = (bits >> 7) & 0xFF;
    const int fraction = bits & 0x7F;
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -126 - 7) : std::ldexp(128 + fraction, exponent - 127 - 7);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// The model: which of the two neighbours, `nearer` the one of smaller magnitude, a value between them
// becomes.
std::uint16_t choose(double value, std::uint16_t nearer, std::uint16_t farther, Rounding rounding) {
    const double low = value_of(nearer);
    const double high = value_of(farther);
    if (value == low) {
        return nearer;
    }
    if (value == high) {
        return farther;
    }
    switch (rounding) {
        case Rounding::nearest_even: {
            const double below = std::abs(value - low);
            const double above = std::abs(high - value);
            if (below == above) {
                return nearer % 2 == 0 ? nearer : farther;
            }
            return below < above ? nearer : farther;
        }
        case Rounding::toward_zero:
            return nearer;
        case Rounding::floor:
            break;
    }
    return low < high ? nearer : farther;
}

// Every finite bf16 with its neighbour away from zero, both signs, and what a float between them becomes.
TEST(Bf16, RoundsEveryGapLikeTheModel) {
    for (std::uint32_t sign : {0U, 0x8000U}) {
        for (std::uint32_t magnitude = 0; magnitude < infinity_bits; ++magnitude) {
            const auto nearer = static_cast<std::uint16_t>(sign | magnitude);
            const auto farther = static_cast<std::uint16_t>(nearer + 1);
            const auto low = static_cast<float>(value_of(nearer));
            const float beyond =
                sign == 0 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
            const float high =
                magnitude + 1 == infinity_bits ? beyond : static_cast<float>(value_of(farther));
            const auto tie = static_cast<float>((value_of(nearer) + value_of(farther)) / 2);
            for (const float value : {low, std::nextafter(low, high), std::nextafter(tie, low), tie,
                                      std::nextafter(tie, high), std::nextafter(high, low)}) {
                for (const Rounding rounding : roundings) {
                    ASSERT_EQ(to_bf16(value, rounding).bits, choose(double{value}, nearer, farther, rounding))
                        << std::hexfloat << value << " " << name(rounding);
                }
            }
        }
    }
}

TEST(Bf16, EveryBf16SurvivesARoundTrip) {
    for (std::uint32_t bits = 0; bits <= 0xFFFFU; ++bits) {
        const bf16 value{static_cast<std::uint16_t>(bits)};
        for (const Rounding rounding : roundings) {
            const bf16 back = to_bf16(to_float(value), rounding);
            if (is_nan(value)) {
                EXPECT_TRUE(std::isnan(to_float(value)));
                EXPECT_EQ(back.bits, bits | 0x0040U) << "a NaN stays a NaN and becomes quiet";
            } else {
                EXPECT_EQ(back, value) << bits;
            }
        }
    }
}

TEST(Bf16, ToFloatIsTheValueOfTheFields) {
    for (std::uint32_t bits = 0; bits <= 0xFFFFU; ++bits) {
        const bf16 value{static_cast<std::uint16_t>(bits)};
        if ((bits & 0x7FFFU) < infinity_bits) {
            ASSERT_EQ(double{to_float(value)}, value_of(value.bits)) << bits;
        } else {
            ASSERT_FALSE(std::isfinite(to_float(value))) << bits;
        }
    }
}

TEST(Bf16, ANanWhoseUpperHalfLooksInfiniteStaysANan) {
    for (const std::uint32_t bits : {0x7F800001U, 0xFF800001U, 0x7F80FFFFU, 0xFFFFFFFFU, 0x7FFFFFFFU}) {
        for (const Rounding rounding : roundings) {
            EXPECT_TRUE(is_nan(to_bf16(std::bit_cast<float>(bits), rounding)))
                << bits << " " << name(rounding);
        }
    }
}

TEST(Bf16, OverflowDependsOnTheRounding) {
    const float largest = std::numeric_limits<float>::max();
    EXPECT_EQ(to_bf16(largest, Rounding::nearest_even).bits, 0x7F80);
    EXPECT_EQ(to_bf16(largest, Rounding::toward_zero).bits, 0x7F7F);
    EXPECT_EQ(to_bf16(largest, Rounding::floor).bits, 0x7F7F);
    EXPECT_EQ(to_bf16(-largest, Rounding::nearest_even).bits, 0xFF80);
    EXPECT_EQ(to_bf16(-largest, Rounding::toward_zero).bits, 0xFF7F);
    EXPECT_EQ(to_bf16(-largest, Rounding::floor).bits, 0xFF80);
}

TEST(Bf16, KnownValues) {
    EXPECT_EQ(to_bf16(1.0F, Rounding::nearest_even).bits, 0x3F80);
    EXPECT_EQ(to_bf16(1.0F + 0x1p-8F, Rounding::nearest_even).bits, 0x3F80) << "the tie goes to even";
    EXPECT_EQ(to_bf16(1.0F + 0x3p-8F, Rounding::nearest_even).bits, 0x3F82) << "the tie goes to even";
    EXPECT_EQ(to_bf16(-1.0F - 0x1p-20F, Rounding::floor).bits, 0xBF81);
    EXPECT_EQ(to_bf16(-1.0F - 0x1p-20F, Rounding::toward_zero).bits, 0xBF80);
    EXPECT_EQ(to_bf16(-0.0F, Rounding::floor).bits, 0x8000);
    static_assert(round_to_bf16(3.14159274F, Rounding::nearest_even) == 3.140625F);
}

// The declared bound of the relative error holds for normal numbers and is nearly reached.
TEST(Bf16, TheUnitBoundsTheRelativeErrorTightly) {
    for (const Rounding rounding : roundings) {
        double worst = 0;
        for (std::uint32_t bits = 0x3F800000U; bits < 0x40000000U; bits += 0x11U) {  // [1, 2)
            for (const float value : {std::bit_cast<float>(bits), -std::bit_cast<float>(bits)}) {
                const double exact = value;
                worst = std::max(worst,
                                 std::abs(double{round_to_bf16(value, rounding)} - exact) / std::abs(exact));
            }
        }
        EXPECT_LE(worst, bf16_unit(rounding)) << name(rounding);
        EXPECT_GE(worst, 0.98 * bf16_unit(rounding)) << name(rounding);
    }
}

TEST(Bf16, RoundingsHaveDistinctNames) {
    EXPECT_EQ(name(Rounding::nearest_even), "nearest_even");
    EXPECT_EQ(name(Rounding::toward_zero), "toward_zero");
    EXPECT_EQ(name(Rounding::floor), "floor");
}

}  // namespace
}  // namespace datasets
