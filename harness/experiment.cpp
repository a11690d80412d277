#include "harness/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>

#include "harness/error_models.hpp"
#include "harness/examination.hpp"
#include "harness/repeatability.hpp"
#include "harness/step_timer.hpp"
#include "harness/trial.hpp"
#include "npu_impl/device.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Part;
using datasets::Path;
using datasets::PreparedLayer;
using datasets::Work;

// Each step alone, on golden upstream. Returns what the device counted.
std::vector<Part> judge_isolated(CaseResult& result, const Trial& trial, Work work) {
    const auto judge = trial.judge_of(work.ops, Input::isolated);
    std::vector<Part> counted;
    for (const OpRange step : steps_in(trial.candidate, work.ops)) {
        if (!selected(trial.selection, step)) {
            continue;
        }
        judge->prepare(step);
        const JudgedRun run = run_judged(trial.prepared, {step, work.head}, trial.source, *judge);
        counted.insert(counted.end(), run.parts.begin(), run.parts.end());
        const std::size_t first = result.rows.size();
        add_rows(result.rows, trial, Input::isolated, step, *judge, run);
        trial.diagnose(std::span(result.rows).subspan(first), {step, work.head}, Input::isolated);
    }
    return counted;
}

// A run that wrote where it must not fails every row that it was to confirm. `when`: e.g. "when timed".
void fail_repeated(std::span<OpRow> rows, const Trial& trial, std::string_view when,
                   std::string_view violation) {
    for (OpRow& row : rows) {
        if (row.judgement.verdict == Verdict::passed) {
            row.judgement = judged({{Quantity::guards, fmt::format("{}: {}", when, violation)}});
            row.reproduce = reproduce_command(trial, row.input, *row.statistics, row.op);
        }
    }
}

// The range as a whole and, where it passed, whether it repeats itself. Returns what the device counted.
std::vector<Part> judge_chained(CaseResult& result, const Trial& trial, Work work) {
    const auto judge = trial.judge_of(work.ops, Input::chained);
    judge->prepare(work.ops);
    BitSink bits(judge.get());
    const JudgedRun run = run_judged(trial.prepared, work, trial.source, bits);
    const std::size_t first = result.rows.size();
    for (const OpRange step : steps_in(trial.candidate, work.ops)) {
        if (selected(trial.selection, step)) {
            add_rows(result.rows, trial, Input::chained, step, *judge, run);
        }
    }
    trial.diagnose(std::span(result.rows).subspan(first), work, Input::chained);
    judge_output(result, trial, work, *judge);
    if (passed(result)) {
        const Repeatability repeated =
            check_repeatability(trial.prepared, trial.source, trial.shape.context, work, bits);
        result.layer.repeated_elements += repeated.elements;
        result.layer.differing_elements += repeated.differing;
        result.layer.repeatability =
            judge_repeatability(result.layer.repeated_elements, result.layer.differing_elements);
        if (!repeated.guard_violation.empty()) {
            fail_repeated(std::span(result.rows).subspan(first), trial, "when repeated (A, B, A)",
                          repeated.guard_violation);
        }
    }
    if (result.layer.headline.verdict == Verdict::failed || result.layer.differing_elements > 0) {
        result.layer.reproduce =
            trial.reproduce() + (trial.layer == end_layer ? " --op encoder" : "") + " --input chained";
    }
    return run.parts;
}

// Isolated, then chained, over all works. Returns what the device counted in the last kind of run.
std::vector<Part> judge_all(CaseResult& result, const Trial& trial, const std::vector<Work>& works,
                            const Progress& progress) {
    std::vector<Part> counted;
    const auto run_all = [&](Input input, const auto& judge) {
        if (std::ranges::find(trial.selection.inputs, input) == trial.selection.inputs.end()) {
            return;
        }
        progress(name(input));
        counted.clear();
        for (const Work& work : works) {
            const std::vector<Part> parts = judge(result, trial, work);
            counted.insert(counted.end(), parts.begin(), parts.end());
        }
    };
    run_all(Input::isolated, judge_isolated);
    run_all(Input::chained, judge_chained);
    return counted;
}

// Times the golden's share of each of the candidate's steps against the device, modelled and, where that has
// a clock, measured, and the whole of the attention.
void time_work(LayerRow& row, PreparedLayer& golden, const Trial& trial, Work work,
               const std::vector<Part>& counted) {
    std::optional<LaunchTimer> launches;
    if (is_clocked(counted)) {
        launches.emplace(trial.prepared, work, trial.source, trial.selection.timing.least);
    }
    const StepTimer timer(golden, work, trial.source, trial.selection.timing, trial.prepared.planned(work),
                          counted, std::move(launches));
    for (const OpRange step : steps_in(trial.candidate, work.ops)) {
        row.steps.push_back(timer.of(step));
    }
    const OpRange whole = datasets::attention_ops;
    if (work.ops.contains(whole.first) && work.ops.contains(whole.last)) {
        row.total = timer.of(whole);
        row.total->cpu.clock = datasets::Clock::host_wall;
    }
}

