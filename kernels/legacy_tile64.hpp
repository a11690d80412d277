// The device of a published earlier attempt at Whisper on this NPU, to the bit: its scalar 64x64 product, its
// 1024-wide softmax, and the two conversions of the host that called them.
//
// Published in github.com/Unicorn-Commander/Unicorn-Amanuensis, folder
// whisperx/npu/npu_optimization/whisper_encoder_kernels: kernels_xdna1/matmul_bf16_xdna1.cc and
// softmax_bf16_xdna1.cc (core), attention_npu.py and kernels_xdna1/test_softmax.py (host). Its device
// programs are not in the repository; the object files of both kernels are. They were made by Peano and call
// __mulsf3, __addsf3, __subsf3, __divsf3, __fixsfsi and __floatsisf for every operation on floats: so each is
// one IEEE fp32 operation rounded to nearest even, nothing is fused and denormals are kept. Only the
// conversion to bf16 is an instruction of the vector unit (G_FPTRUNC in llvm-aie's AIELegalizerHelper.cpp);
// it obeys the core's rounding mode, which neither kernel sets and which is floor after reset
// (`rounding_mode` of Xilinx/aie_api). Every figure that the attempt printed for these kernels from known
// inputs comes out of this arithmetic digit by digit (legacy_tile64_test.cpp); with another store most do
// not. What no published figure reaches is derived from these sources alone: NaN, infinities, denormals and
// arguments of the exponential below -126 log 2.
//
// bf16 is passed as its 16 bits; tiles are dense and row-major, of any alignment. Outputs do not overlap
// inputs. No allocation, threads or state; the same bits on every machine (but which NaN is not defined).
#pragma once

#include <cstdint>

#include "kernels/tile_kernels.hpp"

namespace kernels::legacy {

inline constexpr int softmax_width = 1024;

// The host's fp32 -> bf16: the upper 16 bits. A NaN whose payload lies in the lower half becomes an infinity.
std::uint16_t truncate(float value);

// The core's fp32 -> bf16: the largest bf16 not above `value`, toward -infinity. Past the largest finite
// bf16, positive values stay there and negative ones become -infinity. A NaN stays one, quiet.
std::uint16_t store(float value);

// c[i, j] = store(sum over k of a[i, k] * b[k, j]), all [64, 64]. The sum starts at +0 and takes k in
// ascending order; every product (exact within fp32's range) and every addition rounds to fp32. One launch of
// the attempt: one floor per 64-deep tile of K.
void matmul_tile(const std::uint16_t* a, const std::uint16_t* b, std::uint16_t* c);

// sum[i, j] += c[i, j], both [64, 64], one fp32 rounding: the host adds up the tiles of K in ascending order,
// from +0. Each is already floored: a bias toward -infinity that grows with the number of tiles of K.
void accumulate(const std::uint16_t* c, float* sum);

// Softmax of one row of 1024. In fp32, one rounding per operation, in this order:
//   m = max(in)                                     ascending, a NaN after the first is passed over
//   y = (in[i] - m) * 1.442695041f                  log2(e)
//   n = y toward zero, saturating at 32 bits;  f = y - n
//   t = (1 + 0.6931471806f * f) + (0.2401598149f * f) * f
//   e = t * (the float whose bits are (n + 127) << 23, cut to 32 bits)
//   sum += e                                        ascending, from +0, of the unrounded e
//   out[i] = store(store(e) * r),  r = 1 / (sum + 1e-7f)
// So the output has two floors: its sum is mostly near 0.995, and no entry reaches 1.
//
// Limits, all of the kernel's own:
// - t is right at f = 0 and too large by up to 9.4 % toward f = -1 (0.547 for 0.5).
// - n < -127 leaves the exponent field: an input more than 88.7 below the row's maximum gives an infinite or
//   a huge negative e (further down, any power at all), which spoils the whole row. So scores cannot be
//   masked by a large negative number, and a NaN or an infinity anywhere makes the whole row NaN.
// - Whisper's rows are 1500 wide, and a launch does 1024. Results of parts of a row cannot be put together:
//   each part is divided by its own sum relative to its own maximum, and neither leaves the core. Adding a
//   constant to all scores of a part (where that is exact) changes its weight in the row but no bit of its
//   result, so the result does not hold what a merge needs; the host would have to do the exponentials again.
//   The attempt's attention never launched this kernel: its `softmax_npu` computes in numpy.
void softmax_1024(const std::uint16_t* in, std::uint16_t* out);

}  // namespace kernels::legacy
