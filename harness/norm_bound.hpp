// How far a layer normalisation may err before its result is stored, from the arithmetic that it declares.
//
// The declared arithmetic, on rows of N fp32 x: mean = sum / N; d = x - mean; variance = sum of d^2 / N;
// y = 1 / sqrt(variance + 1e-5); n = d y; result = n gain + bias; then the store. Notation: u = 2^-24, m, v,
// y, d, n without error, a hat: as computed, gamma(k) = k u / (1 - k u).
//
//   on AIE2   (vmac_f32) sums run in 16 lanes through the core's adder, which rounds twice (the smaller
//             operand to half of 2^-23 of the larger, and the sum), and are folded in four more steps: each
//             term passes D = N/16 + 4 additions. Products of fp32 are six VMACs of bf16 parts, products of
//             fp32 and bf16 three; a VMAC of two addends rounds the smaller one and the sum: 2^-23 of the
//             larger. The parts that are left out of the six are 2^-22 of the product (kernels/aie2/wide.h).
//             Both emulations declare this. Elsewhere: fp32 operations in any order.
//   sum       |mean^ - m| <= M = (S + 2 u) mean|x|, S = gamma(2 D); elsewhere gamma(N)
//   d         |d^ - d| <= M + e, e = a max(|x|, |m| + M) + u (|d| + M), a = u for the adder's alignment,
//             elsewhere 0
//   variance  d^ = d + c + e_i with one c for the row, and the d of a row sum to 0, so that c counts by its
//             square alone: -2 mean(|d| e) <= mean d^^2 - v <= 2 mean(|d| e) + mean (M + e)^2.
//             Products and sum: Q = gamma(2 * 6 N/16) + 2^-22 + gamma(8), elsewhere gamma(N + 2); division,
//             the addition of 1e-5 and its own rounding: 3 u.
//             v^ + 1e-5 = (v + 1e-5)(1 + w), -w_down <= w <= w_up; v^ is not negative, whatever w_down says
//   y         |y^ / y - 1| <= R, from w_down and w_up, and 2^-22 for the root in scalar fp32 (Newton's last
//             step and its roundings)
//   n         |n^ - n| <= |n| ((1 + R)(1 + P) - 1) + (M + e) y (1 + R)(1 + P), P = 2^-22 + 6 * 2^-23,
//             elsewhere u
//   result    <= |gain| |n^ - n| + F (|bias| + |gain| (|n| + |n^ - n|)), F = 3 * 2^-23, elsewhere gamma(2)
//
// To first order that is about (N/16 + 8) 2^-23 (1 + mean|x| / deviation) of |gain| (1 + |n|) + |bias|, which
// kernels/aie2/layer_norm.cc states for itself, with the six roundings of a product in the sum of squares
// counted one by one. Where the deviation drowns in the rounding of the mean, the bound widens and stays
// finite.
#pragma once

#include <span>

#include "datasets/arithmetic.hpp"
#include "datasets/layer_case.hpp"

namespace harness {

// Roundings of the sum behind a row's mean: in 16 lanes of the core's adder, which rounds twice, and their
// folds; or one after the other.
double roundings_of_mean(const datasets::Arithmetic& arithmetic, double columns);

// The bound of each element of one row, before the store. `x` is the row as the kernel is due to read it, the
// weights are rounded as it declares.
void norm_errors(std::span<const float> x, const datasets::Norm& norm, const datasets::Arithmetic& arithmetic,
                 std::span<double> errors);

}  // namespace harness
