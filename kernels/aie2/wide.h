// fp32 vectors on a core whose multiplier takes bf16 only: an fp32 number is the exact sum of three bf16.
//
// A VMAC adds exact products of bf16 to an fp32 accumulator; before it adds, it aligns every addend to the
// largest of them and rounds it to 23 fractional bits, to nearest even (AMD AM020 ch. 4). Its error is at
// most 2^-23 of the largest addend or result.
#pragma once

#include <aie_api/aie.hpp>

namespace kernels::aie2 {

constexpr unsigned lanes = 16;
constexpr unsigned tile = 64;

using Bf16s = aie::vector<bfloat16, lanes>;
using Floats = aie::vector<float, lanes>;
using Words = aie::vector<int32, lanes>;
using Accum = aie::accum<accfloat, lanes>;
using Lanes = aie::mask<lanes>;

// The upper halves of fp32 numbers: their bf16 rounded toward zero, whatever the rounding mode.
inline Bf16s upper_halves(const Floats& x) {
    return aie::filter_odd(x.cast_to<int16>()).cast_to<bfloat16>();
}

// x = high + middle + low, exactly while |x| >= 2^-100 (below, parts may underflow, by less than 2^-126). The
// upper two are cut toward zero, so that none has a larger exponent than x: a VMAC that sums them loses
// nothing. What is left fits bf16 as it is; by its conversion a NaN of few set bits stays NaN. The parts of
// an infinity sum up to NaN.
struct Split {
    Bf16s high;
    Bf16s middle;
    Bf16s low;

    explicit Split(const Floats& x) : high(upper_halves(x)) {
        const Floats rest = aie::sub(Accum(x), high).to_vector<float>();
        middle = upper_halves(rest);
        low = aie::sub(Accum(rest), middle).to_vector<bfloat16>();
    }
};

// sum + x * factor, smallest product first: 3 VMACs. The first two lose at most 2^-31 of the product, so that
// the last one rounds: exact where factor is a power of two and sum 0.
inline Accum multiply_add(Accum sum, const Split& x, const Bf16s& factor) {
    sum = aie::mac(sum, x.low, factor);
    sum = aie::mac(sum, x.middle, factor);
    return aie::mac(sum, x.high, factor);
}

inline Accum multiply(const Split& x, const Bf16s& factor) {
    return multiply_add(aie::zeros<accfloat, lanes>(), x, factor);
}

// sum + x * y, smallest products first: 6 VMACs. What is left out (middle * low and below) is under 2^-22 of
// the product, the VMACs add at most 2^-22 of the largest of product and sum.
inline Accum multiply_add(Accum sum, const Split& x, const Split& y) {
    sum = aie::mac(sum, x.low, y.high);
    sum = aie::mac(sum, x.high, y.low);
    sum = aie::mac(sum, x.middle, y.middle);
    sum = aie::mac(sum, x.middle, y.high);
    sum = aie::mac(sum, x.high, y.middle);
    return aie::mac(sum, x.high, y.high);
}

inline Accum multiply(const Split& x, const Split& y) {
    return multiply_add(aie::zeros<accfloat, lanes>(), x, y);
}

// Four fp32, one per row of a 4x4 block, spread over its lanes.
inline Floats of_rows(const aie::vector<float, 4>& values) {
    return aie::transpose(values.grow_replicate<lanes>(), 4, 4);
}

}  // namespace kernels::aie2
