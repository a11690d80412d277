// Reciprocal, square roots and quotients, step by step as the public AIE2 implementation computes them, so
// that the bits agree (Xilinx/aie_api detail/aie2/elementary.hpp and aie.hpp, group_elementary).
//
// Vectors of bfloat16 and float: an integer guess and Newton steps in which every value that becomes a
// bfloat16 is rounded by the mode in force. The hardware has no such unit, so these are approximations: about
// 2^-8 for bfloat16. Scalars of float: the public code divides and takes the root in plain C; the library the
// compilers lower that to is not established, both steps are rounded here as IEEE 754 says.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "aie_api/detail/accum.hpp"
#include "aie_api/detail/arithmetic.hpp"
#include "aie_api/detail/vector.hpp"
#include "aie_api/detail/vmac.hpp"

namespace aie {

namespace detail {

inline constexpr std::uint16_t bf16_sign = 0x8000;

// acc + a b in one VMAC; 16 lanes, bf16 bits.
struct ElementVmac {
    float sums[16];

    void add(const bfloat16 (&a)[16], const bfloat16 (&b)[16], std::uint16_t sign = 0) {
        std::uint16_t left[16];
        std::uint16_t right[16];
        for (unsigned i = 0; i < 16; ++i) {
            left[i] = static_cast<std::uint16_t>(a[i].bits ^ sign);
            right[i] = b[i].bits;
        }
        vmac<1>(sums, left, right);
    }
    void store(bfloat16 (&out)[16]) const { round_to_bf16<16>(sums, out, get_rounding()); }
};

// out = bf16(acc + sign a b)
inline void vmac_to_bf16(float acc, const bfloat16 (&a)[16], const bfloat16 (&b)[16], std::uint16_t sign,
                         bfloat16 (&out)[16]) {
    ElementVmac unit;
    std::fill_n(unit.sums, 16, acc);
    unit.add(a, b, sign);
    unit.store(out);
}

inline void fill(bfloat16 (&values)[16], std::uint16_t bits) {
    std::fill_n(values, 16, bfloat16::from_bits(bits));
}

// 1 / v: y = 0x7EB5 - bits(v); y = k1 y (k2 - v y); y = y (2 - v y), k1 = bf16(1.9395974), k2 = 1.436142.
inline void reciprocal(const bfloat16 (&v)[16], bfloat16 (&out)[16]) {
    constexpr std::uint16_t k1_bits = 0x3FF8;
    constexpr float k2 = 1.436142F;
    bfloat16 y[16];
    bfloat16 t[16];
    bfloat16 k1[16];
    fill(k1, k1_bits);
    for (unsigned i = 0; i < 16; ++i) {
        y[i].bits = static_cast<std::uint16_t>(0x7EB5 - v[i].bits);
    }
    ElementVmac unit{};
    unit.add(v, y, bf16_sign);
    for (float& lane : unit.sums) {
        lane = vadd(lane, k2);
    }
    unit.store(t);
    vmac_to_bf16(0, t, y, 0, t);
    bfloat16 minus_y[16];
    vmac_to_bf16(0, t, k1, bf16_sign, minus_y);
    vmac_to_bf16(2, minus_y, v, 0, t);
    vmac_to_bf16(0, minus_y, t, bf16_sign, out);
}

// 1 / sqrt(v): y = bf16(c1 - bits(fp32(v)) / 2); y (c2 c3 - bf16(c2 v) bf16(y y)).
inline constexpr std::int32_t root_c1 = 0x5F1FFFF9;
inline constexpr float root_c2 = 0.703952253F;
inline constexpr float root_c3 = 2.38924456F;

inline void reciprocal_root(const bfloat16 (&v)[16], bfloat16 (&out)[16]) {
    constexpr std::uint16_t c2_bits = 0x3F34;
    bfloat16 c2[16];
    bfloat16 x2[16];
    bfloat16 y[16];
    bfloat16 yy[16];
    fill(c2, c2_bits);
    vmac_to_bf16(0, v, c2, 0, x2);
    ElementVmac guess{};
    for (unsigned i = 0; i < 16; ++i) {
        const auto halved = static_cast<std::int32_t>(std::uint32_t{v[i].bits} << 16) >> 1;  // exact
        guess.sums[i] =
            std::bit_cast<float>(static_cast<std::uint32_t>(root_c1) - static_cast<std::uint32_t>(halved));
    }
    guess.store(y);
    vmac_to_bf16(0, y, y, 0, yy);
    vmac_to_bf16(root_c2 * root_c3, x2, yy, bf16_sign, x2);
    vmac_to_bf16(0, y, x2, 0, out);
}

// 16 lanes at a time; a shorter vector is filled up with lanes whose results are dropped.
template <unsigned N, typename Function>
vector<bfloat16, N> by_sixteen(const vector<bfloat16, N>& v, Function function) {
    vector<bfloat16, N> out;
    for (unsigned first = 0; first < N; first += 16) {
        constexpr unsigned count = N < 16 ? N : 16;
        bfloat16 in[16];
        bfloat16 result[16];
        fill(in, 0x3F80);
        std::copy_n(v.host_data() + first, count, in);
        function(in, result);
        std::copy_n(result, count, out.host_data() + first);
    }
    return out;
}

// The same formulas on fp32; products as aie::mul of float, which emulates them in bf16 parts.
template <unsigned N>
vector<float, N> reciprocal(const vector<float, N>& v) {
    constexpr float k1 = 1.9395974F;
    constexpr float k2 = 1.436142F;
    vector<float, N> y;
    for (unsigned i = 0; i < N; ++i) {
        y.host_data()[i] = std::bit_cast<float>(0x7EB53567U - std::bit_cast<std::uint32_t>(v.host_data()[i]));
    }
    const accum<accfloat, N> inner = add(negmul(v, y), broadcast<float, N>(k2));
    const vector<float, N> half = mul(inner.template to_vector<float>(), y).template to_vector<float>();
    const vector<float, N> minus_y = negmul(half, broadcast<float, N>(k1)).template to_vector<float>();
    const accum<accfloat, N> rest = mac(accum<accfloat, N>(broadcast<float, N>(2.0F)), minus_y, v);
    return negmul(minus_y, rest.template to_vector<float>()).template to_vector<float>();
}

template <unsigned N>
vector<float, N> reciprocal_root(const vector<float, N>& v) {
    const vector<float, N> x2 = mul(v, broadcast<float, N>(root_c2)).template to_vector<float>();
    vector<float, N> y;
    for (unsigned i = 0; i < N; ++i) {
        // The halving is a shift by one, by the rounding mode in force.
        const auto bits = std::bit_cast<std::int32_t>(v.host_data()[i]);
        const auto halved = static_cast<std::uint32_t>(shift_round(bits, 1, get_rounding()));
        y.host_data()[i] = std::bit_cast<float>(static_cast<std::uint32_t>(root_c1) - halved);
    }
    const vector<float, N> yy = mul(y, y).template to_vector<float>();
    const accum<accfloat, N> rest = msc(accum<accfloat, N>(broadcast<float, N>(root_c2 * root_c3)), x2, yy);
    return mul(y, rest.template to_vector<float>()).template to_vector<float>();
}

template <typename T>
inline constexpr bool is_float_scalar = is_float_element<T>;

}  // namespace detail

// 1 / v and 1 / sqrt(v) of every lane.
template <typename T, unsigned N>
vector<T, N> inv(const vector<T, N>& v) {
    static_assert(detail::is_float_element<T>, "aie::inv: floating point only");
    if constexpr (std::is_same_v<T, bfloat16>) {
        return detail::by_sixteen(v, [](const auto& in, auto& out) { detail::reciprocal(in, out); });
    } else {
        return detail::reciprocal(v);
    }
}
template <typename T, unsigned N>
vector<T, N> invsqrt(const vector<T, N>& v) {
    static_assert(detail::is_float_element<T>, "aie::invsqrt: floating point only");
    if constexpr (std::is_same_v<T, bfloat16>) {
        return detail::by_sixteen(v, [](const auto& in, auto& out) { detail::reciprocal_root(in, out); });
    } else {
        return detail::reciprocal_root(v);
    }
}

// Of one number: bfloat16 as lane 0 of the vector form; float in IEEE 754 steps.
template <typename T>
requires detail::is_float_scalar<T> T inv(T value) {
    if constexpr (std::is_same_v<T, bfloat16>) {
        return inv(vector<bfloat16, 16>(value))[0];
    } else {
        return 1.0F / value;
    }
}
template <typename T>
requires detail::is_float_scalar<T> T invsqrt(T value) {
    if constexpr (std::is_same_v<T, bfloat16>) {
        return invsqrt(vector<bfloat16, 16>(value))[0];
    } else {
        return 1.0F / std::sqrt(value);
    }
}

// The root in fp32, then T; lane by lane, as AIE2 has no vector form.
template <typename T>
requires detail::is_float_scalar<T> T sqrt(T value) {
    return static_cast<T>(std::sqrt(static_cast<float>(value)));
}
template <typename T, unsigned N>
vector<T, N> sqrt(const vector<T, N>& v) {
    static_assert(detail::is_float_element<T>, "aie::sqrt: floating point only");
    vector<T, N> out;
    for (unsigned i = 0; i < N; ++i) {
        out.host_data()[i] = sqrt(v.host_data()[i]);
    }
    return out;
}

// a inv(b)
template <typename T, unsigned N>
accum<accfloat, N> div(const vector<T, N>& a, const vector<T, N>& b) {
    return mul(a, inv(b));
}
template <typename T, unsigned N>
accum<accfloat, N> div(const vector<T, N>& a, std::type_identity_t<T> b) {
    return mul(a, broadcast<T, N>(inv(b)));
}
inline float div(float a, float b) {
    return a / b;
}

// Native on XDNA2 alone.
template <typename TR = bfloat16, typename V>
auto exp2(const V&) {
    static_assert(detail::unsupported<V>, "aie::exp2 exists on XDNA2 (AIE2P) only; on AIE2 see getExpBf16");
}
template <typename TR = bfloat16, typename V>
auto tanh(const V&) {
    static_assert(detail::unsupported<V>, "aie::tanh exists on XDNA2 (AIE2P) only; on AIE2 see getTanhBf16");
}
template <typename V>
auto sin(const V&) {
    static_assert(detail::unsupported<V>, "aie::sin exists on the first AIE only");
}
template <typename V>
auto cos(const V&) {
    static_assert(detail::unsupported<V>, "aie::cos exists on the first AIE only");
}
template <typename V>
auto sincos(const V&) {
    static_assert(detail::unsupported<V>, "aie::sincos exists on the first AIE only");
}

}  // namespace aie
