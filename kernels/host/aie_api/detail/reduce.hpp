// Sums and extremes over the lanes of a vector, in the order of the public implementation, because fp32 sums
// depend on it (Xilinx/aie_api detail/aie2/add_reduce.hpp and max_min_reduce.hpp).
//
// Floating point adds on the vadd.f datapath: align to the larger exponent, round each addend to nearest
// even, add, round to nearest even.
#pragma once

#include <type_traits>

#include "aie_api/detail/compare.hpp"
#include "aie_api/detail/vector.hpp"
#include "aie_api/detail/vmac.hpp"

namespace aie {

namespace detail {

// Lane 0 after log2(N) steps of values[i] = combine(values[i], values[i + half]), the halves N/2, N/4, ... 1.
template <unsigned N, typename T, typename Combine>
T folded(T (&values)[N], Combine combine) {
    for (unsigned half = N / 2; half > 0; half /= 2) {
        for (unsigned i = 0; i < half; ++i) {
            values[i] = combine(values[i], values[i + half]);
        }
    }
    return values[0];
}

// fp32: parts of 16 lanes are added first, ascending, the lower half of the parts and the upper half apart
// (two parts: one to the other); the remaining 16 lanes fold.
template <unsigned N>
float sum(const vector<float, N>& v) {
    constexpr unsigned native = N < 16 ? N : 16;
    constexpr unsigned parts = N / native;
    float values[native];
    for (unsigned i = 0; i < native; ++i) {
        const float* part = v.host_data() + i;
        values[i] = part[0];
        if constexpr (parts > 1) {
            float upper = part[parts / 2 * native];
            for (unsigned p = 1; p < parts / 2; ++p) {
                values[i] = vadd(values[i], part[p * native]);
                upper = vadd(upper, part[(parts / 2 + p) * native]);
            }
            values[i] = vadd(values[i], upper);
        }
    }
    return folded(values, [](float a, float b) { return vadd(a, b); });
}

// bf16: four sums of eight, each one VMAC with ones, over all parts of 32 lanes in ascending order; then (sum
// 0 + sum 2) + (sum 1 + sum 3) in fp32 (16 lanes: sum 0 + sum 1; 8 lanes: sum 0); then bf16 by the rounding
// mode in force.
template <unsigned N>
bfloat16 sum(const vector<bfloat16, N>& v) {
    constexpr std::uint16_t one = 0x3F80;
    float sums[16] = {};
    for (unsigned first = 0; first < N; first += 32) {
        std::uint16_t a[8][16] = {};
        std::uint16_t b[8][16] = {};
        for (unsigned i = first; i < N && i < first + 32; ++i) {
            a[i % 8][i % 32 / 8] = v.host_data()[i].bits;
            b[i % 8][i % 32 / 8] = one;
        }
        vmac8(sums, a, b);
    }
    float total = sums[0];
    if constexpr (N > 16) {
        total = vadd(vadd(sums[0], sums[2]), vadd(sums[1], sums[3]));
    } else if constexpr (N > 8) {
        total = vadd(sums[0], sums[1]);
    }
    return bfloat16(total);
}

// Integers wrap, so that the order does not matter.
template <typename T, unsigned N>
requires std::is_integral_v<T> T sum(const vector<T, N>& v) {
    std::uint64_t total = 0;
    for (unsigned i = 0; i < N; ++i) {
        total += static_cast<std::uint64_t>(v.host_data()[i]);
    }
    return static_cast<T>(total);
}

// The extremes: registers of 512 bits combine in ascending order, then one register folds.
template <typename T, unsigned N, typename Combine>
T extreme(const vector<T, N>& v, Combine combine) {
    constexpr unsigned register_lanes = 64 / sizeof(T);
    constexpr unsigned native = N < register_lanes ? N : register_lanes;
    T values[native];
    for (unsigned i = 0; i < native; ++i) {
        values[i] = v.host_data()[i];
        for (unsigned other = i + native; other < N; other += native) {
            values[i] = combine(values[i], v.host_data()[other]);
        }
    }
    return folded(values, combine);
}

}  // namespace detail

// The sum of all lanes.
template <typename T, unsigned N>
T reduce_add(const vector<T, N>& v) {
    return detail::sum(v);
}

// The largest and the smallest lane.
template <typename T, unsigned N>
T reduce_max(const vector<T, N>& v) {
    return detail::extreme(v, [](T a, T b) { return detail::lane_lt(a, b) ? b : a; });
}
template <typename T, unsigned N>
T reduce_min(const vector<T, N>& v) {
    return detail::extreme(v, [](T a, T b) { return detail::lane_ge(a, b) ? b : a; });
}

// Lane i is the sum of vector i, up to four of them; the other lanes are undefined. The public AIE2 code has
// no order of its own for float; each sum is taken as reduce_add's.
template <typename T, unsigned N, std::same_as<vector<T, N>>... Others>
vector<T, N> reduce_add_v(const vector<T, N>& first, const Others&... others) {
    static_assert(sizeof...(Others) < 4, "aie::reduce_add_v: at most four vectors");
    return vector<T, N>(reduce_add(first), reduce_add(others)...);
}

}  // namespace aie
