#include "harness/trial.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/gate_accuracy.hpp"
#include "harness/headline_diagnosis.hpp"
#include "harness/second_run.hpp"
#include "npu_impl/device.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Part;
using datasets::Path;
using datasets::PreparedLayer;
using datasets::Work;

OpRow judged_row(const Trial& trial, Input input, OpRange step, const Judge& judge, const JudgedRun& run) {
    const Op op = step.last;
    OpRow row{trial.clip, trial.layer, op, input, {}, judge.statistics(op), {}, {}};
    const bool of_device = trial.origin == Origin::device;
    const DeviceCheck device = of_device ? run.device_check(step) : DeviceCheck();
    if (!of_device) {
        row.statistics->poisoned = 0;  // nobody filled the buffer of another program with ours
    }
    const auto missing = judge.missing_operand(op);
    const datasets::Arithmetic arithmetic = trial.candidate.arithmetic(op);
    row.headroom =
        accuracy_of(accuracy_row(step, input, [&](Op of) { return trial.candidate.arithmetic(of); }),
                    trial.shape, *row.statistics);
    // Without operands nobody can tell how a store rounded: the default arithmetic declares none.
    row.judgement = judge_op(*row.statistics, missing ? datasets::Arithmetic{} : arithmetic, device,
                             accuracy_findings(row.headroom, row.statistics->z));
    if (missing && row.judgement.verdict == Verdict::passed) {
        row.judgement = {Verdict::not_run,
                         fmt::format("level 1 is not judged: {} reads {}, which is not there",
                                     datasets::name(op), datasets::name(*missing))};
        row.statistics.reset();
    }
    if (row.judgement.verdict == Verdict::failed) {
        if (missing) {
            row.judgement.reason +=
                fmt::format("; level 1 is not judged, and nothing says why: {} reads {}, which is not there",
                            datasets::name(op), datasets::name(*missing));
        }
        row.reproduce = reproduce_command(trial, input, *row.statistics, op);
        if (row.statistics->damage) {
            const Element& worst = row.statistics->damage->worst;
            row.site = trial.prepared.locate(op, worst.head, worst.row, worst.column);
        }
        row.error_maps = judge.error_maps(op);
    }
    return row;
}

// From the first op of the placement to its last: also what the CPU computes in between.
OpRange span_of(const Placement& placement) {
    return {placement.layer.front().first, placement.layer.back().last};
}

OpRow covered_row(const Trial& trial, Input input, Op op, OpRange step) {
    return {trial.clip,
            trial.layer,
            op,
            input,
            {Verdict::covered,
             fmt::format("covered by {}..{}", datasets::name(step.first), datasets::name(step.last))},
            {},
            {},
            {}};
}

}  // namespace

DeviceCheck JudgedRun::device_check(OpRange step) const {
    DeviceCheck out{true, 0, 0, guard_violation};
    for (const Part& part : parts) {
        out.launches += part.ops == step ? part.launches : 0;
    }
    for (const Part& part : planned) {
        out.launches_planned += part.ops == step ? part.launches : 0;
    }
    return out;
}

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

void Trial::diagnose(std::span<OpRow> rows, datasets::Work work, Input input) const {
    const auto judge = [&] { return judge_of(work.ops, input); };
    diagnose_failures(rows, {prepared, work, source, judge, piece, rounded, shape});
}

std::string Trial::reproduce() const {
    return layer == end_layer ? fmt::format("{} --clip {}", command, clip)
                              : fmt::format("{} --clip {} --layer {}", command, clip, layer);
}

std::string reproduce_command(const Trial& trial, Input input, const OpStatistics& statistics, Op op) {
    std::string out = fmt::format("{} --op {}", trial.reproduce(), datasets::name(op));
    // A file says itself what its steps read.
    if (trial.origin == Origin::device) {
        out += fmt::format(" --input {}", name(input));
    }
    // A single damaged head is enough to see the damage; the headless output needs them all.
    if (datasets::has_heads(op) && statistics.damage && !statistics.damage->heads.empty()) {
        out += fmt::format(" --head {}", statistics.damage->worst.head);
    }
    return out;
}

void add_rows(std::vector<OpRow>& rows, const Trial& trial, Input input, OpRange step, const Judge& judge,
              const JudgedRun& run) {
    for (const datasets::OpInfo& info : datasets::ops_in(step)) {
        if (trial.selection.judges(info.op)) {
            rows.push_back(info.op == step.last ? judged_row(trial, input, step, judge, run)
                                                : covered_row(trial, input, info.op, step));
        }
    }
}

std::vector<OpRange> steps_in(const Path& candidate, OpRange range) {
    std::vector<OpRange> steps;
    for (const OpRange step : candidate.steps()) {
        if (range.contains(step.first) && range.contains(step.last)) {
            steps.push_back(step);
        }
    }
    return steps;
}

bool selected(const Selection& selection, OpRange step) {
    return std::ranges::any_of(datasets::ops_in(step),
                               [&](const datasets::OpInfo& info) { return selection.judges(info.op); });
}

CaseResult certified_case(const datasets::LayerCase& layer, const reference::GoldenSource& golden,
                          const Selection& selection) {
    CaseResult result;
    result.layer.clip = layer.clip;
    result.layer.layer = layer.layer;
    result.layer.certificate = certify(layer, golden, span_of(selection.placement), selection.row_seed);
    return result;
}

void mistrust_unless_certified(CaseResult& result) {
    if (result.layer.certificate.fault.empty()) {
        return;
    }
    const std::string reason = "the golden is not certified: " + result.layer.certificate.fault;
    for (OpRow& row : result.rows) {
        row.judgement = {Verdict::mistrusted, reason};
    }
    if (result.layer.output) {
        result.layer.headline = {Verdict::mistrusted, reason};
    }
}

bool passed(const CaseResult& result) {
    std::vector<Verdict> verdicts;
    const auto add = [&](const auto& rows) {
        for (const auto& row : rows) {
            if (row.judgement.verdict != Verdict::covered) {
                verdicts.push_back(row.judgement.verdict);
            }
        }
    };
    add(result.rows);
    add(result.layer.probes);
    return worst_verdict(verdicts) == Verdict::passed;
}

void judge_output(CaseResult& result, const Trial& trial, Work work, const Judge& judge) {
    if (work.ops.last != Op::output || !trial.selection.judges(Op::output)) {
        return;
    }
    result.layer.output = judge.statistics(Op::output);
    result.layer.headline = judge_headline(*result.layer.output, trial.shape);
    if (result.layer.headline.verdict != Verdict::failed) {
        return;
    }
    result.layer.diagnosis = diagnose_headline(*result.layer.output, result.rows);
    if (passed(result)) {
        result.layer.headline.reason +=
            "; every op lies within its derived bound: the declared arithmetic costs this, not a fault";
    }
}

}  // namespace harness
