// How far attention may lie from a result that is known in closed form.
//
// Weights that a kernel both multiplies by and sums up err alike, so that their errors cancel in the
// quotient: with V = 1 fused attention is off by its two sums, the final product and its store, whatever its
// exp. That is the definition of flash attention (kernels/aie2/kernels.h); a design that sums other weights
// than it multiplies by has no such bound. Notation as in bounds.hpp.
//
//   one row, |e| <= eta its weights' mismatch, a the error of the running sum, f that of the reciprocal:
//   fused     w_j alike in sum and context: eta = 0, a of both sums:
//             |c - r| <= (a M + a |r|) / (1 - a) (1 + f)(1 + u_s) + (f + u_s)(1 + f) |r|,   M = sum p_j |v_j|
//   softmax   the running sum holds e(s_j - m_then) times the factors exp(m - m') of the R_j growths of the
//             maximum since, what is stored is e(s_j - m) itself. Where R_j = 0 they are the same number,
//             else the two differ by h_j = (1 + E)^(2 + R_j) e^(2 u_d |d_j|) - 1.
//             eta = sum w_j (1 + h_j) h_j / sum w_j / (1 + h_j)
//             |sum p - 1| <= (1 + 2^-15)(1 + u_s) / ((1 - eta)(1 - a)) - 1
//   unfused   delta the latter, g the GEMM's relative error (sums, and re-rounded or added k tiles):
//             |c - r| <= ((1 + delta)(1 + g) - 1) M (1 + u_s) + u_s |r|
//             where all weights of a row are the same number, delta scales |r| instead of M.
#pragma once

#include <cstdint>
#include <span>

#include "datasets/path.hpp"

namespace harness {

// Relative errors of a weighted mean sum p_j v_j whose weights are known: of |result|, and of sum p_j |v_j|.
struct MeanError {
    double of_result = 0;
    double of_magnitudes = 0;

    [[nodiscard]] double bound(double result, double magnitudes) const {
        return of_result * result + of_magnitudes * magnitudes;
    }
};

// What the weights of a row have in common.
enum class Weights : std::uint8_t {
    any,
    equal,   // all the same number
    single,  // one is 1, the others vanish: one k tile holds a sum, the others nothing
};

class ProbeBound {
public:
    // `path` must have scores, probabilities and context, fused or each alone, and outlive this.
    ProbeBound(const datasets::Path& path, std::int64_t keys);

    [[nodiscard]] bool fused() const { return fused_; }

    // Of context before anything is known of the scores; `row_sum`: bound of its row of probabilities.
    [[nodiscard]] MeanError context(Weights weights, double row_sum) const;

    // |sum p - 1| where no maximum grows after a key of any weight.
    [[nodiscard]] double row_sum() const { return row_sum_of(0); }

    // |sum p - 1| of a row with these scores (as the softmax read them). 0 where nothing is emitted.
    [[nodiscard]] double row_sum(std::span<const float> scores) const;

private:
    [[nodiscard]] double row_sum_of(double mismatch) const;

    bool fused_;
    std::int64_t keys_;
    datasets::Arithmetic softmax_;
    datasets::Arithmetic context_;
};

}  // namespace harness
