// Recordings whose layers are the probes (level 3), for what runs elsewhere: another program computes them
// like any recording, and `harness judge` holds its numbers to results that are known.
#pragma once

#include <string>
#include <vector>

#include "datasets/candidate.hpp"
#include "datasets/recording.hpp"
#include "harness/experiment.hpp"
#include "harness/probes.hpp"
#include "npu_impl/design.hpp"

namespace harness {

// Writes `file` whole or not at all: one clip, a layer for each probe, with weights of its own (probe_layer).
// At least two heads. Throws std::runtime_error that names the file.
void record_probes(datasets::LayerShape shape, datasets::DType store, const std::string& file,
                   bool show_progress);

bool is_probe_recording(const datasets::RecordingInfo& recording);

// A recording of activations. Throws ReadError where it holds probes, which are unlike any activations.
datasets::Recording open_activations(const std::string& file);

// Throws ReadError where the recording is not what record_probes writes, and where isolated steps of the
// runner would have read what no file holds.
void require_probes(const datasets::Recording& recording, const datasets::Candidate& candidate,
                    const npu_impl::Design& design);

// The probes of a candidate of a probe recording, by the arithmetic of `design`; not_run where it lacks a
// layer or an op that the design emits. `command` is the harness command line to which a failed row adds its
// layer. Throws ReadError as require_probes does, and where an operand is not that of its probe.
std::vector<ProbeRow> judge_recorded_probes(const datasets::Recording& recording,
                                            const datasets::Candidate& candidate,
                                            const npu_impl::Design& design, const ProbeSelection& selection,
                                            const std::string& command, const Progress& progress);

}  // namespace harness
