// The exponential of the softmax kernels: exp of a difference by the core's two tables.
#pragma once

#include <lut_based_ops.h>
#include <aie_api/aie.hpp>

#include "wide.h"

namespace kernels::aie2 {

// The integer whose order is that of fp32 numbers: of bits with the sign set, the magnitude negated. -0 and
// +0 become 0, a NaN lies beyond the infinity of its sign. Its own inverse. The core compares integers
// exactly; two fp32 it compares by the sign of their rounded difference (Xilinx/llvm-aie aiev2_vadd.h).
inline Words ordered(const Words& bits) {
    const Words lowest = aie::broadcast<int32, lanes>(int32(-2147483647 - 1));
    return aie::select(bits, aie::sub(lowest, bits), aie::lt(bits, int32(0)));
}

inline Words ordered(const Floats& x) {
    return ordered(x.cast_to<int32>());
}

inline Floats from_ordered(const Words& key) {
    return ordered(key).cast_to<float>();
}

// e[i] = exp_difference(s[i], m): bf16 of exp(max(s - m, -127)), NaN unless s <= m.
//
// Rounding points: the difference in the core's fp32 adder (vadd.f: the smaller operand is aligned to 23
// fractional bits of the larger, to nearest even, before they are added); its conversion to bf16, conv_even;
// the tables, looked up on floor(256 x), which needs rounding_mode::floor (Xilinx/aie_api
// detail/aie2/parallel_lookup.hpp); their product, a VMAC; its store, conv_even. From the difference on it
// equals kernels::exp_difference(difference, 0) of kernels/exp_table.hpp bit for bit, except that one below
// 2^-126 counts as 0.
// In three passes over `count` vectors, since each pass needs its own rounding mode. Leaves conv_even behind.
// Per vector: 1 VMAC.
template <unsigned count>
inline void exp_differences(const Floats (&s)[count], const Floats& m, Bf16s (&e)[count]) {
    constexpr uint16 lowest = 0xC2FE;          // -127, of which the tables make 0
    constexpr uint16 minus_infinity = 0xFF80;  // what lies beyond is NaN
    const Bf16s not_a_number = aie::broadcast<uint16, lanes>(uint16(0x7FC0)).cast_to<bfloat16>();
    Lanes invalid[count];
    Accum products[count];
    aie::set_rounding(aie::rounding_mode::conv_even);
    for (unsigned i = 0; i < count; ++i) {
        const Bf16s difference = aie::sub(Accum(s[i]), m).template to_vector<bfloat16>();
        const auto bits = difference.template cast_to<uint16>();
        invalid[i] = aie::gt(difference.cast_to<int16>(), int16(0)) | aie::gt(bits, minus_infinity);
        e[i] = aie::min(bits, lowest).cast_to<bfloat16>();
    }
    aie::set_rounding(aie::rounding_mode::floor);
    for (unsigned i = 0; i < count; ++i) {
        products[i] = Accum(getExpBf16(e[i]));
    }
    aie::set_rounding(aie::rounding_mode::conv_even);
    for (unsigned i = 0; i < count; ++i) {
        e[i] = aie::select(products[i].template to_vector<bfloat16>(), not_a_number, invalid[i]);
    }
}

inline Bf16s exp_difference(const Floats& s, const Floats& m) {
    const Floats differences[1] = {s};
    Bf16s e[1];
    exp_differences(differences, m, e);
    return e[0];
}

// How a running state follows its maximum from `previous` to `m`.
struct Rescale {
    Lanes grew;    // where the maximum is another
    Bf16s factor;  // exp_difference(previous, m)

    Rescale(const Floats& previous, const Floats& m)
        : grew(~aie::eq(previous.cast_to<int32>(), m.cast_to<int32>())),
          factor(exp_difference(previous, m)) {}

    // x * factor where the maximum grew, the very x where it stood. 3 VMACs.
    Floats operator()(const Floats& x) const {
        return aie::select(x, multiply(Split(x), factor).to_vector<float>(), grew);
    }
};

// The first `keys` lanes, of which `keys` may lie outside 0 to 16.
inline Lanes first_lanes(int keys) {
    const unsigned count = keys < 0 ? 0U : static_cast<unsigned>(keys);
    return Lanes::from_uint32(count >= lanes ? 0xFFFFU : (1U << count) - 1U);
}

// 1 / sum and its split into two bf16, both conv_even: their sum is within 2^-17 of it. 0 where sum is 0, so
// that rows of no key come out as zeros.
struct Reciprocal {
    Bf16s high;
    Bf16s low;

    explicit Reciprocal(const Floats& sum) {
        Floats inverse = aie::zeros<float, lanes>();
        for (unsigned i = 0; i < lanes; ++i) {
            const float value = sum.get(i);
            inverse.set(value == 0.0F ? 0.0F : 1.0F / value, i);
        }
        aie::set_rounding(aie::rounding_mode::conv_even);
        high = Accum(inverse).to_vector<bfloat16>();
        low = aie::sub(Accum(inverse), high).to_vector<bfloat16>();
    }
};

}  // namespace kernels::aie2
