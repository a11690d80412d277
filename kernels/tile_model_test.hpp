// What the kernel tests share: an independent scalar model of the arithmetic, written plainly from the
// comments of tile_kernels.hpp and exp_table.hpp (compiled without contraction), tiles of test data, and
// buffers with canaries.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "hwy/targets.h"
#include "kernels/tile_kernels.hpp"

namespace kernels::model {

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
inline constexpr Store all_stores[] = {Store::f32, Store::bf16_nearest_even, Store::bf16_toward_zero,
                                       Store::bf16_floor};
inline constexpr Store bf16_stores[] = {Store::bf16_nearest_even, Store::bf16_toward_zero, Store::bf16_floor};
inline constexpr Right both_layouts[] = {Right::k_by_n, Right::n_by_k};

using Bits = std::vector<std::uint16_t>;
using Floats = std::vector<float>;

inline std::size_t at(int row, int column) {
    return static_cast<std::size_t>(row * tile + column);
}

// The value of bf16 bits by the definition of the format; an infinity stands one step beyond the largest
// number.
inline double value_of(std::uint16_t bits) {
    const int exponent = (bits >> 7) & 0xFF;
    const int fraction = bits & 0x7F;
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -133) : std::ldexp(128 + fraction, exponent - 134);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// By comparing with both neighbours in double.
inline std::uint16_t to_bf16(float value, Store store) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto inner = static_cast<std::uint16_t>(bits >> 16);
    if (std::isnan(value)) {
        return inner | 0x0040;
    }
    const double exact = static_cast<double>(value);
    if (std::isinf(value) || value_of(inner) == exact) {
        return inner;
    }
    const auto outer = static_cast<std::uint16_t>(inner + 1);  // away from zero
    if (store == Store::bf16_toward_zero) {
        return inner;
    }
    if (store == Store::bf16_floor) {
        return std::signbit(value) ? outer : inner;
    }
    const double to_inner = std::abs(exact - value_of(inner));
    const double to_outer = std::abs(exact - value_of(outer));
    if (to_inner == to_outer) {
        return (inner & 1) == 0 ? inner : outer;
    }
    return to_inner < to_outer ? inner : outer;
}

