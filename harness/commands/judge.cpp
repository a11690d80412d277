// `harness judge`: tensors that another program computed, judged as our own are.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <stdexcept>

#include "datasets/candidate.hpp"
#include "datasets/sha256.hpp"
#include "harness/candidate_experiment.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/page.hpp"
#include "harness/commands/parts.hpp"
#include "harness/data_trust.hpp"
#include "harness/examination.hpp"
#include "harness/interrupt.hpp"
#include "harness/probe_recording.hpp"
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

std::string judge_command(const std::string& recording, const std::string& candidate,
                          const npu_impl::Design& design) {
    return fmt::format("harness judge --recording {} --candidate {} --arithmetic {}", shell_word(recording),
                       shell_word(candidate), design.name);
}

// What is to be judged of each clip, in the recording's order.
struct Cases {
    std::vector<std::pair<std::string, std::vector<int>>> layers;  // by clip
    std::size_t count = 0;
};

// All that the file holds of the clip, unless the command line says which.
std::vector<int> selected_layers(const std::string& layers, const datasets::Recording& recording,
                                 const datasets::Candidate& candidate, const std::string& clip) {
    return layers == "all" ? candidate.layers(clip) : parse_layers(layers, recording.info().recorded_layers);
}

Cases selected_cases(const JudgeOptions& options, const datasets::Recording& recording,
                     const datasets::Candidate& candidate) {
    Cases cases;
    for (const std::string& clip : selected_clips(recording.info(), options.clip)) {
        auto layers = selected_layers(options.layers, recording, candidate, clip);
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

// A recording of probes, and what a runner made of it.
struct Probes {
    datasets::Recording recording;
    datasets::Candidate candidate;
};

// The probes beside the recording, if they were named; of its shape, for what they cover is the kernel at
// this shape.
std::optional<Probes> probes_beside(const JudgeOptions& options, const datasets::Recording& recording,
                                    const npu_impl::Design& design) {
    if (options.probe_recording.empty()) {
        return std::nullopt;
    }
    if (is_probe_recording(recording.info())) {
        throw UsageError(
            "--probe-recording: --recording holds probes itself, and is judged alone: leave one of them out");
    }
    const std::string mend =
        fmt::format("make them with `harness record --probes-for {}`", shell_word(recording.file()));
    if (!std::filesystem::exists(options.probe_recording)) {
        throw datasets::ReadError(options.probe_recording, "", "no such file; " + mend);
    }
    datasets::Recording probes(options.probe_recording);
    const datasets::RecordingInfo& info = probes.info();
    if (!is_probe_recording(info)) {
        throw datasets::ReadError(probes.file(), "/", "holds no probes: " + mend);
    }
    if (info.context != recording.info().context || info.heads != recording.info().heads) {
        throw datasets::ReadError(
            probes.file(), "/",
            fmt::format("has T = {} and {} heads, the recording T = {} and {}: {}", info.context, info.heads,
                        recording.info().context, recording.info().heads, mend));
    }
    datasets::Candidate candidate(options.probe_candidate, probes);
    if (const npu_impl::Design& own = declared_design(options, candidate); own.name != design.name) {
        throw datasets::ReadError(
            candidate.file(), "/",
            fmt::format("attribute arithmetic: {}, where {} has {}: judge numbers of one design", own.name,
                        options.candidate, design.name));
    }
    require_probes(probes, candidate, design);
    return Probes{std::move(probes), std::move(candidate)};
}

// `selection`: the layers of the probes, all where it names none.
std::vector<ProbeRow> judge_probes(const JudgeOptions& options, const datasets::Recording& recording,
                                   const datasets::Candidate& candidate, const npu_impl::Design& design,
                                   ProbeSelection selection) {
    if (selection.layers.empty()) {
        selection.layers = recording.info().recorded_layers;
    }
    ProgressBar bar("judging", static_cast<int>(selection.layers.size()), !options.common.quiet);
    return judge_recorded_probes(recording, candidate, design, selection,
                                 judge_command(recording.file(), candidate.file(), design),
                                 [&bar](std::string_view stage) {
                                     throw_if_interrupted();
                                     bar.step(std::string(stage));
                                 });
}

// What the data can reveal and, where it cannot, whether a probe did: rows of the record where there are
// probes; else what was not checked, for no file can be asked to compute one.
void examine_data_of(RunRecord& record, const npu_impl::Design& design) {
    const datasets::Arithmetic softmax = design.arithmetic_of(softmax_op(design.emits(Op::probabilities)));
    examine_data(record, softmax);
    if (!record.ragged_probes.empty()) {
        return;
    }
    for (const TrustRow& row : record.trust) {
        if (row.judgement.verdict == Verdict::mistrusted) {
            record.candidate->not_checked.push_back(
                fmt::format("{}: mistrusted, for this recording cannot reveal it ({}); probes do, see --help",
                            name(row.fault), row.judgement.reason));
        }
    }
    record.trust.clear();
}

// What the report has to own up to.
std::vector<std::string> not_checked(const datasets::Candidate& candidate, const npu_impl::Design& design,
                                     const Selection& selection, const std::vector<Op>& expected,
                                     const Cases& cases, const JudgeOptions& options,
                                     const datasets::RecordingInfo& recording) {
    std::vector<std::string> out{"launches, guard zones, repeatability and time: numbers from a file"};
    const bool probes = is_probe_recording(recording);
    if (probes) {
        out.emplace_back("output: no probe judges it, the rows of a recording do");
    }
    std::vector<std::string_view> absent;
    for (const Op op : datasets::candidate_ops()) {
        const bool held = std::ranges::find(expected, op) != expected.end();
        if (selection.placement.contains(op) && design.emits(op) && !held && !(probes && op == Op::output)) {
            absent.push_back(datasets::name(op));
        }
    }
    if (!absent.empty()) {
        const bool chained = !probes && candidate.info().feed == datasets::Feed::chained;
        out.push_back(fmt::format("{}: not in the file{}", fmt::join(absent, ", "),
                                  chained ? ", so that what reads it has no bounds (level 1)" : ""));
    }
    if (probes) {
        return out;
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
    record.candidate = CandidateFile{candidate.file(),
                                     datasets::sha256_of_file(candidate.file()),
                                     info.runner,
                                     input_of(info.feed),
                                     info.device,
                                     info.launches,
                                     {}};
}

// Every case of the recording, one after the other.
void judge_cases(RunRecord& record, const JudgeOptions& options, const datasets::Recording& recording,
                 const datasets::Candidate& candidate, const npu_impl::Design& design,
                 const std::vector<Op>& expected, const Cases& cases, const Selection& selection) {
    constexpr int stages = 2;
    const std::string command = judge_command(options.recording, options.candidate, design);
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
}

}  // namespace

ExitCode run(const JudgeOptions& options, const std::string& invocation) {
    check_files({options.recording, options.candidate, options.probe_recording, options.probe_candidate},
                {options.json, options.junit, options.html});
    require_page(options.html);
    const datasets::Recording recording(options.recording);
    const datasets::Candidate candidate(options.candidate, recording);
    const npu_impl::Design& design = declared_design(options, candidate);
    const std::vector<Op> expected = expected_ops(options, candidate, recording.info());
    const Cases cases = selected_cases(options, recording, candidate);
    const std::optional<Probes> beside = probes_beside(options, recording, design);
    Selection selection = options.selection;
    selection.placement = placement_of(expected);

    RunRecord record;
    record.command = invocation;
    describe_recording(record, recording, options.common);
    describe(record, candidate, design);
    record.placement = selection.placement.name;
    record.head = selection.head;
    record.row_seed = selection.row_seed;
    record.candidate->not_checked =
        not_checked(candidate, design, selection, expected, cases, options, recording.info());
    if (is_probe_recording(recording.info())) {
        record.provenance_note = "its operands are known: what is right does not come from any golden";
        std::vector<int> layers;
        if (options.layers != "all") {
            layers = parse_layers(options.layers, recording.info().recorded_layers);
        }
        record.ragged_probes = judge_probes(options, recording, candidate, design,
                                            {std::move(layers), selection.head, selection.ops});
    } else {
        judge_cases(record, options, recording, candidate, design, expected, cases, selection);
        if (beside) {
            record.candidate->probes = {beside->recording.file(), beside->recording.content_sha256(),
                                        beside->candidate.file(),
                                        datasets::sha256_of_file(beside->candidate.file())};
            record.ragged_probes =
                judge_probes(options, beside->recording, beside->candidate, design, {{}, selection.head, {}});
        }
        examine_data_of(record, design);
    }
    const ExitCode code = conclude(record, options.common, options.json, options.junit);
    write_page(record, options.html);
    return code;
}

}  // namespace harness
