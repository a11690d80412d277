#include "reference/elementwise.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>

#include "reference/every_target_test.hpp"
#include "reference/layers_for_tests.hpp"

namespace reference {
namespace {

// erfc, not 1 + erf: the latter loses every digit of the left tail.
double exact_gelu(float x) {
    const double wide{x};
    return 0.5 * wide * std::erfc(-wide / std::numbers::sqrt2);
}

// How far gelu(x) is from the exact value, in relative terms; below the normal floats, in units of 2e-7 of
// the smallest of them.
double relative_error(float got, float x) {
    const double expected = exact_gelu(x);
    const double scale = std::max(std::abs(expected), double{std::numeric_limits<float>::min()});
    return std::abs(double{got} - expected) / scale;
}

// The last rounding and what is promised before it.
constexpr double allowed = 0x1p-24 + gelu_error;
static_assert(allowed <= 2e-7);

// Every bf16 number: all signs, exponents and the leading 7 bits of the mantissa, infinities and NaNs
// included.
TEST(Gelu, IsExactToTwoRoundingsAtEveryBf16Number) {
    std::vector<float> inputs;
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        inputs.push_back(std::bit_cast<float>(bits << 16));
    }
    on_every_target([&] {
        std::vector<float> got = inputs;
        gelu(got);
        for (std::size_t i = 0; i < got.size(); ++i) {
            const float x = inputs[i];
            if (std::isnan(x)) {
                ASSERT_TRUE(std::isnan(got[i])) << i;
            } else if (std::isinf(x)) {
                // Highway's scalar target narrows infinity to the greatest float.
                ASSERT_TRUE(x > 0 ? got[i] >= std::numeric_limits<float>::max() : got[i] == 0) << got[i];
            } else {
                ASSERT_LE(relative_error(got[i], x), allowed) << x << " gives " << got[i];
            }
        }
    });
}

// 10 million floats over the range that networks use, and both tails down to where the result is no longer a
// normal float.
TEST(Gelu, IsExactToTwoRoundingsAtTenMillionRandomNumbers) {
    std::minstd_rand random(7);
    std::uniform_real_distribution<float> everywhere(-13.5F, 8.0F);
    std::normal_distribution<float> usual(0, 2);
    std::vector<float> inputs(10'000'000);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        inputs[i] = i % 2 == 0 ? everywhere(random) : usual(random);
    }
    std::vector<float> got = inputs;
    gelu(got);
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        worst = std::max(worst, relative_error(got[i], inputs[i]));
    }
    EXPECT_LE(worst, allowed);
    // It is not vacuous: rounding alone comes close to 2^-24.
    EXPECT_GE(worst, 0x1p-25);
}

TEST(Gelu, IsTheErfFormAndNotTheTanhForm) {
    std::vector<float> known{0.0F, 1.0F, -3.0F, -12.0F};
    gelu(known);
    EXPECT_EQ(known[0], 0.0F);
    EXPECT_NEAR(known[1], 0.8413447F, 1e-7F);
    // The tanh form has -0.0036374 here.
    EXPECT_NEAR(known[2], -0.0040497F, 1e-7F);
    // 12 Phi(-12) by its asymptotic series.
    EXPECT_NEAR(double{known[3]}, -12 * 1.776482112077679e-33, 1e-39);
}

// The place of an element does not change its bits, and nothing beside the span is touched.
TEST(Gelu, IsTheSameAtEveryPlace) {
    on_every_target([] {
        const std::vector<float> inputs = random_tensor(70, 3, 11);
        std::vector<float> whole = inputs;
        gelu(whole);
        for (std::size_t count = 0; count < inputs.size(); ++count) {
            std::vector<float> part = inputs;
            gelu(std::span(part).subspan(1, std::min(count, part.size() - 1)));
            for (std::size_t i = 0; i < part.size(); ++i) {
                ASSERT_EQ(part[i], 1 <= i && i <= count ? whole[i] : inputs[i]) << i << " of " << count;
            }
        }
    });
}

TEST(Add, AddsElementByElementOfStridedRows) {
    on_every_target([] {
        for (const std::int64_t columns : {1, 15, 16, 17, 64, 67}) {
            const std::vector<float> a = random_tensor(2 * columns, 1, 5);
            const std::vector<float> b = random_tensor(2 * (columns + 3), 1, 6);
            std::vector<float> got(a.size());
            add(dense(a.data(), 2, columns), dense(b.data(), 2, columns + 3).slice(0, columns),
                dense(got.data(), 2, columns));
            std::vector<float> in_place = a;
            add_to_rows(dense(in_place.data(), 2, columns), std::span(b).first(std::size_t(columns)));
            for (std::size_t i = 0; i < got.size(); ++i) {
                const std::size_t row = i / std::size_t(columns);
                const std::size_t column = i % std::size_t(columns);
                ASSERT_EQ(got[i], a[i] + b[row * std::size_t(columns + 3) + column]);
                ASSERT_EQ(in_place[i], a[i] + b[column]);
            }
        }
    });
}

}  // namespace
}  // namespace reference
