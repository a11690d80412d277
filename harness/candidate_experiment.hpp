// The experiment of numbers from a file: the same rows, bounds and verdicts as `run_case`, without anything
// that only a device could show (launches, guards, repeatability, time).
#pragma once

#include <string>
#include <vector>

#include "datasets/candidate.hpp"
#include "datasets/layer_case.hpp"
#include "harness/candidate_path.hpp"
#include "harness/experiment.hpp"
#include "harness/run_record.hpp"
#include "npu_impl/design.hpp"

namespace harness {

// The input whose limits hold for the candidate's rows.
Input input_of(datasets::Feed feed);

// The smallest placement with these ops.
Placement placement_of(const std::vector<datasets::Op>& ops);

// The ops that the file holds in any layer of any clip of the recording, in dataflow order.
std::vector<datasets::Op> held_ops(const datasets::Candidate& candidate,
                                   const datasets::RecordingInfo& recording);

// The ranges in which a layer of the file is judged: those of the selection. A norm that begins one and is
// not in the file was the recording's, so that the chain begins behind it.
std::vector<datasets::Work> candidate_works(const Selection& selection, const CandidatePath& path);

// Certifies the golden of the layer and judges what the candidate holds of it by the arithmetic of `design`.
// The row of an op of `expected` that the file lacks here is not_run. In a chain that lacks an op, the bounds
// of those that read it cannot be told: they fail by level 0 and 2 alone, which take the declaration for what
// the file lacks, and their rows are else covered by the headline where that decides, or not_run. `selection`
// says which rows, and gives the placement; its inputs are the candidate's. Throws ReadError, and
// std::invalid_argument where the layer lacks what the placement needs.
CaseResult judge_candidate(const datasets::LayerCase& layer, const datasets::Candidate& candidate,
                           const npu_impl::Design& design, const std::vector<datasets::Op>& expected,
                           const Selection& selection, const std::string& command, const Progress& progress);

}  // namespace harness
