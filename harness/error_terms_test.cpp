// What products add to errors where sums leave the accumulator, against sums run in plain loops.
#include "harness/error_terms.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "harness/index.hpp"
#include "harness/rounding_error.hpp"

namespace harness {
namespace {

using datasets::DType;
using datasets::Rounding;
using datasets::TileSum;
using reference::dense;
using reference::Transpose;

constexpr std::int64_t rows = 5;
constexpr std::int64_t columns = 67;
constexpr int k_tile = 64;
constexpr std::size_t elements = rows * columns;

datasets::Arithmetic rerounded(Rounding rounding) {
    datasets::Arithmetic out;
    out.tile_sum = TileSum::rounded;
    out.k_tile = k_tile;
    out.tile_store = out.store = DType::bf16;
    out.tile_rounding = out.store_rounding = rounding;
    return out;
}

// A product whose k tiles weigh as `sizes` say.
struct Factors {
    explicit Factors(std::initializer_list<float> sizes) : depth(std::int64_t(sizes.size()) * k_tile - 5) {
        std::mt19937 random(7);
        std::normal_distribution<float> normal;
        std::uniform_real_distribution<float> weight(0.0F, 1.0F);
        left.resize(index(rows * depth));
        right.resize(index(depth * columns));
        for (std::int64_t row = 0; row < rows; ++row) {
            for (std::int64_t k = 0; k < depth; ++k) {
                left[index(row * depth + k)] = *(sizes.begin() + k / k_tile) * weight(random);
            }
        }
        std::ranges::generate(right, [&] { return normal(random); });
    }

    [[nodiscard]] float term(std::size_t element, std::int64_t k) const {
        const auto row = std::int64_t(element) / columns;
        const auto column = std::int64_t(element) % columns;
        return left[index(row * depth + k)] * right[index(k * columns + column)];
    }
    // Golden sums up to term `end`, in fp64.
    [[nodiscard]] double golden(std::size_t element, std::int64_t end) const {
        double sum = 0;
        for (std::int64_t k = 0; k < end; ++k) {
            sum += double{term(element, k)};
        }
        return sum;
    }
    // What a core stores.
    [[nodiscard]] float stored(std::size_t element, Rounding rounding) const {
        float sum = 0;
        for (std::int64_t k = 0; k < depth; ++k) {
            sum += term(element, k);
            if ((k + 1) % k_tile == 0 || k + 1 == depth) {
                sum = datasets::round_to_bf16(sum, rounding);
            }
        }
        return sum;
    }
    [[nodiscard]] Moments predicted(const datasets::Arithmetic& arithmetic) const {
        Moments out{std::vector<float>(elements), std::vector<float>(elements)};
        std::vector<float> values(elements);
        for (std::size_t i = 0; i < elements; ++i) {
            values[i] = static_cast<float>(golden(i, depth));
        }
        add_product_stores(arithmetic, dense(left.data(), rows, depth), dense(right.data(), depth, columns),
                           Transpose::no, 1.0F, {}, values, out);
        return out;
    }

    std::int64_t depth;
    std::vector<float> left, right;
};

constexpr std::array roundings{Rounding::nearest_even, Rounding::toward_zero, Rounding::floor};

// One tile makes the sum, and 19 others change it by less than its spacing: only the first store is chance.
// They would be worth up to 19 spacings, were they taken for chance, or for a spacing each by their sign.
TEST(RunningSums, KnowWhatTheyLoseOfSmallTiles) {
    for (const float small : {1e-3F, 1e-5F, 1e-7F, 1e-9F, 1e-12F}) {
        const Factors factors({1.0F,  small, small, small, small, small, small, small, small, small,
                               small, small, small, small, small, small, small, small, small, small});
        for (const Rounding rounding : roundings) {
            const Moments predicted = factors.predicted(rerounded(rounding));
            int judged = 0;
            int far = 0;
            for (std::size_t i = 0; i < elements; ++i) {
                const auto first = static_cast<float>(factors.golden(i, k_tile));
                const double error = double{factors.stored(i, rounding)} - factors.golden(i, factors.depth);
                const double spacing{bf16_spacing(first)};
                if (spacing < 16 * double{small}) {
                    continue;  // nearly zero: the other tiles may change it by more
                }
                // Where the sum lies near a power of two, its spacing is another one.
                ++judged;
                far += std::abs(error - double{predicted.mean[i]}) > 1.01 * spacing ? 1 : 0;
                ASSERT_GT(predicted.variance[i], 0);
            }
            EXPECT_GT(judged, int(elements) / 10);
            EXPECT_LT(far, judged / 50 + 1) << small << " " << datasets::name(rounding);
        }
    }
}

// Whatever the sizes of the tiles, errors in predicted deviations have unit variance and no mean.
TEST(RunningSums, ErrAsPredicted) {
    for (const Factors& factors : {Factors({1, 1, 1, 1}), Factors({1e-3F, 1, 1e-3F, 1e-4F, 1}),
                                   Factors({1, 1e-2F, 1e-2F, 1e-2F, 1e-2F, 1e-2F, 1e-2F, 1e-2F})}) {
        for (const Rounding rounding : roundings) {
            const Moments predicted = factors.predicted(rerounded(rounding));
            double squares = 0;
            double sum = 0;
            for (std::size_t i = 0; i < elements; ++i) {
                const double error = double{factors.stored(i, rounding)} - factors.golden(i, factors.depth);
                const double z =
                    (error - double{predicted.mean[i]}) / std::sqrt(double{predicted.variance[i]});
                squares += z * z;
                sum += z;
            }
            EXPECT_NEAR(squares / double(elements), 1, 0.35) << datasets::name(rounding);
            EXPECT_NEAR(sum / double(elements), 0, 0.2) << datasets::name(rounding);
        }
    }
}

// [out, in] weights are the same product as [in, out], and a bias is where the sum begins.
TEST(RunningSums, TakeEitherLayoutAndABias) {
    const Factors factors({1, 1e-3F, 1});
    std::vector<float> turned(factors.right.size());
    for (std::int64_t k = 0; k < factors.depth; ++k) {
        for (std::int64_t c = 0; c < columns; ++c) {
            turned[index(c * factors.depth + k)] = factors.right[index(k * columns + c)];
        }
    }
    const datasets::Arithmetic arithmetic = rerounded(Rounding::floor);
    const std::vector<float> bias(index(columns), 1024.0F);
    const auto stores = [&](Transpose transpose, std::span<const float> start) {
        Moments out{std::vector<float>(elements), std::vector<float>(elements)};
        const auto right = transpose == Transpose::yes
                               ? dense(std::as_const(turned).data(), columns, factors.depth)
                               : dense(factors.right.data(), factors.depth, columns);
        add_product_stores(arithmetic, dense(factors.left.data(), rows, factors.depth), right, transpose,
                           1.0F, start, std::vector<float>(elements, 1.0F), out);
        return out;
    };
    const Moments plain = stores(Transpose::no, {});
    const Moments other = stores(Transpose::yes, {});
    EXPECT_EQ(plain.variance, other.variance);
    const Moments biased = stores(Transpose::no, bias);
    for (std::size_t i = 0; i < elements; ++i) {
        EXPECT_NEAR(plain.mean[i], other.mean[i], 1e-5);
        EXPECT_GT(std::abs(biased.mean[i]) + std::sqrt(biased.variance[i]),
                  std::abs(plain.mean[i]) + std::sqrt(plain.variance[i]));
    }
}

}  // namespace
}  // namespace harness
