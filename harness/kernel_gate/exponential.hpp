// How far apart the exponentials of a softmax kernel and of fp64 may lie.
#pragma once

#include <algorithm>
#include <cmath>

namespace harness::kernel_gate {

// The table's largest relative error on its own argument (kernels/manifest.json, exp_error), and what lies
// below the smallest normal fp32.
inline constexpr double exp_table_error = 0.0103;
inline constexpr double exp_underflow = 1e-37;

// Between scores and maxima, all beyond what the table takes: its index has 8 bits before the point, so that
// without a clamp -130 looks up exp(126), -150 and -200 other large numbers, and -300 a small one.
inline constexpr int far_distances[] = {130, 150, 200, 300};

// Of a running sum of 64 numbers >= 0, two fp32 roundings each, and a rescaling.
inline constexpr double running_sum_error = 0x1p-15;

struct Exponential {
    double value = 0;
    double error = 0;
};

// exp(s - m), s known to `score_error`: the difference is rounded to fp32 and to bf16 (2^-8), then looked up.
inline Exponential exponential(double s, double m, double score_error) {
    if (s == m) {
        return {1, std::expm1(score_error) + (score_error > 0 ? exp_table_error : 0)};
    }
    if (std::isinf(m) || std::isinf(s)) {
        return {std::exp(s - m), 0};
    }
    const double value = std::exp(s - m);
    const double shift = score_error + 0x1p-8 * std::abs(s - m) + 0x1p-22 * (std::abs(s) + std::abs(m));
    return {value, value * ((1 + exp_table_error) * std::exp(shift) - 1) + exp_underflow};
}

}  // namespace harness::kernel_gate
