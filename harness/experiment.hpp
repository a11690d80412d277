// One experiment: a golden and a candidate path over one layer of a recording, or over the end of the
// encoder. `run_case` is the whole flow.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/path.hpp"
#include "harness/placement.hpp"
#include "harness/run_record.hpp"
#include "harness/stopwatch.hpp"

namespace harness {

// What to run of each layer.
struct Selection {
    Placement placement = parse_placement("attention");  // the ops that the candidate computes
    std::set<datasets::Op> ops;                          // judged rows; empty: all
    int head = -1;  // -1: all; a single head leaves out ops without heads
    std::vector<Input> inputs{Input::isolated, Input::chained};
    StopRule timing{6, 10, 0.02, 30};  // of the golden's runs
    std::uint64_t row_seed = 1;        // of the rows that certify the golden
    bool predict_errors = true;        // level 2: errors in units of what the declared arithmetic predicts
    bool probes = true;                // level 3, of every layer whose context is judged

    [[nodiscard]] bool judges(datasets::Op op) const { return ops.empty() || ops.contains(op); }
    [[nodiscard]] bool probed() const {
        return probes && placement.contains(datasets::Op::context) && judges(datasets::Op::context);
    }
    // Nothing of the attention is left out.
    [[nodiscard]] bool whole_attention() const {
        return placement.contains(datasets::Op::context) && ops.empty() && head < 0;
    }
    // What the candidate computes of a layer: the ranges with a judged op.
    [[nodiscard]] std::vector<datasets::Work> works() const;
};

// Called when a stage of a case begins.
using Progress = std::function<void(std::string_view stage)>;

// The rows of one layer, or of the end.
struct CaseResult {
    std::vector<OpRow> rows;
    LayerRow layer;
};

// Number of times `run_case` reports progress.
int stages_of(const Selection& selection);

// Certifies the golden, runs and judges the candidate on each range of the placement, step by step (isolated)
// and as a whole (chained: golden at the start of the range, its own results behind it), checks that it
// repeats itself, probes it, and times what passed. `command` is a harness command line to which a failed row
// adds its selection.
// Throws std::invalid_argument where the candidate or the layer lacks an op of the placement.
CaseResult run_case(const datasets::LayerCase& layer, datasets::Path& golden, datasets::Path& candidate,
                    const Selection& selection, const std::string& command, const Progress& progress);

// The same for the end of the encoder. `source` serves `block` of the last layer and the golden's `encoder`.
CaseResult run_end(const datasets::EndCase& end, const std::string& clip, const datasets::Source& source,
                   datasets::Path& golden, datasets::Path& candidate, const Selection& selection,
                   const std::string& command, const Progress& progress);

}  // namespace harness