inline float to_float(std::uint16_t bits) {
    return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

inline float through_bf16(float value) {
    return to_float(to_bf16(value, Store::bf16_nearest_even));
}

// The table exponential from long double exp, entry by entry as the tables of mlir-aie's lut_based_ops.cpp.
inline std::uint16_t exp_bits(std::uint16_t x, Store store) {
    const double argument = static_cast<double>(to_float(x));
    double floored = std::isnan(argument) ? 2147483647.0 : std::floor(argument * 256.0);
    floored = std::fmax(-2147483648.0, std::fmin(2147483647.0, floored));
    const std::int64_t key = static_cast<std::int64_t>(floored) & 0xFFFF;
    const int high =
        static_cast<int>(key >> 8) >= 128 ? static_cast<int>(key >> 8) - 256 : static_cast<int>(key >> 8);
    const auto table_entry = [](long double exact) {
        return to_float(to_bf16(static_cast<float>(exact), Store::bf16_nearest_even));
    };
    const float whole = table_entry(std::exp(static_cast<long double>(std::min(high, 88))));
    const float fraction = table_entry(std::exp(static_cast<long double>(key & 0xFF) / 256));
    const float product = whole * fraction;
    return to_bf16(product < 0x1p-126F ? 0.0F : product, store);
}

inline float exp_difference(float s, float m) {
    const float difference = s - m;
    if (std::isnan(difference) || difference > 0) {
        return not_a_number;
    }
    return to_float(exp_bits(to_bf16(std::fmax(difference, -127.0F), Store::bf16_nearest_even),
                             Store::bf16_nearest_even));
}

inline float right_at(const std::uint16_t* right, Right layout, int k, int n) {
    return to_float(right[layout == Right::k_by_n ? at(k, n) : at(n, k)]);
}

inline void multiply(const std::uint16_t* left, const std::uint16_t* right, Right layout, int depth,
                     float* acc) {
    for (int i = 0; i < tile; ++i) {
        for (int j = 0; j < tile; ++j) {
            float sum = acc[at(i, j)];
            for (int k = 0; k < depth; ++k) {
                sum = std::fma(to_float(left[at(i, k)]), right_at(right, layout, k, j), sum);
            }
            acc[at(i, j)] = sum;
        }
    }
}

struct State {
    Floats row_max = Floats(tile, -infinity);
    Floats row_sum = Floats(tile, 0.0F);
    Floats context = Floats(tile * tile, 0.0F);
    Floats rescale = Floats(tile, 1.0F);       // of the last update
    Bits exponentials = Bits(tile * tile, 0);  // of the last update
};

inline float row_total(const std::uint16_t* e) {
    const auto at_lane = [&](int lane) {
        return ((to_float(e[lane]) + to_float(e[lane + 16])) + to_float(e[lane + 32])) +
               to_float(e[lane + 48]);
    };
    float eight[8];
    for (int lane = 0; lane < 8; ++lane) {
        eight[lane] = at_lane(lane) + at_lane(lane + 8);
    }
    const float four[4] = {eight[0] + eight[4], eight[1] + eight[5], eight[2] + eight[6],
                           eight[3] + eight[7]};
    return (four[0] + four[2]) + (four[1] + four[3]);
}

inline void softmax_update(const float* scores, int keys, State& state) {
    for (int i = 0; i < tile && keys > 0; ++i) {
        const auto row = static_cast<std::size_t>(i);
        const float previous = state.row_max[row];
        float maximum = previous;
        for (int j = 0; j < keys; ++j) {
            maximum = scores[at(i, j)] > maximum ? scores[at(i, j)] : maximum;
        }
        maximum = maximum == 0 ? 0.0F : maximum;
        for (int j = 0; j < tile; ++j) {
            const float e = j < keys ? exp_difference(scores[at(i, j)], maximum) : 0.0F;
            state.exponentials[at(i, j)] = to_bf16(e, Store::bf16_toward_zero);
        }
        state.rescale[row] = maximum == previous ? 1.0F : exp_difference(previous, maximum);
        state.row_max[row] = maximum;
        const float kept = state.row_sum[row] * state.rescale[row];
        state.row_sum[row] = kept + row_total(&state.exponentials[at(i, 0)]);
    }
}

inline float inverse(float row_sum) {
    return row_sum == 0 ? 0.0F : 1.0F / row_sum;
}

inline void softmax_finish(const float* scores, int keys, const State& state, Store store, std::uint16_t* p) {
    for (int i = 0; i < tile; ++i) {
        const auto row = static_cast<std::size_t>(i);
        const float reciprocal = inverse(state.row_sum[row]);
        const float high = through_bf16(reciprocal);
        const float low = through_bf16(reciprocal - high);
        for (int j = 0; j < tile; ++j) {
            const float e = j < keys ? exp_difference(scores[at(i, j)], state.row_max[row]) : 0.0F;
            const float by_high = e * high;
            const float by_low = e * low;
            p[at(i, j)] = j < keys ? to_bf16(by_high + by_low, store) : std::uint16_t{0};
        }
    }
}

inline void attention_update(const std::uint16_t* query, const std::uint16_t* key, const std::uint16_t* value,
                             int keys, float scale, State& state) {
    Floats scores(tile * tile, 0.0F);
    multiply(query, key, Right::n_by_k, tile, scores.data());
    for (float& score : scores) {
        score = score * scale;
    }
    softmax_update(scores.data(), keys, state);
    for (int i = 0; i < tile && keys > 0; ++i) {
        for (int c = 0; c < tile; ++c) {
            state.context[at(i, c)] = state.context[at(i, c)] * state.rescale[static_cast<std::size_t>(i)];
        }
    }
    multiply(state.exponentials.data(), value, Right::k_by_n, keys, state.context.data());
}

// The stored form of `value`: fp32 bits, or bf16 bits, widened to 32 bits for comparison.
inline std::uint32_t stored(float value, Store store) {
    return store == Store::f32 ? std::bit_cast<std::uint32_t>(value) : std::uint32_t{to_bf16(value, store)};
}

// Equal bits; any NaN equals any other, because which one an operation yields is not defined.
inline bool same(float a, float b) {
    return (std::isnan(a) && std::isnan(b)) ||
           std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}
inline bool same(std::uint16_t a, std::uint16_t b) {
    return same(to_float(a), to_float(b));
}

// The first difference between two tiles, or nothing.
template <typename T>
testing::AssertionResult equal_tiles(const T* got, const T* expected, std::size_t count) {
    std::size_t wrong = 0;
    std::size_t first = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (!same(got[i], expected[i])) {
            first = wrong == 0 ? i : first;
            ++wrong;
        }
    }
    if (wrong == 0) {
        return testing::AssertionSuccess();
    }
    return testing::AssertionFailure()
           << wrong << " of " << count << " differ, first at [" << first / tile << ", " << first % tile
           << "]: " << got[first] << ", expected " << expected[first];
}

