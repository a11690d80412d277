#include "reference/softmax.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "reference/every_target_test.hpp"
#include "reference/layers_for_tests.hpp"

namespace reference {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// One row of scores whose maximum is 0, so that the arguments of exp are the scores.
std::vector<float> exponentials_of(std::vector<float> arguments) {
    arguments.push_back(0);
    float maximum = 0;
    float sum = 0;
    exponentials(dense(arguments.data(), 1, std::int64_t(arguments.size())), {&maximum, 1}, {&sum, 1});
    EXPECT_EQ(maximum, 0.0F);
    EXPECT_EQ(arguments.back(), 1.0F);
    arguments.pop_back();
    return arguments;
}

TEST(Softmax, ExponentialIsWithinItsError) {
    // Every 257th float from 2^-26 up to 87.3, negative.
    std::vector<float> arguments;
    for (std::uint32_t bits = std::bit_cast<std::uint32_t>(0x1p-26F);
         bits < std::bit_cast<std::uint32_t>(87.3F); bits += 257) {
        arguments.push_back(-std::bit_cast<float>(bits));
    }
    on_every_target([&] {
        const std::vector<float> got = exponentials_of(arguments);
        double worst = 0;  // of the error allowed
        for (std::size_t i = 0; i < got.size(); ++i) {
            const double x{arguments[i]};
            const double error = std::abs(double{got[i]} / std::exp(x) - 1);
            worst = std::max(worst, error / (0x1p-22 - x * 0x1p-23));
        }
        EXPECT_LE(worst, 1);
        EXPECT_GE(worst, 0.2);
    });
}

TEST(Softmax, FlushesWhatIsNotANormalFloatAndKeepsNaN) {
    on_every_target([] {
        const std::vector<float> got =
            exponentials_of({-87.33F, -87.34F, -88.0F, -100.0F, -104.0F, -200.0F, -1e30F, -infinity});
        EXPECT_GE(got[0], std::numeric_limits<float>::min());
        for (std::size_t i = 1; i < got.size(); ++i) {
            EXPECT_EQ(got[i], 0.0F) << i;
        }
        std::vector<float> bad(40, 1.0F);
        bad[7] = std::numeric_limits<float>::quiet_NaN();
        float maximum = 0;
        float sum = 0;
        exponentials(dense(bad.data(), 1, 40), {&maximum, 1}, {&sum, 1});
        EXPECT_TRUE(std::isnan(sum));
        std::vector<float> hot(40, 1.0F);
        hot[39] = infinity;
        exponentials(dense(hot.data(), 1, 40), {&maximum, 1}, {&sum, 1});
        EXPECT_TRUE(std::isnan(sum));
    });
}

// Every length of the tail, rows apart by more than their length: maximum, sum and each value against fp64,
// and nothing written beside the rows.
TEST(Softmax, AgreesWithFp64ForEveryLength) {
    on_every_target([] {
        for (std::int64_t columns = 1; columns < 150; ++columns) {
            const std::int64_t stride = columns + 3;
            const std::vector<float> scores = random_tensor(3 * stride, 20, std::uint32_t(columns));
            std::vector<float> got = scores;
            std::array<float, 3> maxima{};
            std::array<float, 3> sums{};
            exponentials({got.data(), 3, columns, stride}, maxima, sums);
            for (std::int64_t i = 0; i < 3; ++i) {
                const auto begin = scores.begin() + i * stride;
                const float maximum = *std::max_element(begin, begin + columns);
                ASSERT_EQ(maxima[std::size_t(i)], maximum);
                double sum = 0;
                for (std::int64_t j = 0; j < columns; ++j) {
                    const double expected = std::exp(double{begin[j]} - double{maximum});
                    // The difference is rounded to fp32 before exp sees it.
                    ASSERT_NEAR(double{got[std::size_t(i * stride + j)]}, expected, 1e-5 * expected + 1e-37);
                    sum += double{got[std::size_t(i * stride + j)]};
                }
                ASSERT_NEAR(double{sums[std::size_t(i)]}, sum, 1e-6 * sum);
                for (std::int64_t j = columns; j < stride; ++j) {
                    ASSERT_EQ(got[std::size_t(i * stride + j)], begin[j]) << "written beside the row";
                }
            }
        }
    });
}

TEST(Softmax, DividesRowByRow) {
    on_every_target([] {
        for (const std::int64_t columns : {1, 15, 16, 17, 64, 67}) {
            const std::vector<float> before = random_tensor(2 * columns, 1, 5);
            const std::vector<float> divisor{3.0F, 7.0F};
            std::vector<float> got = before;
            divide_rows(dense(got.data(), 2, columns), divisor);
            for (std::size_t i = 0; i < got.size(); ++i) {
                ASSERT_EQ(got[i], before[i] / divisor[i / std::size_t(columns)]);
            }
        }
    });
}

TEST(Softmax, WideRowIsExactToFp64) {
    on_every_target([] {
        for (const std::int64_t columns : {1, 7, 8, 9, 250}) {
            const std::vector<float> scores = random_tensor(columns, 40, 9);
            std::vector<double> got(scores.size());
            std::vector<float> distance(scores.size());
            wide_softmax_row(scores, got, distance);
            const double maximum{*std::ranges::max_element(scores)};
            double sum = 0;
            for (const float score : scores) {
                sum += std::exp(double{score} - maximum);
            }
            for (std::size_t j = 0; j < scores.size(); ++j) {
                const double expected = std::exp(double{scores[j]} - maximum) / sum;
                ASSERT_NEAR(got[j], expected, 4e-15 * expected);
                ASSERT_EQ(distance[j], static_cast<float>(maximum - double{scores[j]}));
            }
        }
    });
}

}  // namespace
}  // namespace reference
