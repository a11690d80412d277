// Level 2 of the gate: errors against the golden in units of what the declared arithmetic predicts.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "harness/gate.hpp"
#include "harness/judge_input.hpp"

namespace harness {

// Which row a figure belongs to.
struct AccuracyRow {
    datasets::Op op{};
    Input input{};
    // It ends a fused step, or a running sum is rounded on the way: its own, or, chained, that of the context
    // which an output reads.
    bool coherent = false;
};

// `declared`: the arithmetic of an op.
AccuracyRow accuracy_row(datasets::OpRange step, Input input,
                         const std::function<datasets::Arithmetic(datasets::Op)>& declared);

// Every level 2 figure that has a limit for this row; empty where level 2 says nothing: below 64 rows,
// without an error model, and where less than 2^-16 is predicted, so that fp32 sums decide, whose errors
// level 1 bounds.
std::vector<Headroom> accuracy_of(AccuracyRow row, const datasets::LayerShape& shape,
                                  const OpStatistics& statistics);

// Those of them that are gated and beyond their limit. `z`: the statistics that they are of.
std::vector<Finding> accuracy_findings(std::span<const Headroom> headrooms,
                                       const std::optional<ZStatistics>& z);

}  // namespace harness
