// What a design costs in accuracy before anything runs, and what each single change of it would buy.
#pragma once

#include <string>
#include <vector>

#include "harness/error_model.hpp"

namespace harness {

// The predicted error of one op, not square.
struct BudgetLine {
    datasets::Op op{};
    PredictedError isolated;
    PredictedError chained;
};

// Of the attention, query to output, as far as ops leave their step whole. `golden` must serve these ops.
std::vector<BudgetLine> attention_budget(const datasets::LayerCase& layer, const datasets::Source& golden,
                                         const Declared& declared);

// The error at the output of one layer's attention, chained.
PredictedError output_error(const datasets::LayerCase& layer, const datasets::Source& golden,
                            const Declared& declared);

// A declaration that differs in one thing.
struct Alternative {
    std::string change;  // e.g. "value: stores fp32"
    Declared declared;
};

// Every single change that could make the attention more accurate, as far as the declaration leaves room for
// it, of one op and of all ops at once: nearest even for directed roundings, fp32 stores for bf16, sums that
// stay on the core, exact operands, exact exp and an fp32 argument of it; and one fused step for scores to
// context.
std::vector<Alternative> alternatives(const Declared& declared);

// What a change leaves of the error at the output.
struct Gain {
    std::string change;
    double relative_error = 0;  // root mean square over the layers
    double match_percent = 0;   // predicted, of the worst layer
    double decibel = 0;         // 20 log10(error as declared / relative_error)
};

// The best first. `errors[i]`: at the output of each layer under `changes[i]`.
std::vector<Gain> ranked(const std::vector<PredictedError>& as_declared,
                         const std::vector<std::string>& changes,
                         const std::vector<std::vector<PredictedError>>& errors);

}  // namespace harness
