#include "harness/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "harness/repeatability.hpp"
#include "harness/stopwatch.hpp"
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

// One judged run of a range of steps.
struct JudgedRun {
    std::vector<Part> parts;
    std::vector<Part> planned;
    std::string guard_violation;

    [[nodiscard]] DeviceCheck device_check(OpRange step) const {
        DeviceCheck out{true, 0, 0, guard_violation};
        for (const Part& part : parts) {
            out.launches += part.ops == step ? part.launches : 0;
        }
        for (const Part& part : planned) {
            out.launches_planned += part.ops == step ? part.launches : 0;
        }
        return out;
    }
};

JudgedRun run_judged(PreparedLayer& prepared, Work work, const datasets::Source& source,
                     datasets::Sink& sink) {
    JudgedRun run;
    run.planned = prepared.planned(work);
    try {
        run.parts = prepared.compute(work, source, sink);
    } catch (const npu_impl::IntegrityError& error) {
        run.guard_violation = error.what();
    }
    return run;
}

std::string reproduce_command(const std::string& command, const datasets::LayerCase& layer, Input input,
                              const OpStatistics& statistics, Op op) {
    std::string out = fmt::format("{} --clip {} --layer {} --op {} --input {}", command, layer.clip,
                                  layer.layer, datasets::name(op), name(input));
    // A single damaged head is enough to see the damage; the headless output needs them all.
    if (datasets::has_heads(op) && statistics.damage && !statistics.damage->heads.empty()) {
        out += fmt::format(" --head {}", statistics.damage->worst.head);
    }
    return out;
}

OpRow judged_row(const datasets::LayerCase& layer, const Path& candidate, const PreparedLayer& prepared,
                 Input input, OpRange step, const Judge& judge, const JudgedRun& run,
                 const std::string& command) {
    const Op op = step.last;
    OpRow row{layer.clip, layer.layer, op, input, {}, judge.statistics(op), {}, {}};
    row.judgement = judge_op(*row.statistics, candidate.arithmetic(op), run.device_check(step));
    if (row.judgement.verdict == Verdict::failed) {
        row.reproduce = reproduce_command(command, layer, input, *row.statistics, op);
        if (row.statistics->damage) {
            const Element& worst = row.statistics->damage->worst;
            row.site = prepared.locate(op, worst.head, worst.row, worst.column);
        }
    }
    return row;
}

OpRow covered_row(const datasets::LayerCase& layer, Input input, Op op, OpRange step) {
    return {layer.clip,
            layer.layer,
            op,
            input,
            {Verdict::covered,
             fmt::format("covered by {}..{}", datasets::name(step.first), datasets::name(step.last))},
            {},
            {},
            {}};
}

// Rows of every op of `step` that was asked for; ops inside a fused step are covered by its last one.
void add_rows(std::vector<OpRow>& rows, const Selection& selection, OpRange step,
              const std::function<OpRow(Op)>& row_of) {
    for (const datasets::OpInfo& info : datasets::ops_in(step)) {
        if (selection.judges(info.op)) {
            rows.push_back(row_of(info.op));
        }
    }
}

bool selected(const Selection& selection, OpRange step) {
    const bool whole_rows_only = selection.head >= 0 && !datasets::has_heads(step.last);
    if (whole_rows_only || !datasets::attention_ops.contains(step.last)) {
        return false;
    }
    return std::ranges::any_of(datasets::ops_in(step),
                               [&](const datasets::OpInfo& info) { return selection.judges(info.op); });
}

// The time of the steps of one path over the chain, from parts that all carry the same clock.
std::vector<std::vector<double>> time_golden(PreparedLayer& golden, Work chain,
                                             const datasets::Source& source, int repetitions) {
    datasets::NullSink sink;
    return repeat(repetitions, [&] {
        std::vector<double> seconds;
        for (const Part& part : golden.compute(chain, source, sink)) {
            seconds.push_back(part.seconds);
        }
        return seconds;
    });
}

StepTime step_time(OpRange step, const std::vector<Part>& golden,
                   const std::vector<std::vector<double>>& samples, const std::vector<Part>& modelled,
                   const std::vector<Part>& counted) {
    StepTime out;
    out.ops = step;
    const auto inside = [&](const Part& part) {
        return step.contains(part.ops.first) && step.contains(part.ops.last);
    };
    out.cpu.clock = datasets::Clock::host_wall;
    for (std::size_t p = 0; p < golden.size(); ++p) {
        if (inside(golden[p])) {
            out.cpu.samples_seconds.resize(samples[p].size());
            for (std::size_t i = 0; i < samples[p].size(); ++i) {
                out.cpu.samples_seconds[i] += samples[p][i];
            }
            if (golden[p].clock == datasets::Clock::host_share) {
                out.cpu.clock = datasets::Clock::host_share;
            }
        }
    }
    out.cpu.seconds = out.cpu.samples_seconds.empty() ? 0.0 : median(out.cpu.samples_seconds);
    for (const Part& part : modelled) {
        if (inside(part)) {
            out.npu.seconds += part.seconds;
            out.npu.clock = part.clock;
        }
    }
    for (const Part& part : counted) {
        if (inside(part)) {
            out.launches += part.launches;
            out.tiles += part.tiles;
            out.bytes += part.bytes;
        }
    }
    out.speedup = out.npu.seconds > 0 ? out.cpu.seconds / out.npu.seconds : 0.0;
    return out;
}

