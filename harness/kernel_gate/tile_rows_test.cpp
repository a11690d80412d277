// As tile_cases_test.cpp, of the kernels of whole rows, the products and the last steps of softmax.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "harness/kernel_gate/tile_checks_test.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::bf16;
using datasets::Rounding;

constexpr Rounding even = Rounding::nearest_even;
constexpr Rounding down = Rounding::floor;

class PlantedRowFault : public testing::TestWithParam<Planted> {};

TEST_P(PlantedRowFault, IsSeen) {
    expect_seen(GetParam());
}

// The first stores by another rounding than the rest.
bf16 late(double value, Rounding rounding, bool is_late) {
    return datasets::to_bf16(static_cast<float>(value), is_late ? even : rounding);
}

enum class Norm : std::uint8_t {
    right,
    no_epsilon,
    epsilon_outside,
    clamped,
    one_pass,
    odd_vectors,
    whole_quads,
    gain_at_768,
    first_late
};

template <Norm fault>
double mean_of(const float* x, int columns) {
    double sum = 0;
    for (int i = 0; i < columns; ++i) {
        const bool lost = fault == Norm::odd_vectors && columns / 16 % 2 == 1 && i + 16 >= columns;
        sum += lost ? 0 : double{x[i]};
    }
    return sum / (fault == Norm::whole_quads ? columns & ~63 : columns);
}

template <Norm fault>
double inverse_of(const float* x, int columns, double mean) {
    float squares = 0;
    double sum = 0;
    for (int i = 0; i < columns; ++i) {
        squares += x[i] * x[i];
        sum += (double{x[i]} - mean) * (double{x[i]} - mean);
    }
    double variance = fault == Norm::one_pass ? double{squares} / columns - mean * mean : sum / columns;
    variance = fault == Norm::clamped ? std::max(variance, 1e-2) : variance;
    if (fault == Norm::epsilon_outside) {
        return 1 / (std::sqrt(variance) + 1e-5);
    }
    return 1 / std::sqrt(variance + (fault == Norm::no_epsilon ? 0 : 1e-5));
}

