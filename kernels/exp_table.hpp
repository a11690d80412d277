// The exponential of AIE2 (`getExpBf16` in mlir-aie's aie_runtime_lib/AIE2/lut_based_ops.h): two 256-entry bf16
// tables on an 8.8 fixed-point key, one bf16 product, one store.
//   key = floor(x * 2^8), 16 bits;  exp(x) = store(integer_table[key >> 8] * fraction_table[key & 255])
// The argument is bf16. Below -128 the key wraps, so callers clamp at `exp_lowest_argument`.
#pragma once

#include <cstdint>

#include "kernels/tile_kernels.hpp"

namespace kernels {

// Arguments are clamped here: exp of it is 0 in the table, and the key is far from wrapping.
inline constexpr float exp_lowest_argument = -127.0F;

// The bare function, as the table computes it: `x` are bf16 bits, no clamp; the result is bf16 bits.
std::uint16_t exp_bf16(std::uint16_t x, Store store);

// exp of max(s - m, exp_lowest_argument) for s <= m: the difference in fp32, rounded to bf16 to nearest even, then
// the table with a nearest-even store (the lookup itself runs under floor, as the hardware requires).
float exp_difference(float s, float m);

}  // namespace kernels
