// The bf16 functions of mlir-aie's aie_runtime_lib/AIE2/vec_math.h that follow from one formula each: every
// step is a vector operation whose result is rounded to bf16 by the mode in force.
#pragma once

#include "aie_api/aie.hpp"

namespace aie::detail {

template <unsigned N>
vector<bfloat16, N> product(const vector<bfloat16, N>& a, const vector<bfloat16, N>& b) {
    return mul(a, b).template to_vector<bfloat16>();
}

// 1 / sqrt(x): y = bits 0x5F37 - bits(x) / 2, then one Newton step y (1.5 - x / 2 y y).
template <unsigned N>
vector<bfloat16, N> quick_rsqrt(const vector<bfloat16, N>& x) {
    vector<bfloat16, N> y;
    for (unsigned i = 0; i < N; ++i) {
        const int halved = static_cast<std::int16_t>(x.get(i).bits) >> 1;
        y.set(bfloat16::from_bits(static_cast<std::uint16_t>(0x5F37 - halved)), i);
    }
    const vector<bfloat16, N> half = product(x, broadcast<bfloat16, N>(bfloat16(0.5F)));
    const vector<bfloat16, N> rest =
        sub(broadcast<bfloat16, N>(bfloat16(1.5F)), product(product(half, y), y));
    return product(rest, y);
}

}  // namespace aie::detail

inline v16bfloat16 getRsqrtBf16(const v16bfloat16& x) {
    return aie::detail::quick_rsqrt(x);
}
inline v32bfloat16 getRsqrtBf16(const v32bfloat16& x) {
    return aie::detail::quick_rsqrt(x);
}
inline v16bfloat16 getSqrtBf16(const v16bfloat16& x) {
    return aie::detail::product(x, getRsqrtBf16(x));
}
inline v32bfloat16 getSqrtBf16(const v32bfloat16& x) {
    return aie::detail::product(x, getRsqrtBf16(x));
}
