#include "datasets/half.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "datasets/checkpoint_example.hpp"

namespace datasets {
namespace {

// By the definition of binary16 in IEEE 754, in double.
double value_of(std::uint16_t bits) {
    const int exponent = (bits >> 10) & 31;
    const int fraction = bits & 1023;
    const double magnitude = exponent == 31
                                 ? (fraction == 0 ? std::numeric_limits<double>::infinity() : std::nan(""))
                             : exponent == 0 ? std::ldexp(fraction, -24)
                                             : std::ldexp(1024 + fraction, exponent - 25);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(Half, EveryValueIsExact) {
    for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
        const auto half = static_cast<std::uint16_t>(bits);
        const double expected = value_of(half);
        const float got = to_float(Half{half});
        if (std::isnan(expected)) {
            EXPECT_TRUE(std::isnan(got)) << bits;
        } else {
            EXPECT_EQ(static_cast<double>(got), expected) << bits;
        }
        EXPECT_EQ(std::signbit(got), (bits & 0x8000) != 0) << bits;
    }
}

// The rounding of the tests' own writer, on which the round trips rest.
TEST(Half, TheWriterOfTheTestsRoundsToNearestEven) {
    for (std::uint32_t bits = 0; bits < 0x7C00; ++bits) {
        const auto half = static_cast<std::uint16_t>(bits);
        const double value = value_of(half);
        const double next = bits == 0x7BFF ? 65536.0 : value_of(static_cast<std::uint16_t>(bits + 1));
        const auto middle = static_cast<float>((value + next) / 2);
        EXPECT_EQ(half_bits(static_cast<float>(value)), half);
        EXPECT_EQ(half_bits(-static_cast<float>(value)), half | 0x8000);
        EXPECT_EQ(half_bits(middle), half + (half & 1)) << bits;
        EXPECT_EQ(half_bits(std::nextafter(middle, 0.0F)), half) << bits;
        EXPECT_EQ(half_bits(std::nextafter(middle, 1e6F)), half + 1) << bits;
    }
}

}  // namespace
}  // namespace datasets
