// What the cases of a role must see: a plain kernel in doubles passes, and with one fault each it fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "harness/kernel_gate/tile_checks_test.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::bf16;
using datasets::Rounding;

constexpr float inf = std::numeric_limits<float>::infinity();

class PlantedFault : public testing::TestWithParam<Planted> {};

TEST_P(PlantedFault, IsSeen) {
    expect_seen(GetParam());
}

enum class Softmax : std::uint8_t {
    right,
    lost_at_32,
    maximum_at_24,
    negative_at_28,
    negative_zero,
    drops_nan,
    finite_infinity,
    empty_row,
    short_factor,
    idle_where_it_stands
};

// Softmax state by exp in double.
template <Softmax fault>
void update(const float* scores, int keys, float* row_max, float* row_sum) {
    for (int row = 0; row < tile && keys > 0; ++row) {
        const int count = fault == Softmax::lost_at_32 && keys == 32 ? 31 : keys;
        float top = row_max[row];
        double sum = 0;
        const auto score = [&](int key) {
            const float s = scores[at(row, key)];
            const bool cut = fault == Softmax::finite_infinity && s == inf;
            return cut ? 3e38F : fault == Softmax::drops_nan && std::isnan(s) && std::signbit(s) ? -inf : s;
        };
        for (int key = 0; key < count; ++key) {
            const bool skip = fault == Softmax::maximum_at_24 && keys == 24 && key >= 16;
            top = skip ? top : std::max(top, score(key));
        }
        top = fault == Softmax::negative_at_28 && keys == 28 ? std::max(top, 0.0F) : top;
        const auto e = [&](float s) { return std::exp(double{s} - double{top}); };
        for (int key = 0; key < count; ++key) {
            sum += e(score(key));
        }
        if (fault == Softmax::idle_where_it_stands && keys < tile && top == row_max[row]) {
            continue;
        }
        const bool empty = fault == Softmax::empty_row && top == -inf;
        const double before = fault == Softmax::short_factor && top > row_max[row]
                                  ? double{datasets::round_to_bf16(row_sum[row], Rounding::toward_zero)}
                                  : double{row_sum[row]};
        row_sum[row] = static_cast<float>((before == 0 ? 0 : before * e(row_max[row])) + (empty ? 0 : sum));
        row_max[row] = fault == Softmax::negative_zero ? top : top + 0.0F;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Softmax, PlantedFault,
    testing::Values(
        plant("no fault", "softmax_update", update<Softmax::right>, ""),
        plant("a key lost at 32", "softmax_update", update<Softmax::lost_at_32>, "ragged keys: 32"),
        plant("keys out of the maximum at 24", "softmax_update", update<Softmax::maximum_at_24>,
              "ragged keys: 24"),
        plant("no negative maximum at 28", "softmax_update", update<Softmax::negative_at_28>,
              "ragged keys: 28"),
        plant("no update where maxima stand", "softmax_update", update<Softmax::idle_where_it_stands>,
              "ragged keys: 28"),
        plant("negative zero", "softmax_update", update<Softmax::negative_zero>, "special values"),
        plant("negative NaN dropped", "softmax_update", update<Softmax::drops_nan>, "special values"),
        plant("infinity made finite", "softmax_update", update<Softmax::finite_infinity>, "special values"),
        plant("a row of minus infinity", "softmax_update", update<Softmax::empty_row>, "special values"),
        plant("a bf16 sum times the factor", "softmax_update", update<Softmax::short_factor>,
              "the factor of a sum")),
    name_of);

enum class Attention : std::uint8_t {
    right,
    fixed_scale,
    first_scale,
    lost_at_28,
    floored_argument,
    short_factor,
    drops_nan,
    idle_where_it_stands
};

// exp in double, of a difference in bf16.
template <Attention fault>
double weight(double difference) {
    constexpr Rounding rounding =
        fault == Attention::floored_argument ? Rounding::floor : Rounding::nearest_even;
    const float argument = datasets::round_to_bf16(static_cast<float>(difference), rounding);
    return fault == Attention::drops_nan && std::isnan(argument) && std::signbit(argument)
               ? 0
               : std::exp(double{argument});
}

template <Attention fault>
void attend(const bf16* query, const bf16* key, const bf16* value, int keys, float scale, float* row_max,
            float* row_sum, float* context) {
    static const float first = scale;
    const float used = fault == Attention::fixed_scale   ? 0.125F
                       : fault == Attention::first_scale ? first
                                                         : scale;
    for (int row = 0; row < tile && keys > 0; ++row) {
        std::array<double, tile> s{};
        double top = double{row_max[row]};
        for (int j = 0; j < keys; ++j) {
            for (int c = 0; c < tile; ++c) {
                s.at(std::size_t(j)) += double{used} * double{to_float(query[blocked(row, c, 4, 8)])} *
                                        double{to_float(key[blocked(j, c, 4, 8)])};
            }
            s.at(std::size_t(j)) = double{static_cast<float>(s.at(std::size_t(j)))};
            top = std::max(top, s.at(std::size_t(j)));
        }
        if (fault == Attention::idle_where_it_stands && keys < tile && top == double{row_max[row]}) {
            continue;
        }
        const double factor = row_sum[row] == 0 ? 0 : weight<fault>(double{row_max[row]} - top);
        const bool cut = fault == Attention::short_factor && factor != 1;
        double sum = factor * double{cut ? datasets::round_to_bf16(row_sum[row], Rounding::toward_zero)
                                         : row_sum[row]};
        std::array<double, tile> mean{};
        for (int c = 0; c < tile; ++c) {
            mean.at(std::size_t(c)) = factor * double{context[blocked(row, c, 4, 4)]};
        }
        for (int j = 0; j < keys; ++j) {
            const double e = weight<fault>(s.at(std::size_t(j)) - top);
            sum += e;
            for (int c = 0; c < tile && !(fault == Attention::lost_at_28 && keys == 28 && j >= 24); ++c) {
                mean.at(std::size_t(c)) += e * double{to_float(value[blocked(j, c, 8, 4)])};
            }
        }
        row_max[row] = static_cast<float>(top + 0.0);
        row_sum[row] = static_cast<float>(sum);
        for (int c = 0; c < tile; ++c) {
            context[blocked(row, c, 4, 4)] = static_cast<float>(mean.at(std::size_t(c)));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Attention, PlantedFault,
    testing::Values(
        plant("no fault", "attention_update", attend<Attention::right>, ""),
        plant("its own scale", "attention_update", attend<Attention::fixed_scale>, "scale 1"),
        plant("the first scale", "attention_update", attend<Attention::first_scale>, "scale 0.25"),
        plant("values lost at 28", "attention_update", attend<Attention::lost_at_28>, "ragged keys: 28"),
        plant("the argument by floor", "attention_update", attend<Attention::floored_argument>,
              "values of one key each"),
        plant("a bf16 sum times the factor", "attention_update", attend<Attention::short_factor>,
              "the factor of"),
        plant("negative NaN dropped", "attention_update", attend<Attention::drops_nan>, "NaN in a key"),
        plant("no update where maxima stand", "attention_update", attend<Attention::idle_where_it_stands>,
              "ragged keys: 28")),
    name_of);

enum class Store : std::uint8_t {
    right,
    exponent_added,
    saturates,
    first_late,
    ties_away,
    no_sign,
    zero_only,
    bias_of_row_0,
    rest_lost
};

bf16 rounded(float value, Rounding rounding, Store fault, int index) {
    std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    if (fault == Store::ties_away && std::isfinite(value) && (bits & 0xFFFFU) == 0x8000U) {
        return {static_cast<std::uint16_t>((bits >> 16U) + 1)};
    }
    if (fault == Store::saturates) {
        value = std::min(value, 65504.0F);
    }
    return datasets::to_bf16(value,
                             fault == Store::first_late && index < 16 ? Rounding::nearest_even : rounding);
}

// scale * value by the exponent's bits.
bf16 times(bf16 value, float scale, Store fault) {
    if (fault == Store::exponent_added) {
        const std::uint32_t step = (std::bit_cast<std::uint32_t>(scale) - 0x3F800000U) >> 16U;
        return {static_cast<std::uint16_t>(value.bits + step)};
    }
    return datasets::to_bf16(scale * to_float(value), Rounding::nearest_even);
}

template <Rounding rounding, Store fault>
void bias_scale(const float* x, const bf16* bias, float scale, int rows, int columns, bf16* out) {
    const bool rest = fault == Store::rest_lost && columns % 64 != 0;
    for (int i = 0; i < rows * columns; ++i) {
        const int column = fault == Store::bias_of_row_0 && rows == 2 ? 0 : i % columns;
        const float sum = x[i] + to_float(bias[column]);
        if (!rest || i % columns < columns / 64 * 64 + 16) {
            out[i] = times(rounded(sum, rounding, fault, i), scale, fault);
        }
    }
}

template <Rounding rounding, Store fault>
void store(const float* c, float scale, bf16* out) {
    for (int i = 0; i < elements; ++i) {
        out[i] = times(rounded(c[i], rounding, fault, i), scale, fault);
    }
}

template <Store fault>
void scale_tile(float* c, float scale) {
    for (int i = 0; i < elements; ++i) {
        const float product = (fault == Store::no_sign ? std::abs(scale) : scale) * c[i];
        c[i] = fault != Store::zero_only && std::abs(product) < 0x1p-126F ? 0 : product;
    }
}

constexpr Rounding even = Rounding::nearest_even;
constexpr Rounding down = Rounding::floor;

INSTANTIATE_TEST_SUITE_P(
    Stores, PlantedFault,
    testing::Values(
        plant("no fault", "bias_scale_even", bias_scale<even, Store::right>, ""),
        plant("no fault", "bias_scale_floor", bias_scale<down, Store::right>, ""),
        plant("exponent added", "bias_scale_even", bias_scale<even, Store::exponent_added>, "ties and zeros"),
        plant("saturation", "bias_scale_even", bias_scale<even, Store::saturates>, "special values"),
        plant("16 stores to nearest", "bias_scale_floor", bias_scale<down, Store::first_late>, "5 x 512"),
        plant("ties away", "bias_scale_even", bias_scale<even, Store::ties_away>, "ties and zeros"),
        plant("one bias of two rows", "bias_scale_even", bias_scale<even, Store::bias_of_row_0>, "2 x 48"),
        plant("lost columns", "bias_scale_even", bias_scale<even, Store::rest_lost>, "2 x 48"),
        plant("no fault", "store_tile_even", store<even, Store::right>, ""),
        plant("exponent added", "store_tile_even", store<even, Store::exponent_added>, "special values"),
        plant("exponent added", "store_tile_floor", store<down, Store::exponent_added>, "special values"),
        plant("saturation", "store_tile_even", store<even, Store::saturates>, "special values"),
        plant("16 stores to nearest", "store_tile_floor", store<down, Store::first_late>, "random data"),
        plant("no fault", "scale_tile", scale_tile<Store::right>, ""),
        plant("no sign", "scale_tile", scale_tile<Store::no_sign>, "special values, scale -1"),
        plant("no flush", "scale_tile", scale_tile<Store::zero_only>, "special values, scale 2^-30")),
    name_of);

}  // namespace
}  // namespace harness::kernel_gate
