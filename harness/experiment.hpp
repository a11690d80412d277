// One experiment: a golden and a candidate path over one layer of a recording. `run_case` is the whole flow.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/path.hpp"
#include "harness/run_record.hpp"

namespace harness {

// What to run of each layer.
struct Selection {
    std::set<datasets::Op> ops;  // judged rows; empty: all
    int head = -1;               // -1: all; a single head leaves out ops without heads
    std::vector<Input> inputs{Input::isolated, Input::chained};
    int repetitions = 3;         // timed runs of the golden
    std::uint64_t row_seed = 1;  // of the rows that certify the golden

    [[nodiscard]] bool judges(datasets::Op op) const { return ops.empty() || ops.contains(op); }
    [[nodiscard]] datasets::Work chain() const {
        const auto last = head < 0 ? datasets::Op::output : datasets::Op::context;
        return {{datasets::Op::query, last}, head};
    }
};

// Called when a stage of a case begins.
using Progress = std::function<void(std::string_view stage)>;

// The rows of one layer.
struct CaseResult {
    std::vector<OpRow> rows;
    LayerRow layer;
};

// Number of times `run_case` reports progress.
int stages_of(const Selection& selection);

// Certifies the golden, runs and judges the candidate step by step (isolated) and as a whole (chained),
// checks that it repeats itself, and times what passed. `command` is a harness command line to which a failed
// row adds its selection.
CaseResult run_case(const datasets::LayerCase& layer, datasets::Path& golden, datasets::Path& candidate,
                    const Selection& selection, const std::string& command, const Progress& progress);

}  // namespace harness
