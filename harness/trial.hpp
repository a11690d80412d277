// The pieces of an experiment: one piece of the encoder under judgement, one judged run of it, and the rows
// that come of it. `run_case` (experiment.cpp) and `judge_candidate` (candidate_experiment.cpp) are made of
// these.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datasets/path.hpp"
#include "harness/experiment.hpp"
#include "harness/gate.hpp"
#include "harness/judge.hpp"
#include "reference/golden_source.hpp"

namespace harness {

// One judged run of a range of steps.
struct JudgedRun {
    std::vector<datasets::Part> parts;
    std::vector<datasets::Part> planned;
    std::string guard_violation;

    [[nodiscard]] DeviceCheck device_check(datasets::OpRange step) const;
};

// Runs `work`; what broke a guard zone is kept, and judged.
JudgedRun run_judged(datasets::PreparedLayer& prepared, datasets::Work work, const datasets::Source& source,
                     datasets::Sink& sink);

// Where the numbers under judgement come from.
enum class Origin : std::uint8_t {
    device,  // of this program: it counts launches, guards its buffers and can run again
    file,    // another program's: there is nothing but the numbers
};

// The piece under judgement, and what its runs take. Everything outlives it.
struct Trial {
    const std::string& clip;
    int layer;  // or end_layer
    datasets::LayerShape shape;
    const datasets::Path& candidate;
    datasets::PreparedLayer& prepared;
    const datasets::Source& source;  // golden
    const Selection& selection;
    const std::string& command;
    std::function<std::unique_ptr<Judge>(datasets::OpRange, Input)> judge_of;
    datasets::LayerOrEnd piece;
    datasets::LayerOrEnd rounded;  // its weights as declared
    Origin origin = Origin::device;

    // Says of the failed rows of a run why, by computing it once more.
    void diagnose(std::span<OpRow> rows, datasets::Work work, Input input) const;
    [[nodiscard]] std::string reproduce() const;
};

// The command that runs just this row.
std::string reproduce_command(const Trial& trial, Input input, const OpStatistics& statistics,
                              datasets::Op op);

// Rows of every op of `step` that was asked for; ops inside a fused step are covered by its last one. An op
// whose bound cannot be told (Judge::missing_operand) passes no row: unless it fails level 0 or 2, it is
// not_run.
void add_rows(std::vector<OpRow>& rows, const Trial& trial, Input input, datasets::OpRange step,
              const Judge& judge, const JudgedRun& run);

// The candidate's steps within a range, in order.
std::vector<datasets::OpRange> steps_in(const datasets::Path& candidate, datasets::OpRange range);

// Whether any row of the step was asked for.
bool selected(const Selection& selection, datasets::OpRange step);

// Judges the headline, if the chain ends with the attention's output.
void judge_output(CaseResult& result, const Trial& trial, datasets::Work work, const Judge& judge);

// Whether anything was judged, and all of it passed.
bool passed(const CaseResult& result);

// A result without rows: which layer, and what its golden is worth on the selected ops.
CaseResult certified_case(const datasets::LayerCase& layer, const reference::GoldenSource& golden,
                          const Selection& selection);

// Takes back every verdict where the golden is not certified.
void mistrust_unless_certified(CaseResult& result);

}  // namespace harness