template <Rounding rounding, Norm fault>
void layer_norm(const float* x, const bf16* gamma, const bf16* beta, int rows, int columns, bf16* out) {
    for (int row = 0; row < rows; ++row, x += columns, out += columns) {
        const double mean = mean_of<fault>(x, columns);
        const double inverse = inverse_of<fault>(x, columns, mean);
        for (int i = 0; i < columns; ++i) {
            const bf16 gain = gamma[fault == Norm::gain_at_768 && columns == 768 ? i % 16 : i];
            const double value =
                (double{x[i]} - mean) * inverse * double{to_float(gain)} + double{to_float(beta[i])};
            out[i] = late(value, rounding, fault == Norm::first_late && row == 0 && i < 16);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    LayerNorm, PlantedRowFault,
    testing::Values(
        plant("no fault", "layer_norm_rows_even", layer_norm<even, Norm::right>, ""),
        plant("no fault", "layer_norm_rows_floor", layer_norm<down, Norm::right>, ""),
        plant("no epsilon", "layer_norm_rows_even", layer_norm<even, Norm::no_epsilon>, "deviation 0.001"),
        plant("epsilon outside", "layer_norm_rows_even", layer_norm<even, Norm::epsilon_outside>,
              "deviation 0.001"),
        plant("least variance", "layer_norm_rows_even", layer_norm<even, Norm::clamped>, "deviation 0.001"),
        plant("one pass", "layer_norm_rows_even", layer_norm<even, Norm::one_pass>, "mean 300"),
        plant("odd vectors", "layer_norm_rows_even", layer_norm<even, Norm::odd_vectors>, "5 x 48"),
        plant("columns by 64", "layer_norm_rows_floor", layer_norm<down, Norm::whole_quads>, "7 x 112"),
        plant("another gain at 768", "layer_norm_rows_even", layer_norm<even, Norm::gain_at_768>, "2 x 768"),
        plant("16 stores to nearest", "layer_norm_rows_floor", layer_norm<down, Norm::first_late>,
              "5 x 512")),
    name_of);

enum class Gelu : std::uint8_t { right, rest_lost, clamped, nan_lost, first_late };

template <Rounding rounding, Gelu fault>
void gelu(const float* x, int count, bf16* out) {
    const int done = count % 64 >= 16 ? count / 64 * 64 + 16 : count;
    for (int i = 0; i < (fault == Gelu::rest_lost ? done : count); ++i) {
        double value = double{x[i]};
        value = fault == Gelu::clamped ? std::min(value, 256.0) : value;
        value = fault == Gelu::nan_lost && std::isnan(value) && std::signbit(value) ? -8 : value;
        const double result = 0.5 * value * std::erfc(-value / std::numbers::sqrt2);
        out[i] = late(result, rounding, fault == Gelu::first_late && i < 16);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Gelu, PlantedRowFault,
    testing::Values(plant("no fault", "gelu_even", gelu<even, Gelu::right>, ""),
                    plant("no fault", "gelu_floor", gelu<down, Gelu::right>, ""),
                    plant("a lost rest", "gelu_even", gelu<even, Gelu::rest_lost>, "count 48"),
                    plant("at most 256", "gelu_even", gelu<even, Gelu::clamped>, "special values"),
                    plant("negative NaN lost", "gelu_even", gelu<even, Gelu::nan_lost>, "special values"),
                    plant("16 stores to nearest", "gelu_floor", gelu<down, Gelu::first_late>,
                          "16 large values")),
    name_of);

enum class Product : std::uint8_t { right, flushes_a, saturates, skips_zeros };

template <Product fault>
void multiply(const bf16* a, const bf16* b, float* c) {
    for (int i = 0; i < tile; ++i) {
        for (int j = 0; j < tile; ++j) {
            double sum = double{c[blocked(i, j, 4, 4)]};
            for (int k = 0; k < tile; ++k) {
                const double left = double{to_float(a[blocked(i, k, 4, 8)])};
                const bool flushed = fault == Product::flushes_a && std::abs(left) < 0x1p-14;
                if (fault != Product::skips_zeros || left != 0) {
                    sum += (flushed ? 0 : left) * double{to_float(b[blocked(k, j, 8, 4)])};
                }
            }
            sum = fault == Product::saturates ? std::min(sum, 1e30) : sum;
            c[blocked(i, j, 4, 4)] = static_cast<float>(sum);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Products, PlantedRowFault,
    testing::Values(plant("no fault", "matmul_tile", multiply<Product::right>, ""),
                    plant("small a flushed", "matmul_tile", multiply<Product::flushes_a>, "small a"),
                    plant("saturation", "matmul_tile", multiply<Product::saturates>, "large"),
                    plant("zeros skipped", "matmul_tile", multiply<Product::skips_zeros>, "NaN in b, zeros")),
    name_of);

enum class Finish : std::uint8_t { right, lost_at_32, divides_by_zero, drops_nan, first_late };

template <Rounding rounding, Finish fault>
void finish(const float* scores, int keys, const float* row_max, const float* row_sum, bf16* p) {
    for (int i = 0; i < elements; ++i) {
        const int row = i / tile;
        const bool lost = fault == Finish::lost_at_32 && keys == 32 && i % tile == 31;
        const bool empty = row_sum[row] == 0 && fault != Finish::divides_by_zero;
        const double difference = double{scores[i]} - double{row_max[row]};
        const bool dropped = fault == Finish::drops_nan && std::isnan(difference) && std::signbit(difference);
        const double e = dropped ? 0 : std::exp(difference);
        p[i] = i % tile >= keys || empty || lost
                   ? bf16{}
                   : late(e / double{row_sum[row]}, rounding, fault == Finish::first_late && i < 4);
    }
}

template <Rounding rounding, Finish fault>
void finish_attention(const float* context, const float* row_sum, bf16* out) {
    for (int i = 0; i < elements; ++i) {
        const int at = blocked(i / tile, i % tile, 4, 4);
        const double sum = double{row_sum[i / tile]};
        out[at] =
            late(sum == 0 ? 0 : double{context[at]} / sum, rounding, fault == Finish::first_late && i < 4);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Finishes, PlantedRowFault,
    testing::Values(plant("no fault", "softmax_finish_even", finish<even, Finish::right>, ""),
                    plant("no fault", "softmax_finish_floor", finish<down, Finish::right>, ""),
                    plant("a key lost at 32", "softmax_finish_even", finish<even, Finish::lost_at_32>,
                          "ragged keys: 32"),
                    plant("a row without keys", "softmax_finish_even", finish<even, Finish::divides_by_zero>,
                          "a row without keys"),
                    plant("negative NaN dropped", "softmax_finish_even", finish<even, Finish::drops_nan>,
                          "special values"),
                    plant("4 stores to nearest", "softmax_finish_floor", finish<down, Finish::first_late>,
                          "equal scores"),
                    plant("no fault", "attention_finish_floor", finish_attention<down, Finish::right>, ""),
                    plant("4 stores to nearest", "attention_finish_floor",
                          finish_attention<down, Finish::first_late>, "random data")),
    name_of);

}  // namespace
}  // namespace harness::kernel_gate
