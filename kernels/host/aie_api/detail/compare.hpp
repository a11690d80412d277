// Lane-wise comparison to a mask, selection by a mask, largest and smallest of two, bits of integers.
//
// bfloat16 and float compare as the AIE2 datapath does (xdna-emu vector_compare.rs and vector_arith.rs, which
// were held against an XDNA1 device): by sign and magnitude, so that -0 lies below +0, and false with a NaN.
// The public comparisons first add +0 to the operand on the left of `lt` and `ge` (Xilinx/aie_api
// detail/aie2/compare.hpp), which makes zeros equal again; `gt` and `le` swap the operands, `eq` is ge both
// ways, `neq` lt either way, so that a NaN is neither equal nor unequal. max and min have no such step:
// max(-0, +0) = +0, and with a NaN in either operand they return the first. For float the emulator's evidence
// covers NaN only; zeros are taken to behave as in bfloat16.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "aie_api/detail/bfloat16_limits.hpp"
#include "aie_api/detail/mask.hpp"
#include "aie_api/detail/vector.hpp"
#include "aie_api/detail/vmac.hpp"

namespace aie {

namespace detail {

template <typename T>
std::int32_t float_bits(T value) {
    return std::bit_cast<std::int32_t>(static_cast<float>(value));
}

template <typename T>
bool is_nan(T value) {
    return (float_bits(value) & 0x7FFFFFFF) > 0x7F800000;
}

// Grows with the value, -0 below +0.
template <typename T>
std::int32_t order_key(T value) {
    const std::int32_t bits = float_bits(value);
    return bits ^ ((bits >> 31) & 0x7FFFFFFF);
}

// a < b and a >= b on the bare datapath.
template <typename T>
bool lane_lt(T a, T b) {
    if constexpr (is_float_element<T>) {
        return !is_nan(a) & !is_nan(b) & (order_key(a) < order_key(b));
    } else {
        return a < b;
    }
}
template <typename T>
bool lane_ge(T a, T b) {
    if constexpr (is_float_element<T>) {
        return !is_nan(a) & !is_nan(b) & (order_key(a) >= order_key(b));
    } else {
        return a >= b;
    }
}

// What the left operand of a floating-point comparison goes through: vadd.f with +0, which changes zeros and
// denormals only.
template <typename T>
T compared(T value) {
    if constexpr (is_float_element<T>) {
        const bool is_small = (float_bits(value) & 0x7F800000) == 0;
        return is_small ? static_cast<T>(vadd(static_cast<float>(value), 0.0F)) : value;
    } else {
        return value;
    }
}

template <typename T, unsigned N>
vector<T, N> spread(T value) {
    vector<T, N> out;
    std::fill_n(out.host_data(), N, value);
    return out;
}

template <typename T, unsigned N, typename Holds>
mask<N> compare_lanes(const vector<T, N>& a, const vector<T, N>& b, Holds holds) {
    return mask<N>::from_lanes([&](unsigned i) { return holds(a.host_data()[i], b.host_data()[i]); });
}

// Whether a vector fills registers of 32-bit lanes and its mask one word.
template <typename T, unsigned N>
inline constexpr bool in_registers = sizeof(T) == 4 && N % lanes == 0 && N <= 32;

// a < b of integers, whole registers at once.
template <unsigned N>
mask<N> less(const vector<std::int32_t, N>& a, const vector<std::int32_t, N>& b) {
    unsigned bits = 0;
    for (unsigned i = 0; i < N; i += lanes) {
        const auto below = load<Signed>(a.host_data() + i) < load<Signed>(b.host_data() + i);
        bits |= nonzero_lanes(as<Words>(below)) << i;
    }
    return mask<N>::from_uint32(bits);
}

template <typename T, unsigned N, typename Combine>
vector<T, N> combine_lanes(const vector<T, N>& a, const vector<T, N>& b, Combine combine) {
    vector<T, N> out;
    for (unsigned i = 0; i < N; ++i) {
        out.host_data()[i] = combine(a.host_data()[i], b.host_data()[i]);
    }
    return out;
}

// A number where a vector of T is expected.
template <typename T>
using Number = std::type_identity_t<T>;

}  // namespace detail

// a < b, a >= b, a > b, a <= b, a == b, a != b, lane by lane. Here and below either operand may be a number.
template <typename T, unsigned N>
mask<N> lt(const vector<T, N>& a, const vector<T, N>& b) {
    if constexpr (std::is_same_v<T, std::int32_t> && detail::in_registers<T, N>) {
        return detail::less(a, b);
    }
    return detail::compare_lanes(a, b, [](T x, T y) { return detail::lane_lt(detail::compared(x), y); });
}
template <typename T, unsigned N>
mask<N> lt(detail::Number<T> a, const vector<T, N>& b) {
    return lt(detail::spread<T, N>(a), b);
}
template <typename T, unsigned N>
mask<N> lt(const vector<T, N>& a, detail::Number<T> b) {
    return lt(a, detail::spread<T, N>(b));
}

template <typename T, unsigned N>
mask<N> ge(const vector<T, N>& a, const vector<T, N>& b) {
    if constexpr (std::is_same_v<T, std::int32_t> && detail::in_registers<T, N>) {
        return ~detail::less(a, b);
    }
    return detail::compare_lanes(a, b, [](T x, T y) { return detail::lane_ge(detail::compared(x), y); });
}
template <typename T, unsigned N>
mask<N> ge(detail::Number<T> a, const vector<T, N>& b) {
    return ge(detail::spread<T, N>(a), b);
}
template <typename T, unsigned N>
mask<N> ge(const vector<T, N>& a, detail::Number<T> b) {
    return ge(a, detail::spread<T, N>(b));
}

template <typename T, unsigned N>
mask<N> gt(const vector<T, N>& a, const vector<T, N>& b) {
    return lt(b, a);
}
template <typename T, unsigned N>
mask<N> gt(detail::Number<T> a, const vector<T, N>& b) {
    return lt(b, a);
}
template <typename T, unsigned N>
mask<N> gt(const vector<T, N>& a, detail::Number<T> b) {
    return lt(b, a);
}

template <typename T, unsigned N>
mask<N> le(const vector<T, N>& a, const vector<T, N>& b) {
    return ge(b, a);
}
template <typename T, unsigned N>
mask<N> le(detail::Number<T> a, const vector<T, N>& b) {
    return ge(b, a);
}
template <typename T, unsigned N>
mask<N> le(const vector<T, N>& a, detail::Number<T> b) {
    return ge(b, a);
}

template <typename T, unsigned N>
mask<N> eq(const vector<T, N>& a, const vector<T, N>& b) {
    return ge(a, b) & ge(b, a);
}
template <typename T, unsigned N>
mask<N> eq(detail::Number<T> a, const vector<T, N>& b) {
    return eq(detail::spread<T, N>(a), b);
}
template <typename T, unsigned N>
mask<N> eq(const vector<T, N>& a, detail::Number<T> b) {
    return eq(a, detail::spread<T, N>(b));
}

template <typename T, unsigned N>
mask<N> neq(const vector<T, N>& a, const vector<T, N>& b) {
    return lt(a, b) | lt(b, a);
}
template <typename T, unsigned N>
mask<N> neq(detail::Number<T> a, const vector<T, N>& b) {
    return neq(detail::spread<T, N>(a), b);
}
template <typename T, unsigned N>
mask<N> neq(const vector<T, N>& a, detail::Number<T> b) {
    return neq(a, detail::spread<T, N>(b));
}

// Whether all lanes are equal; whether any lane differs.
template <typename T, unsigned N>
bool equal(const vector<T, N>& a, const vector<T, N>& b) {
    return neq(a, b).empty();
}
template <typename T, unsigned N>
bool not_equal(const vector<T, N>& a, const vector<T, N>& b) {
    return !equal(a, b);
}

// Lane i is that of `b` where the mask is set, of `a` where it is not.
template <typename T, unsigned N>
vector<T, N> select(const vector<T, N>& a, const vector<T, N>& b, const mask<N>& m) {
    vector<T, N> out;
    if constexpr (detail::in_registers<T, N>) {
        for (unsigned i = 0; i < N; i += detail::lanes) {
            const auto chosen =
                detail::select_lanes(detail::load<detail::Words>(a.host_data() + i),
                                     detail::load<detail::Words>(b.host_data() + i), m.data()[0] >> i);
            detail::store(chosen, out.host_data() + i);
        }
        return out;
    }
    for (unsigned i = 0; i < N; ++i) {
        const bool set = (m.data()[i / 32] >> (i % 32) & 1U) != 0;
        out.host_data()[i] = set ? b.host_data()[i] : a.host_data()[i];
    }
    return out;
}
template <typename T, unsigned N>
vector<T, N> select(detail::Number<T> a, const vector<T, N>& b, const mask<N>& m) {
    return select(detail::spread<T, N>(a), b, m);
}
template <typename T, unsigned N>
vector<T, N> select(const vector<T, N>& a, detail::Number<T> b, const mask<N>& m) {
    return select(a, detail::spread<T, N>(b), m);
}
template <typename T, unsigned N>
requires detail::is_element<T> vector<T, N> select(T a, T b, const mask<N>& m) {
    return select(detail::spread<T, N>(a), detail::spread<T, N>(b), m);
}

// VMAX_LT takes `b` where a < b; VMIN_GE takes `b` where a >= b.
template <typename T, unsigned N>
vector<T, N> max(const vector<T, N>& a, const vector<T, N>& b) {
    return detail::combine_lanes(a, b, [](T x, T y) { return detail::lane_lt(x, y) ? y : x; });
}
template <typename T, unsigned N>
vector<T, N> max(detail::Number<T> a, const vector<T, N>& b) {
    return max(detail::spread<T, N>(a), b);
}
template <typename T, unsigned N>
vector<T, N> max(const vector<T, N>& a, detail::Number<T> b) {
    return max(a, detail::spread<T, N>(b));
}
template <typename T, unsigned N>
vector<T, N> min(const vector<T, N>& a, const vector<T, N>& b) {
    return detail::combine_lanes(a, b, [](T x, T y) { return detail::lane_ge(x, y) ? y : x; });
}
template <typename T, unsigned N>
vector<T, N> min(detail::Number<T> a, const vector<T, N>& b) {
    return min(detail::spread<T, N>(a), b);
}
template <typename T, unsigned N>
vector<T, N> min(const vector<T, N>& a, detail::Number<T> b) {
    return min(a, detail::spread<T, N>(b));
}

// Bits of integers.
template <typename T, unsigned N>
requires std::is_integral_v<T> vector<T, N> bit_and(const vector<T, N>& a, const vector<T, N>& b) {
    return detail::combine_lanes(a, b, [](T x, T y) { return static_cast<T>(x & y); });
}
template <typename T, unsigned N>
requires std::is_integral_v<T> vector<T, N> bit_and(detail::Number<T> a, const vector<T, N>& b) {
    return bit_and(detail::spread<T, N>(a), b);
}
template <typename T, unsigned N>
requires std::is_integral_v<T> vector<T, N> bit_or(const vector<T, N>& a, const vector<T, N>& b) {
    return detail::combine_lanes(a, b, [](T x, T y) { return static_cast<T>(x | y); });
}
template <typename T, unsigned N>
requires std::is_integral_v<T> vector<T, N> bit_or(detail::Number<T> a, const vector<T, N>& b) {
    return bit_or(detail::spread<T, N>(a), b);
}
template <typename T, unsigned N>
requires std::is_integral_v<T> vector<T, N> bit_xor(const vector<T, N>& a, const vector<T, N>& b) {
    return detail::combine_lanes(a, b, [](T x, T y) { return static_cast<T>(x ^ y); });
}
template <typename T, unsigned N>
requires std::is_integral_v<T> vector<T, N> bit_xor(detail::Number<T> a, const vector<T, N>& b) {
    return bit_xor(detail::spread<T, N>(a), b);
}
template <typename T, unsigned N>
requires std::is_integral_v<T> vector<T, N> bit_not(const vector<T, N>& v) {
    return bit_xor(static_cast<T>(-1), v);
}

}  // namespace aie
