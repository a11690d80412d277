// Level 2 of the gate: what the declared arithmetic is expected to err by, element by element, against the
// fp32 golden. Derived by propagating variance and mean of every rounding; nothing here runs on a device.
//
//   isolated  the inputs of each step are the golden's, exact: what errs are the step's own operands, sums,
//             functions and store
//   chained   what the range itself made before errs as predicted and hands that on
//
// Products and softmax: error_terms.hpp and error_attention.hpp. Of the others, x being the input:
//   GELU      the derivative times the error of x, and a third of function_error max(|result|, floor)
//   norms     n^2 var(gain) + var(bias), n = (x - mean) / deviation; x itself is exact. Of fp32, per rounding
//             of the mean (gain / deviation)^2 times the square of mean |x|, for x - mean of max(|x|, |mean|)
// Errors of different elements are taken as independent, but for what rows share: the rounded weights of key
// and value act on all keys alike, so the part that goes with the mean input is carried as shared. What is
// coherent beyond that (rows of silence, which differ by their position only) makes the prediction of a
// context wrong by tens of percent; the limits say what they allow. A directed rounding is a mean, not a
// variance: it adds up linearly.
#pragma once

#include <memory>
#include <vector>

#include "harness/declared.hpp"
#include "harness/judge_input.hpp"

namespace harness {

// The predicted error of one block, dense [rows, columns]: got - golden is expected to be mean, +- sigma.
struct Predicted {
    std::vector<float> mean;
    std::vector<float> sigma;
};

// One op over a whole tensor, against the golden.
struct PredictedError {
    double relative_error = 0;  // Frobenius, mean and variance
    double relative_mean = 0;   // of it the mean's part
    double match_percent = 0;   // 100 (1 - sum (sigma^2 + mean^2) / centred energy)
};

class ErrorPropagation;

// The model of one range of ops of one piece. References must outlive it. Thread-safe. Its cost: per product
// two fp32 products of its size, and for the attention six, beside one pass of roundings over each square
// block; [time, width] tensors are kept, square ones are computed anew where they are asked for.
class ErrorModel {
public:
    // `range`: what a chained run computes; `only_head`: of a run of a single head, else -1. The steps of
    // `declared` are known ones: single ops and scores..context.
    ErrorModel(const datasets::LayerCase& layer, const datasets::Source& golden, Declared declared,
               datasets::OpRange range, int only_head = -1);
    // Of the end of the encoder.
    ErrorModel(const datasets::EndCase& end, const datasets::Source& golden, Declared declared);
    ~ErrorModel();
    ErrorModel(ErrorModel&&) noexcept;
    ErrorModel& operator=(ErrorModel&&) noexcept;

    // Computes what the op needs whole, on all cores. `of` does so where it has not been done.
    void prepare(datasets::Op op, Input input) const;

    // `op` ends a step of the declaration. Throws std::invalid_argument for another.
    void of(datasets::Op op, datasets::Rows rows, Input input, Predicted& into) const;

    // Over all rows (and heads) of an op that is not square.
    [[nodiscard]] PredictedError total(datasets::Op op, Input input) const;

private:
    std::unique_ptr<ErrorPropagation> propagation_;
};

}  // namespace harness
