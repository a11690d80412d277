// Rows of single layers summed up: per op over the layers, and per clip into real-time factors.
#pragma once

#include <optional>
#include <vector>

#include "harness/run_record.hpp"

namespace harness {

// One entry per op that has a row, in dataflow order.
std::vector<OpSummary> sum_ops(const std::vector<OpRow>& rows, const std::vector<LayerRow>& layers);

// Processing time and real-time factors of each clip whose layers were timed whole.
std::vector<ClipRow> sum_clips(const std::vector<LayerRow>& layers, const datasets::RecordingInfo& recording);

// Of the layers that were timed whole (all layers but the end: the same work); nothing where there is none.
std::optional<CpuTiming> sum_cpu_timing(const std::vector<LayerRow>& layers);

// What a speedup may be: `half_width` either way of the CPU's time, relative, and of the NPU's `factor` where
// it is modelled, else what the medians of its layers are known to. None where either is not known.
void add_speedup_intervals(std::vector<ClipRow>& clips, const std::vector<LayerRow>& layers, double factor,
                           double half_width);

// Takes the error maps from rows that are not failed, and from all behind the first most_mapped_rows of them
// or most_map_letters. What the shards of a run keep holds what the whole run keeps.
void keep_first_error_maps(std::vector<OpRow>& rows);

// Summaries, verdict and exit code of a record whose rows are complete.
void sum_up(RunRecord& record);

}  // namespace harness
