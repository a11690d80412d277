// How far apart the exponentials of a softmax kernel and of fp64 may lie.
#pragma once

#include <cmath>

#include "harness/kernel_gate/tile_case.hpp"

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

// exp(s - m), s known to `score_error`: the difference is taken in fp32, rounded to the nearest bf16, which
// may hold it exactly, then looked up.
inline Exponential exponential(double s, double m, double score_error) {
    if (s == m) {
        return {1, std::expm1(score_error) + (score_error > 0 ? exp_table_error : 0)};
    }
    if (!std::isfinite(m) || !std::isfinite(s)) {
        return {std::exp(s - m), 0};
    }
    const double before = score_error + 0x1p-22 * (std::abs(s) + std::abs(m));
    const bool held = score_error == 0 && exact_in(Type::bf16, s - m) == s - m;
    const double half_a_unit = held ? 0 : std::ldexp(1.0, std::ilogb(std::abs(s - m) + before) - 8);
    const double value = std::exp(s - m);
    const double largest = (1 + exp_table_error) * std::exp(s - m + before + half_a_unit);
    return {value, largest - value + exp_underflow};
}

}  // namespace harness::kernel_gate
