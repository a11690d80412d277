// Linear layers over BLAS, and the constants of attention that golden, recomputed and wide rows share.
#pragma once

#include "datasets/layer_case.hpp"
#include "reference/blas.hpp"

namespace reference {

// 1 / sqrt(64): a power of two, so scaling is exact wherever it happens.
inline constexpr float score_scale = 0.125F;

// result [rows, n] = left [rows, in] weight[first .. first + n, :]^T + bias[first .. first + n], on this
// thread. Rounded after the sum and after the bias.
void apply_rows(const datasets::Linear& linear, std::int64_t first, ConstMatrix<float> left,
                Matrix<float> result);

// The same, in parallel over row blocks of fixed size.
void apply(const datasets::Linear& linear, std::int64_t first, ConstMatrix<float> left, Matrix<float> result);

}  // namespace reference
