// What is asked of a layer beside its comparison: probes of the candidate, and what its data could reveal.
#pragma once

#include <string>
#include <vector>

#include "harness/experiment.hpp"
#include "reference/golden_source.hpp"

namespace harness {

// Fills `row.probes` and `row.data`, as far as `selection` wants them and the candidate has the steps.
// `golden` is that of `layer`; `reproduce` a command that runs the layer.
void examine(LayerRow& row, datasets::PreparedLayer& prepared, const datasets::Path& candidate,
             const datasets::LayerCase& layer, const reference::GoldenSource& golden,
             const Selection& selection, const std::string& reproduce, const Progress& progress);

// Fills `record.ragged_probes`, from the design alone. Nothing where `asks_design_probes` is false.
// `reproduce`: a command that does the same.
void examine_design(RunRecord& record, datasets::Path& candidate, const Selection& selection,
                    const std::string& reproduce, const Progress& progress);
bool asks_design_probes(const datasets::Path& candidate, const Selection& selection);

// The rows of `examine_design` where it did not run, for `reason`.
std::vector<ProbeRow> lost_design_probes(const std::string& reason);

// Fills `record.trust` from all layers that ran and all probes; nothing where none has its statistics.
// `softmax`: the declared arithmetic of the op that takes the exp, `softmax_op` of the design.
void examine_data(RunRecord& record, const datasets::Arithmetic& softmax);
datasets::Op softmax_op(bool emits_probabilities);

// Stages that `examine_design` reports.
int design_probe_stages();

}  // namespace harness
