// Fills what a run record says of modelled time.
#pragma once

#include <string>
#include <vector>

#include "datasets/op.hpp"
#include "harness/encoder_record.hpp"
#include "harness/placement.hpp"
#include "harness/run_record.hpp"
#include "npu_impl/cost_model.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/layer_time.hpp"

namespace harness {

// "modelled for hawk_point: peano kernels, one call per launch, a context per kernel"
std::string words_of(const npu_impl::CostModel& model);

// The steps of one layer under a placement, and of the end where it has one.
TimeModelNotes time_notes(const npu_impl::Design& design, datasets::LayerShape shape,
                          const Placement& placement, const npu_impl::CostModel& model);

// What happens in one layer under a placement, its ranges one after the other.
std::vector<npu_impl::LayerEvent> placement_timeline(const npu_impl::Design& design,
                                                     datasets::LayerShape shape, const Placement& placement,
                                                     const npu_impl::CostModel& model);

// Amdahl's law for the steps of a layer that were timed, mean over the layers; nothing where none were. The
// whole is what was timed: no more of a layer is known.
void add_amdahl(TimeModelNotes& notes, const std::vector<LayerRow>& layers);

// For a whole encoder, from the spectrogram to its output, and the steps of its placement.
void add_amdahl(TimeModelNotes& notes, const EncoderRow& row, const Placement& placement);

}  // namespace harness