// Only what passed is timed. What breaks then takes back nothing of what was judged, and leaves no times: a
// device that fails is told, a guard that is broken fails the rows as in any other run. The golden is
// prepared by `prepare` where it comes to that.
void finish(CaseResult& result, const Trial& trial, const std::vector<Work>& works,
            const std::vector<Part>& counted, const std::function<std::unique_ptr<PreparedLayer>()>& prepare,
            const Progress& progress) {
    mistrust_unless_certified(result);
    progress("timing");
    if (!passed(result) || result.layer.differing_elements > 0) {
        return;
    }
    LayerRow timed;
    try {
        const auto golden = prepare();
        for (const Work& work : works) {
            time_work(timed, *golden, trial, work, counted);
        }
    } catch (const npu_impl::DeviceError& error) {
        result.layer.untimed = error.what();
        return;
    } catch (const npu_impl::IntegrityError& error) {
        fail_repeated(result.rows, trial, "when timed", error.what());
        return;
    }
    result.layer.steps = std::move(timed.steps);
    result.layer.total = std::move(timed.total);
}

// An op that nobody computes would have no row, and nothing would say so.
void require_steps(const Path& candidate, const std::vector<Work>& works, const Placement& placement) {
    for (const Work& work : works) {
        const auto steps = steps_in(candidate, work.ops);
        for (const datasets::OpInfo& info : datasets::ops_in(work.ops)) {
            if (std::ranges::none_of(steps, [&](OpRange step) { return step.contains(info.op); })) {
                throw std::invalid_argument(fmt::format("path {} has no {}, which placement {} asks of it",
                                                        candidate.name(), info.name, placement.name));
            }
        }
    }
}

}  // namespace

std::vector<Work> Selection::works() const {
    std::vector<Work> works;
    for (const OpRange range : placement.layer) {
        if (head < 0) {
            works.push_back({range, head});
            continue;
        }
        std::optional<OpRange> headed;
        for (const datasets::OpInfo& info : datasets::ops_in(range)) {
            if (datasets::has_heads(info.op)) {
                headed = OpRange{headed ? headed->first : info.op, info.op};
            }
        }
        if (headed) {
            works.push_back({*headed, head});
        }
    }
    std::erase_if(works, [this](const Work& work) { return !selected(*this, work.ops); });
    return works;
}

int stages_of(const Selection& selection) {
    return 2 + static_cast<int>(selection.inputs.size()) + (selection.probed() ? 1 : 0);
}

CaseResult run_case(const datasets::LayerCase& layer, Path& golden, Path& candidate,
                    const Selection& selection, const std::string& command, const Progress& progress) {
    const std::vector<Work> works = selection.works();
    require_steps(candidate, works, selection.placement);
    if (const std::string missing = missing_for(selection.placement, layer); !missing.empty()) {
        throw std::invalid_argument(fmt::format("clip {}, layer {} lacks {} for placement {}", layer.clip,
                                                layer.layer, missing, selection.placement.name));
    }

    // The golden first: nothing is judged by a reference that is not itself certified.
    progress("golden");
    const reference::GoldenSource source(layer);
    CaseResult result = certified_case(layer, source, selection);

    // The same layer on the candidate: step by step on golden upstream, then each range on its own results.
    const datasets::LayerCase rounded = rounded_weights(layer, candidate);
    const auto prepared = candidate.prepare(layer);
    ErrorModels models(layer, source, candidate, selection);
    const Trial trial{layer.clip,
                      layer.layer,
                      layer.shape,
                      candidate,
                      *prepared,
                      source,
                      selection,
                      command,
                      [&](OpRange range, Input input) {
                          return std::make_unique<Judge>(rounded, range, candidate, source, input,
                                                         selection.head, models.of(range));
                      },
                      {.layer = &layer},
                      {.layer = &rounded},
                      Origin::device};
    const std::vector<Part> counted = judge_all(result, trial, works, progress);
    examine(result.layer, *prepared, candidate, layer, source, selection, trial.reproduce(), progress);
    finish(
        result, trial, works, counted, [&] { return golden.prepare(layer); }, progress);
    return result;
}

CaseResult run_end(const datasets::EndCase& end, const std::string& clip, const datasets::Source& source,
                   Path& golden, Path& candidate, const Selection& selection, const std::string& command,
                   const Progress& progress) {
    const std::vector<Work> works{{datasets::end_ops, -1}};
    require_steps(candidate, works, selection.placement);
    CaseResult result;
    result.layer.clip = clip;
    result.layer.layer = end_layer;
    progress("golden");
    result.layer.certificate = certify(end, source, selection.row_seed);
    const datasets::EndCase rounded = rounded_weights(end, candidate);
    const auto prepared = candidate.prepare(end);
    ErrorModels models(end, source, candidate, selection);
    const Trial trial{clip,
                      end_layer,
                      end.shape,
                      candidate,
                      *prepared,
                      source,
                      selection,
                      command,
                      [&](OpRange range, Input input) {
                          return std::make_unique<Judge>(rounded, candidate, source, input, models.of(range));
                      },
                      {.end = &end},
                      {.end = &rounded}};
    const std::vector<Part> counted = judge_all(result, trial, works, progress);
    finish(
        result, trial, works, counted, [&] { return golden.prepare(end); }, progress);
    return result;
}

}  // namespace harness
