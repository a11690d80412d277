// Every figure of a run beside its limit, whether the gate failed it or not: what a calibration measures.
//
// For every limit but those of counts (Basis::exact), a figure is beyond its limit exactly where the gate
// finds it (accuracy_findings leaves out limits that are not gated). Of counts the value is what was found
// wrong.
#pragma once

#include <vector>

#include "datasets/path.hpp"
#include "harness/encoder_drift.hpp"
#include "harness/gate.hpp"
#include "harness/run_record.hpp"

namespace harness {

// Levels 0 to 2 of one op; nothing where it was not judged.
std::vector<Headroom> headrooms_of(const OpRow& row);

// The headline, where it applies, and whether the layer repeats itself. Worst row and tile only where the
// match holds, for they decide nothing elsewhere.
std::vector<Headroom> headrooms_of(const LayerRow& layer, const datasets::LayerShape& shape);

// The chain of trust. `stored`: the dtype of the recording's tensors.
std::vector<Headroom> headrooms_of(const Certificate& certificate, datasets::DType stored);

// Level 3; nothing of a probe that was not run.
std::vector<Headroom> headrooms_of(const ProbeRow& row);

// The drift of an encoder, as judge_encoder judges it: launches, every piece alone and the output; of the
// output match and worst row too where `only_attention` ran on the NPU, the latter where the match holds.
std::vector<Headroom> headrooms_of(const EncoderDrift& drift, bool only_attention);

}  // namespace harness
