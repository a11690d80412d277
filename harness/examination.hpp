// What is asked of a layer beside its comparison: probes of the candidate, and what its data could reveal.
#pragma once

#include <string>

#include "harness/experiment.hpp"
#include "reference/golden_source.hpp"

namespace harness {

// Fills `row.probes` and `row.data`, as far as `selection` wants them and the candidate has the steps.
// `golden` is that of `layer`; `reproduce` a command that runs the layer.
void examine(LayerRow& row, datasets::PreparedLayer& prepared, const datasets::Path& candidate,
             const datasets::LayerCase& layer, const reference::GoldenSource& golden,
             const Selection& selection, const std::string& reproduce, const Progress& progress);

// Fills `record.ragged_probes`, from the design alone, and `record.trust`, from all layers that ran. Nothing
// where `selection` is less than the whole attention. `reproduce`: a command that does the same.
void examine_run(RunRecord& record, datasets::Path& candidate, const Selection& selection,
                 const std::string& reproduce, const Progress& progress);

// Stages that `examine_run` reports.
int stages_of_run(const Selection& selection);

}  // namespace harness