// Times the golden's share of each of the candidate's steps against the modelled device, and both as a whole.
void time_steps(LayerRow& row, PreparedLayer& golden, const PreparedLayer& candidate, const Path& path,
                const datasets::Source& source, const Selection& selection,
                const std::vector<Part>& counted) {
    const Work chain = selection.chain();
    datasets::NullSink sink;
    const std::vector<Part> parts = golden.compute(chain, source, sink);
    const auto samples = time_golden(golden, chain, source, selection.repetitions);
    const std::vector<Part> modelled = candidate.planned(chain);
    for (const OpRange step : path.steps()) {
        if (chain.ops.contains(step.last)) {
            row.steps.push_back(step_time(step, parts, samples, modelled, counted));
        }
    }
    if (chain.ops == datasets::attention_ops) {
        row.total = step_time(chain.ops, parts, samples, modelled, counted);
        row.total->cpu.clock = datasets::Clock::host_wall;
    }
}

void mistrust(CaseResult& result) {
    const std::string reason = "the golden is not certified: " + result.layer.certificate.fault;
    for (OpRow& row : result.rows) {
        row.judgement = {Verdict::mistrusted, reason};
    }
    result.layer.headline = {Verdict::mistrusted, reason};
}

bool passed(const CaseResult& result) {
    return std::ranges::all_of(result.rows, [](const OpRow& row) {
        return row.judgement.verdict == Verdict::passed || row.judgement.verdict == Verdict::covered;
    });
}

// Returns what the device counted.
std::vector<Part> judge_isolated(CaseResult& result, const datasets::LayerCase& layer,
                                 const datasets::LayerCase& rounded, const Path& candidate,
                                 PreparedLayer& prepared, const datasets::Source& source,
                                 const Selection& selection, const std::string& command) {
    Judge judge(layer, rounded, candidate, source, Input::isolated, selection.head);
    std::vector<Part> counted;
    for (const OpRange step : candidate.steps()) {
        if (!selected(selection, step)) {
            continue;
        }
        const JudgedRun run = run_judged(prepared, {step, selection.head}, source, judge);
        counted.insert(counted.end(), run.parts.begin(), run.parts.end());
        add_rows(result.rows, selection, step, [&](Op op) {
            return op == step.last
                       ? judged_row(layer, candidate, prepared, Input::isolated, step, judge, run, command)
                       : covered_row(layer, Input::isolated, op, step);
        });
    }
    return counted;
}

// Judges the chain and, where it passed, whether it repeats itself. Returns what the device counted.
std::vector<Part> judge_chained(CaseResult& result, const datasets::LayerCase& layer,
                                const datasets::LayerCase& rounded, const Path& candidate,
                                PreparedLayer& prepared, const datasets::Source& source,
                                const Selection& selection, const std::string& command) {
    Judge judge(layer, rounded, candidate, source, Input::chained, selection.head);
    BitSink bits(&judge);
    const Work chain = selection.chain();
    const JudgedRun run = run_judged(prepared, chain, source, bits);
    for (const OpRange step : candidate.steps()) {
        if (!chain.ops.contains(step.last) || !selected(selection, step)) {
            continue;
        }
        add_rows(result.rows, selection, step, [&](Op op) {
            return op == step.last
                       ? judged_row(layer, candidate, prepared, Input::chained, step, judge, run, command)
                       : covered_row(layer, Input::chained, op, step);
        });
    }
    if (chain.ops.last == Op::output && selection.judges(Op::output)) {
        result.layer.output = judge.statistics(Op::output);
        result.layer.headline = judge_headline(*result.layer.output, layer.shape);
        if (result.layer.headline.verdict == Verdict::failed && passed(result)) {
            result.layer.headline.reason +=
                "; every op lies within its derived bound: the declared arithmetic costs this, not a fault";
        }
    }
    if (passed(result)) {
        const Repeatability repeated = check_repeatability(prepared, layer, chain, bits);
        result.layer.repeated_elements = repeated.elements;
        result.layer.differing_elements = repeated.differing;
    }
    if (result.layer.headline.verdict == Verdict::failed || result.layer.differing_elements > 0) {
        result.layer.reproduce =
            fmt::format("{} --clip {} --layer {} --input chained", command, layer.clip, layer.layer);
    }
    return run.parts;
}

}  // namespace

int stages_of(const Selection& selection) {
    return 2 + static_cast<int>(selection.inputs.size());
}

CaseResult run_case(const datasets::LayerCase& layer, Path& golden, Path& candidate,
                    const Selection& selection, const std::string& command, const Progress& progress) {
    CaseResult result;
    result.layer.clip = layer.clip;
    result.layer.layer = layer.layer;
    const auto wants = [&](Input input) {
        return std::ranges::find(selection.inputs, input) != selection.inputs.end();
    };

    // The golden first: nothing is judged by a reference that is not itself certified.
    progress("golden");
    const reference::GoldenSource source(layer);
    result.layer.certificate = certify(layer, source, selection.row_seed);

    // The same layer on the candidate: step by step on golden upstream, then as a whole on its own.
    const datasets::LayerCase rounded = rounded_weights(layer, candidate);
    const auto prepared = candidate.prepare(layer);
    std::vector<Part> counted;
    if (wants(Input::isolated)) {
        progress("isolated");
        counted = judge_isolated(result, layer, rounded, candidate, *prepared, source, selection, command);
    }
    if (wants(Input::chained)) {
        progress("chained");
        counted = judge_chained(result, layer, rounded, candidate, *prepared, source, selection, command);
    }

    if (!result.layer.certificate.fault.empty()) {
        mistrust(result);
    }

    // Only what passed is timed.
    progress("timing");
    if (passed(result) && result.layer.differing_elements == 0) {
        const auto timed = golden.prepare(layer);
        time_steps(result.layer, *timed, *prepared, candidate, source, selection, counted);
    }
    return result;
}

}  // namespace harness
