#include "reference/layer_norm.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "reference/every_target_test.hpp"
#include "reference/layers_for_tests.hpp"

namespace reference {
namespace {

// Element by element within a relative 1e-6 of extended precision, however large the mean, for every width
// that vectors split differently.
TEST(LayerNorm, AgreesWithExtendedPrecision) {
    on_every_target([] {
        for (const std::int64_t width : {1, 3, 4, 7, 8, 17, 64, 384, 1280}) {
            for (const float offset : {0.0F, 3.0F, -4096.0F, 1e5F}) {
                const datasets::Norm norm{random_tensor(width, 1, 1), random_tensor(width, 1, 2)};
                std::vector<float> x = random_tensor(2 * width, 1, 3);
                for (float& value : x) {
                    value += offset;
                }
                std::vector<float> got(x.size());
                layer_norm(norm, dense(x.data(), 2, width), dense(got.data(), 2, width));
                for (std::size_t begin = 0; begin < x.size(); begin += std::size_t(width)) {
                    long double mean = 0;
                    long double square = 0;
                    for (std::size_t j = 0; j < std::size_t(width); ++j) {
                        mean += static_cast<long double>(x[begin + j]) / width;
                    }
                    for (std::size_t j = 0; j < std::size_t(width); ++j) {
                        const long double centred = static_cast<long double>(x[begin + j]) - mean;
                        square += centred * centred / width;
                    }
                    for (std::size_t j = 0; j < std::size_t(width); ++j) {
                        const long double normal =
                            (static_cast<long double>(x[begin + j]) - mean) / std::sqrt(square + 1e-5L);
                        const long double scaled = normal * static_cast<long double>(norm.gain[j]);
                        const long double expected = scaled + static_cast<long double>(norm.bias[j]);
                        const long double size = std::abs(scaled) + std::abs(expected);
                        ASSERT_NEAR(double{got[begin + j]}, static_cast<double>(expected),
                                    static_cast<double>(1e-7L * size))
                            << width << " " << offset;
                    }
                }
            }
        }
    });
}

TEST(LayerNorm, RefusesRowsOfAnotherWidth) {
    const datasets::Norm norm{{1, 1}, {0, 0}};
    std::vector<float> x(6, 1.0F);
    EXPECT_THROW(layer_norm(norm, dense(x.data(), 2, 3), dense(x.data(), 2, 3)), std::invalid_argument);
    EXPECT_THROW(layer_norm(norm, dense(x.data(), 2, 2), dense(x.data(), 3, 2)), std::invalid_argument);
    const datasets::Norm lame{{1, 1}, {0}};
    EXPECT_THROW(layer_norm(lame, dense(x.data(), 3, 2), dense(x.data(), 3, 2)), std::invalid_argument);
}

// Closed forms: a row of +-a has mean 0 and variance a^2; a constant row becomes the bias, because of eps.
TEST(LayerNorm, ClosedForms) {
    const datasets::Norm norm{{2, 2, 3, 3}, {10, 20, 30, 40}};
    const std::vector<float> x{5, -5, 5, -5, 7, 7, 7, 7, 1e-3F, -1e-3F, 1e-3F, -1e-3F};
    std::vector<float> result(x.size());
    layer_norm(norm, dense(x.data(), 3, 4), dense(result.data(), 3, 4));
    const double large = 5 / std::sqrt(25 + 1e-5);
    const double small = 1e-3 / std::sqrt(1e-6 + 1e-5);
    const std::vector<double> expected{
        10 + 2 * large, 20 - 2 * large, 30 + 3 * large, 40 - 3 * large, 10, 20, 30, 40,
        10 + 2 * small, 20 - 2 * small, 30 + 3 * small, 40 - 3 * small};
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_FLOAT_EQ(result[i], static_cast<float>(expected[i])) << i;
    }
}

// A large common offset, as massive channels and residuals have it, must not eat the variance.
TEST(LayerNorm, SurvivesALargeMean) {
    const datasets::Norm norm{std::vector<float>(4, 1.0F), std::vector<float>(4, 0.0F)};
    std::vector<float> x{4096.5F, 4095.5F, 4096.5F, 4095.5F};
    layer_norm(norm, dense(x.data(), 1, 4), dense(x.data(), 1, 4));
    const auto expected = static_cast<float>(0.5 / std::sqrt(0.25 + 1e-5));
    EXPECT_FLOAT_EQ(x[0], expected);
    EXPECT_FLOAT_EQ(x[3], -expected);
}

}  // namespace
}  // namespace reference
