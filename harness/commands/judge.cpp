// `harness judge`: tensors that another program computed, judged as our own are.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

#include "datasets/candidate.hpp"
#include "harness/candidate_experiment.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/page.hpp"
#include "harness/commands/parts.hpp"
#include "harness/interrupt.hpp"
#include "harness/progress.hpp"
#include "npu_impl/design.hpp"

namespace harness {
namespace {

using datasets::Op;

std::string design_names() {
    std::vector<std::string_view> names;
    for (const npu_impl::Combination& combination : npu_impl::catalogue().combinations) {
        names.push_back(combination.name);
    }
    for (const npu_impl::ClassDesign& design : npu_impl::catalogue().designs) {
        names.push_back(design.name);
    }
    return fmt::format("{}", fmt::join(names, ", "));
}

// As the command line says, else as the file does.
const npu_impl::Design& declared_design(const JudgeOptions& options, const datasets::Candidate& candidate) {
    const std::string& own = candidate.info().arithmetic;
    if (options.arithmetic.empty() && own.empty()) {
        throw UsageError(fmt::format("{}: declares no arithmetic to judge it by: add --arithmetic; valid: {}",
                                     candidate.file(), design_names()));
    }
    const std::string& name = options.arithmetic.empty() ? own : options.arithmetic;
    if (const npu_impl::Design* design = npu_impl::find_design(name)) {
        return *design;
    }
    try {
        npu_impl::compose(name);
    } catch (const std::invalid_argument& error) {
        throw datasets::ReadError(candidate.file(), "/",
                                  fmt::format("attribute arithmetic: {}", error.what()));
    }
    throw datasets::ReadError(candidate.file(), "/",
                              fmt::format("attribute arithmetic: {} is no design", name));
}

// What is to be judged of each clip, in the recording's order.
struct Cases {
    std::vector<std::pair<std::string, std::vector<int>>> layers;  // by clip
    std::size_t count = 0;
};

Cases selected_cases(const JudgeOptions& options, const datasets::Recording& recording,
                     const datasets::Candidate& candidate) {
    Cases cases;
    for (const std::string& clip : selected_clips(recording.info(), options.clip)) {
        auto layers = options.layers == "all"
                          ? candidate.layers(clip)
                          : parse_layers(options.layers, recording.info().recorded_layers);
        if (layers.empty() && !options.clip.empty()) {
            throw datasets::ReadError(candidate.file(), "/clips/" + clip, "is not in the file");
        }
        cases.count += layers.size();
        cases.layers.emplace_back(clip, std::move(layers));
    }
    return cases;
}

// The ops that every layer should hold: those that any does, and those that were asked for.
std::vector<Op> expected_ops(const JudgeOptions& options, const datasets::Candidate& candidate,
                             const datasets::RecordingInfo& recording) {
    std::vector<Op> ops = held_ops(candidate, recording);
    std::ranges::copy(options.selection.ops, std::back_inserter(ops));
    std::ranges::sort(ops);
    const auto repeated = std::ranges::unique(ops);
    ops.erase(repeated.begin(), repeated.end());
    const int head = options.selection.head;
    if (head >= recording.heads) {
        throw UsageError(
            fmt::format("--head {}: the recording has no such head; valid: 0-{}", head, recording.heads - 1));
    }
    if (head >= 0 && std::ranges::none_of(ops, datasets::has_heads)) {
        throw UsageError(fmt::format("--head {}: the candidate holds no op with heads", head));
    }
    return ops;
}

// What the report has to own up to.
std::vector<std::string> not_checked(const datasets::Candidate& candidate, const npu_impl::Design& design,
                                     const Selection& selection, const std::vector<Op>& expected,
                                     const Cases& cases, const JudgeOptions& options,
                                     const datasets::RecordingInfo& recording) {
    std::vector<std::string> out{
        "launches, guard zones, repeatability, time and probes: numbers from a file"};
    std::vector<std::string_view> absent;
    for (const Op op : datasets::candidate_ops()) {
        const bool held = std::ranges::find(expected, op) != expected.end();
        if (selection.placement.contains(op) && design.emits(op) && !held) {
            absent.push_back(datasets::name(op));
        }
    }
    if (!absent.empty()) {
        const bool chained = candidate.info().feed == datasets::Feed::chained;
        out.push_back(fmt::format("{}: not in the file{}", fmt::join(absent, ", "),
                                  chained ? ", so that what reads it has no bounds (level 1)" : ""));
    }
    for (const auto& [clip, layers] : cases.layers) {
        std::vector<int> left_out;
        std::ranges::set_difference(recording.recorded_layers, layers, std::back_inserter(left_out));
        if (!left_out.empty() && options.layers == "all") {
            out.push_back(fmt::format("{}, layers {}: not in the file", clip, fmt::join(left_out, ", ")));
        }
    }
    if (candidate.info().feed == datasets::Feed::isolated) {
        out.emplace_back("match of the attention output (headline): isolated steps make no chain");
    } else if (std::ranges::find(expected, Op::output) == expected.end()) {
        out.emplace_back("match of the attention output (headline): output is not in the file");
    } else if (!selection.judges(Op::output) || selection.head >= 0) {
        out.emplace_back("match of the attention output (headline): output was not asked for");
    }
    return out;
}

void describe(RunRecord& record, const datasets::Candidate& candidate, const npu_impl::Design& design) {
    const datasets::CandidateInfo& info = candidate.info();
    record.design = design.name;
    record.design_sha256 = design.declaration_sha256;
    record.device = record.emulation = record.cost_model = "none: numbers from a file";
    record.candidate =
        CandidateFile{candidate.file(), info.runner, input_of(info.feed), info.device, info.launches, {}};
}

}  // namespace

ExitCode run(const JudgeOptions& options, const std::string& invocation) {
    refuse_shared_files({options.recording, options.candidate}, {options.json, options.junit, options.html});
    require_page(options.html);
    const datasets::Recording recording(options.recording);
    const datasets::Candidate candidate(options.candidate, recording);
    const npu_impl::Design& design = declared_design(options, candidate);
    const std::vector<Op> expected = expected_ops(options, candidate, recording.info());
    const Cases cases = selected_cases(options, recording, candidate);
    Selection selection = options.selection;
    selection.placement = placement_of(expected);

    RunRecord record;
    record.command = invocation;
    describe_recording(record, recording, options.common);
    describe(record, candidate, design);
    record.row_seed = selection.row_seed;
    record.candidate->not_checked =
        not_checked(candidate, design, selection, expected, cases, options, recording.info());
    const std::string command =
        fmt::format("harness judge --recording {} --candidate {} --arithmetic {}",
                    shell_word(options.recording), shell_word(options.candidate), design.name);
    constexpr int stages = 2;
    ProgressBar bar("judging", stages * static_cast<int>(cases.count), !options.common.quiet);
    for (const auto& [clip, layers] : cases.layers) {
        for (const int layer : layers) {
            const auto show = [&bar, &clip = clip, layer](std::string_view stage) {
                throw_if_interrupted();
                bar.step(fmt::format("{} layer {}: {}", clip, layer, stage));
            };
            const auto one = load_layer(recording, clip, layer, selection.placement);
            CaseResult result = judge_candidate(one, candidate, design, expected, selection, command, show);
            record.rows.insert(record.rows.end(), result.rows.begin(), result.rows.end());
            record.layers.push_back(std::move(result.layer));
        }
    }
    const ExitCode code = conclude(record, options.common, options.json, options.junit);
    write_page(record, options.html);
    return code;
}

}  // namespace harness
