// The tile kernels of the AIE2 core, as the array's programs and the emulated device call them.
//
// Every kernel is written in AMD's AIE API, once: the same source compiles for the array with AMD's or
// Peano's compiler and, against kernels/host, for the CPU, where it computes the same bits.
//
// Tiles are 64 x 64 and dense. `blocks RxC` means: cut into R x C blocks, blocks in row-major order, each
// block row-major inside, as the memtile's DMA delivers them for free. Element (i, j) of 64 columns lies at
//   ((i / R) * (64 / C) + j / C) * R * C + (i % R) * C + j % C.
// Pointers are aligned to 64 bytes, outputs do not overlap inputs, and nothing outside the tiles is touched.
//
// A name ends in the rounding of its bf16 stores: `_even` sets rounding_mode::conv_even, `_floor` the reset
// value, rounding_mode::floor. Every kernel sets the mode it needs and leaves floor behind.
#pragma once

#include <aie_api/aie.hpp>

extern "C" {

// c[i, j] = bias[j]. bias [64]; c blocks 4x4.
void start_tile(const bfloat16* bias, float* c);

// c = 0. c blocks 4x4.
void zero_tile(float* c);

// c += a b over 64 k, in VMACs of 8 ascending k. a blocks 4x8, b blocks 8x4, c blocks 4x4.
void matmul_tile(const bfloat16* a, const bfloat16* b, float* c);

// The same with b given as [n, k], blocks 4x8 (weights [out, in], keys [key, channel]), transposed in
// registers.
void matmul_tile_nk(const bfloat16* a, const bfloat16* b, float* c);

// c = bf16(c + a b): the stock kernel's form, C re-rounded once per call. Blocks as matmul_tile.
void matmul_tile_bf16_even(const bfloat16* a, const bfloat16* b, bfloat16* c);
void matmul_tile_bf16_floor(const bfloat16* a, const bfloat16* b, bfloat16* c);
void matmul_tile_nk_bf16_even(const bfloat16* a, const bfloat16* b, bfloat16* c);
void matmul_tile_nk_bf16_floor(const bfloat16* a, const bfloat16* b, bfloat16* c);

// out = bf16(scale * c), scale a positive power of two that bf16 holds. c and out blocks 4x4.
void store_tile_even(const float* c, float scale, bfloat16* out);
void store_tile_floor(const float* c, float scale, bfloat16* out);

// c *= scale, in place, scale a power of two, or minus one, that bf16 holds; exact, but a product below the
// normal numbers is 0. Any layout.
void scale_tile(float* c, float scale);

// Softmax over key tiles, row by row. scores fp32 [64, 64] row-major, of which the first `keys` (0 to 64)
// columns are real; row_max, row_sum fp32 [64], which start at -infinity and 0.
//   m' = max(m, row maximum of the real scores), never -0
//   e = exp_difference(s, m'); 0 for a padded key
//   row_sum = row_sum * exp_difference(m, m') + sum of e, where m' > m; row_sum + sum of e where m' = m
// exp_difference(s, m) is that of kernels/exp_table.hpp with the core's adder and flushing: s - m by vadd.f
// (the smaller operand rounded to 23 fractional bits of the larger, then added and rounded; below 2^-126 it
// is 0), to bf16 under conv_even, clamped at -127, the table lookup under floor, the product stored under
// conv_even, 0 where it is below 2^-126. From the difference on the same bits; NaN where not s <= m.
// Additions are vadd.f too; row_sum * factor takes three VMACs (wide.h). Order of the sum: softmax.cc.
// A NaN or +infinity among a row's real scores, or real scores that are all -infinity while row_max is, make
// the row's sum and results NaN, never those of another row. 0 keys change nothing. What padded scores hold,
// be it NaN, never matters.
void softmax_update(const float* scores, int keys, float* row_max, float* row_sum);

// p = bf16(exp_difference(s, row_max) / row_sum), by r = 1 / row_sum in IEEE fp32, kept as bf16 hi + lo (both
// conv_even); p = e hi, exact, then + e lo, one VMAC each. 0 for a padded key and for rows of no key. p bf16
// row-major.
void softmax_finish_even(const float* scores, int keys, const float* row_max, const float* row_sum,
                         bfloat16* p);
void softmax_finish_floor(const float* scores, int keys, const float* row_max, const float* row_sum,
                          bfloat16* p);

// One key tile of flash attention. query blocks 4x8 [64 rows, 64 channels]; key blocks 4x8 [64 keys, 64
// channels]; value blocks 8x4 [64 keys, 64 channels]; context fp32 blocks 4x4 [64 rows, 64 channels], starts
// at 0. Scores are (scale * query) . key, scale a power of two that bf16 holds, so that the product with it
// is exact (but for underflow). State as softmax_update, the sums in the order of attention.cc; then
//   context = context * exp_difference(m, m') where m' > m, three VMACs; then + e value, e bf16.
// What padded keys and values hold never matters. L1 beside the arguments: tables 4 KB, stack about 6 KB,
// most of it strips of scores, which kernels/manifest.json counts as `score_strip`.
void attention_update(const bfloat16* query, const bfloat16* key, const bfloat16* value, int keys,
                      float scale, float* row_max, float* row_sum, float* context);

// out = bf16(context / row_sum), within 2^-16 before the store; 0 where row_sum is 0. context, out blocks
// 4x4.
void attention_finish_even(const float* context, const float* row_sum, bfloat16* out);
void attention_finish_floor(const float* context, const float* row_sum, bfloat16* out);

// out[i, :] = bf16((x - mean) / sqrt(variance + 1e-5) * gamma + beta) over `columns` (a multiple of 16) of
// each of `rows` rows. x fp32, gamma, beta, out bf16, all row-major. Sums in fp32, two passes. Error:
// layer_norm.cc.
void layer_norm_rows_even(const float* x, const bfloat16* gamma, const bfloat16* beta, int rows, int columns,
                          bfloat16* out);
void layer_norm_rows_floor(const float* x, const bfloat16* gamma, const bfloat16* beta, int rows, int columns,
                           bfloat16* out);

// out = bf16(GELU(x)), the erf form, elementwise over `count` (a multiple of 16), within 2^-11
// max(|GELU(x)|, 2^-8) before the store. x fp32, out bf16.
void gelu_even(const float* x, int count, bfloat16* out);
void gelu_floor(const float* x, int count, bfloat16* out);

// out = bf16(scale * (x + bias)) over [rows, columns], columns a multiple of 16; scale a positive power
// of two that bf16 holds.
void bias_scale_even(const float* x, const bfloat16* bias, float scale, int rows, int columns, bfloat16* out);
void bias_scale_floor(const float* x, const bfloat16* bias, float scale, int rows, int columns,
                      bfloat16* out);

}  // extern "C"
