// The exponential of AIE2 (`getExpBf16` in mlir-aie's aie_runtime_lib/AIE2/lut_based_ops.h): two 256-entry
// bf16 tables on an 8.8 fixed-point key, one bf16 product, one store.
//   key = floor(x * 2^8), 16 bits;  exp(x) = store(integer_table[key >> 8] * fraction_table[key & 255])
// The argument is bf16. Below -128 the key wraps, so callers clamp at `exp_lowest_argument`.
//
// The tables are the nearest bf16 to exp of every integer and of every 1/256 below one, ties to even. The
// integer table ends at exp(88) = 0x7EF9, which every larger integer repeats, and is 0 at and below -93. The
// product leaves a VMAC: what is below 2^-126 is 0 (xdna-emu, bf16_pipeline.rs), and what is past the largest
// fp32 is infinite.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/tile_kernels.hpp"

namespace kernels {

// Arguments are clamped here: exp of it is 0 in the table, and the key is far from wrapping.
inline constexpr float exp_lowest_argument = -127.0F;

// The bare function, as the table computes it: `x` are bf16 bits, no clamp; the result is bf16 bits. The
// float to fixed-point conversion floors and saturates at 32 bits, a NaN becomes the largest integer, and
// only then is the key cut to 16 bits: so +infinity and NaN give about exp(-1/256) and -infinity gives 1, as
// on the hardware. Throws std::invalid_argument for Store::f32, which has no bf16 bits.
std::uint16_t exp_bf16(std::uint16_t x, Store store);

// exp of max(s - m, exp_lowest_argument) for s <= m: the difference in fp32, rounded to bf16 to nearest even,
// then the table with a nearest-even store (the lookup itself runs under floor, as the hardware requires).
// NaN where s <= m does not hold or s - m is not a number; so s = m = -infinity and s = +infinity give NaN.
float exp_difference(float s, float m);

// Extremes of exp_bf16(x) / exp(x) - 1.
struct ExpError {
    double lowest;
    double highest;
};

// Measured over every bf16 in [-87, 0], where results are normal numbers: what a design that uses the table
// declares. The same bits on every machine. Throws like exp_bf16.
ExpError exp_error(Store store);

// exp_difference as one lookup: entry i holds the bf16 bits of exp(-x), where i are the bf16 bits of x, for
// 0 <= x <= 127. Entry exp_zero_entry (x = 127) holds 0, the last entry, exp_nan_entry, a NaN.
inline constexpr std::uint16_t exp_zero_entry = 0x42FE;
inline constexpr std::uint16_t exp_nan_entry = 0x42FF;

// Replaces the numbers of entries, none above exp_nan_entry, by what the entries hold.
void look_up_exponentials(std::span<std::uint16_t> entries);

}  // namespace kernels
