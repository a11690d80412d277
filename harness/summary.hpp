// Rows of single layers summed up: per op over the layers, and per clip into real-time factors.
#pragma once

#include <vector>

#include "harness/run_record.hpp"

namespace harness {

// One entry per op that has a row, in dataflow order.
std::vector<OpSummary> sum_ops(const std::vector<OpRow>& rows, const std::vector<LayerRow>& layers);

// Processing time and real-time factors of each clip whose layers were timed whole.
std::vector<ClipRow> sum_clips(const std::vector<LayerRow>& layers, const datasets::RecordingInfo& recording);

}  // namespace harness