// A buffer between two rows of canaries, deliberately not aligned to more than its element.
template <typename T>
class Guarded {
public:
    explicit Guarded(std::size_t count) : elements_(count + 2 * margin) {
        std::memset(elements_.data(), canary, elements_.size() * sizeof(T));
    }
    explicit Guarded(const std::vector<T>& values) : Guarded(values.size()) {
        std::copy(values.begin(), values.end(), data());
    }
    T* data() { return elements_.data() + margin; }
    const T* data() const { return elements_.data() + margin; }
    std::size_t size() const { return elements_.size() - 2 * margin; }
    bool intact() const {
        const auto* bytes = reinterpret_cast<const unsigned char*>(elements_.data());
        const std::size_t edge = margin * sizeof(T);
        const std::size_t end = elements_.size() * sizeof(T);
        const auto untouched = [](unsigned char byte) { return byte == canary; };
        return std::all_of(bytes, bytes + edge, untouched) &&
               std::all_of(bytes + end - edge, bytes + end, untouched);
    }

private:
    static constexpr std::size_t margin = 67;
    static constexpr unsigned char canary = 0xA5;
    std::vector<T> elements_;
};

// A tile of bf16 from a generator of floats, rounded toward zero.
template <typename Draw>
Bits draw_tile(Draw&& draw) {
    Bits tile_bits(tile * tile);
    for (std::uint16_t& bits : tile_bits) {
        bits = to_bf16(draw(), Store::bf16_toward_zero);
    }
    return tile_bits;
}

inline Bits normal_tile(unsigned seed, float deviation = 1.0F) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0.0F, deviation);
    return draw_tile([&] { return normal(engine); });
}

// Scores of which some rows are peaked, some flat, some far below zero.
inline Floats score_tile(unsigned seed, float offset = 0.0F) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    Floats scores(tile * tile);
    for (int i = 0; i < tile; ++i) {
        const float spread = 0.01F * static_cast<float>(1 << (i % 12));
        for (int j = 0; j < tile; ++j) {
            scores[at(i, j)] = offset + spread * normal(engine) - static_cast<float>(i % 5) * 10.0F;
        }
    }
    return scores;
}

// A test of the kernels of one vector target; its parameter is a HWY_* target bit.
class EveryTarget : public testing::TestWithParam<std::int64_t> {
protected:
    void SetUp() override {
        hwy::SetSupportedTargetsForTest(GetParam());
        kernels_ = &tile_kernels();
        ASSERT_STREQ(kernels_->target, hwy::TargetName(GetParam()));
    }
    void TearDown() override { hwy::SetSupportedTargetsForTest(0); }

    const KernelTable& kernels() const { return *kernels_; }

private:
    const KernelTable* kernels_ = nullptr;
};

inline std::vector<std::int64_t> targets_of_this_cpu() {
    return hwy::SupportedAndGeneratedTargets();
}

inline std::string target_name(const testing::TestParamInfo<std::int64_t>& info) {
    return hwy::TargetName(info.param);
}

}  // namespace kernels::model
