#include "harness/candidate_experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "harness/data_statistics.hpp"
#include "harness/error_models.hpp"
#include "harness/trial.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Work;

// Of a failed row whose operands another program had to compute by itself.
void add_remark(OpRow& row, const RecordedSource& recorded, OpRange step) {
    for (const datasets::OpInfo& info : datasets::ops_in(step)) {
        for (const Op input : info.inputs) {
            if (!step.contains(input) && !recorded.records(input)) {
                row.judgement.reason += fmt::format(
                    "; the recording does not hold {}, so the golden computed it anew: what the runner read "
                    "must have had the same bits",
                    datasets::name(input));
                return;
            }
        }
    }
}

// One range of the file. Isolated rows are judged one by one, chained ones with what they read of the file.
void judge_range(CaseResult& result, const Trial& trial, const RecordedSource& recorded, Input input,
                 Work work) {
    const auto judge = trial.judge_of(work.ops, input);
    judge->prepare(work.ops);
    const JudgedRun run = run_judged(trial.prepared, work, trial.source, *judge);
    const std::size_t first = result.rows.size();
    for (const OpRange step : steps_in(trial.candidate, work.ops)) {
        if (!selected(trial.selection, step)) {
            continue;
        }
        add_rows(result.rows, trial, input, step, *judge, run);
        OpRow& row = result.rows.back();
        if (input == Input::isolated && row.op == step.last && row.judgement.verdict == Verdict::failed) {
            add_remark(row, recorded, step);
        }
    }
    trial.diagnose(std::span(result.rows).subspan(first), work, input);
    if (input == Input::chained && trial.candidate.emits(Op::output)) {
        judge_output(result, trial, work, *judge);
    }
    const bool decides = work.ops.contains(Op::output) && result.layer.output &&
                         headline_applies(*result.layer.output, trial.shape);
    for (OpRow& row : std::span(result.rows).subspan(first)) {
        if (row.judgement.verdict != Verdict::not_run) {
            continue;
        }
        if (decides) {
            row.judgement.verdict = Verdict::covered;
        }
        row.judgement.reason +=
            fmt::format(" in the file; {}{}", row.headroom.empty() ? "" : "within the limits of level 2; ",
                        decides ? "the headline decides" : "dump it too, or feed every step in isolation");
    }
    if (result.layer.headline.verdict == Verdict::failed) {
        result.layer.reproduce = trial.reproduce();
    }
}

// What was asked for, or is there in other layers, and not in this one.
void add_missing(CaseResult& result, const Trial& trial, const std::vector<Op>& expected, Input input) {
    for (const Op op : expected) {
        const bool there = std::ranges::any_of(result.rows, [op](const OpRow& row) { return row.op == op; });
        if (!trial.selection.judges(op) || there || (trial.selection.head >= 0 && !datasets::has_heads(op))) {
            continue;
        }
        OpRow row;
        row.clip = trial.clip;
        row.layer = trial.layer;
        row.op = op;
        row.input = input;
        row.judgement = {Verdict::not_run, "is not in the file for this clip and layer", {}};
        result.rows.push_back(std::move(row));
    }
}

}  // namespace

Input input_of(datasets::Feed feed) {
    return feed == datasets::Feed::isolated ? Input::isolated : Input::chained;
}

Placement placement_of(const std::vector<Op>& ops) {
    for (const std::string& name : placement_names()) {
        Placement placement = parse_placement(name);
        if (std::ranges::all_of(ops, [&](Op op) { return placement.contains(op); })) {
            return placement;
        }
    }
    throw std::invalid_argument("no placement has all of these ops");
}

std::vector<Work> candidate_works(const Selection& selection, const CandidatePath& path) {
    std::vector<Work> works = selection.works();
    for (Work& work : works) {
        const bool norm = work.ops.first == Op::attention_norm || work.ops.first == Op::mlp_norm;
        if (norm && work.ops.first != work.ops.last && !path.emits(work.ops.first)) {
            work.ops.first = datasets::ops_in(work.ops)[1].op;
        }
    }
    return works;
}

std::vector<Op> held_ops(const datasets::Candidate& candidate, const datasets::RecordingInfo& recording) {
    std::set<Op> held;
    for (const datasets::ClipInfo& clip : recording.clips) {
        for (const int layer : candidate.layers(clip.id)) {
            const auto ops = candidate.ops(clip.id, layer);
            held.insert(ops.begin(), ops.end());
        }
    }
    return {held.begin(), held.end()};
}

CaseResult judge_candidate(const datasets::LayerCase& layer, const datasets::Candidate& candidate,
                           const npu_impl::Design& design, const std::vector<Op>& expected,
                           const Selection& selection, const std::string& command, const Progress& progress) {
    if (const std::string missing = missing_for(selection.placement, layer); !missing.empty()) {
        throw std::invalid_argument(
            fmt::format("clip {}, layer {} lacks {}", layer.clip, layer.layer, missing));
    }
    CandidatePath path(candidate, layer.clip, layer.layer, design);
    progress("golden");
    const reference::GoldenSource golden(layer);
    CaseResult result = certified_case(layer, golden, selection);

    const Input input = input_of(candidate.info().feed);
    progress(name(input));
    const RecordedSource recorded(layer, golden);
    const datasets::LayerCase rounded = rounded_weights(layer, path);
    const auto prepared = path.prepare(layer);
    ErrorModels models(layer, golden, declared_by(design), selection);
    const Trial trial{layer.clip,
                      layer.layer,
                      layer.shape,
                      path,
                      *prepared,
                      golden,
                      selection,
                      command,
                      [&](OpRange range, Input of) {
                          return std::make_unique<Judge>(rounded, range, path, golden, of, selection.head,
                                                         models.of(range), &recorded);
                      },
                      {.layer = &layer},
                      {.layer = &rounded},
                      Origin::file};
    for (const Work& work : candidate_works(selection, path)) {
        judge_range(result, trial, recorded, input, work);
    }
    add_missing(result, trial, expected, input);
    if (selection.whole_attention() && (path.emits(Op::context) || path.emits(Op::output))) {
        result.layer.data = statistics_of(layer, golden);
    }
    mistrust_unless_certified(result);
    return result;
}

}  // namespace harness
