// Why the headline of a layer failed: an op on the way that is wrong, or a price that the design declares.
#pragma once

#include <span>

#include "harness/diagnosis.hpp"
#include "harness/run_record.hpp"

namespace harness {

// The hypothesis for the attention output of one chain; `rows` are those of its layer, in dataflow order.
//   inherited    an op of the chain failed: the first in dataflow order, chained before isolated, with what
//                explains its own error
//   declared_arithmetic  no op failed, and with e the relative error against the golden,
//                (predicted e)^2 / (measured e)^2, at most 1, is at least `least_explained`
//   unknown      else; with the same figures where an error model was asked
// The tile is the worst of the output.
Diagnosis diagnose_headline(const OpStatistics& output, std::span<const OpRow> rows);

}  // namespace harness
