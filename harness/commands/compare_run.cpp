#include "harness/commands/compare_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "harness/commands/page.hpp"
#include "harness/commands/parts.hpp"
#include "harness/examination.hpp"
#include "harness/lost_case.hpp"
#include "harness/npu_environment.hpp"
#include "harness/probe_recording.hpp"
#include "harness/rank_team.hpp"
#include "harness/recorder.hpp"
#include "harness/summary.hpp"
#include "harness/time_notes.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"

namespace harness {
namespace {

// Whether the end is asked for: by --op, or with the last layer. Throws UsageError or ReadError where it is
// and the recording, or --layer, leaves the last layer out.
bool selects_end(const CompareOptions& options, const datasets::Recording& recording,
                 const std::vector<int>& layers) {
    const Selection& selection = options.selection;
    if (!selection.placement.end || !selection.judges(datasets::Op::encoder) || selection.head >= 0) {
        return false;
    }
    const datasets::RecordingInfo& info = recording.info();
    const int last = info.layers - 1;
    if (layers.back() == last) {
        return true;
    }
    const bool recorded = info.recorded_layers.back() == last;
    if (selection.ops.contains(datasets::Op::encoder)) {
        throw UsageError(fmt::format(
            "--op encoder comes behind layer {}, which {}", last,
            recorded ? fmt::format("--layer {} leaves out: add it", options.layers)
                     : fmt::format("{} does not hold: leave out --op encoder, or record layer {} as well",
                                   recording.file(), last)));
    }
    if (options.layers == "all") {
        throw datasets::ReadError(
            recording.file(), fmt::format("layer {}", last),
            fmt::format("is not recorded, and --npu {} needs it for the norm behind it; record it as well, "
                        "or name the layers to judge: --layer {}",
                        selection.placement.name, fmt::join(layers, ",")));
    }
    return false;
}

// Launches reach the device of the model as they reach that of the run.
npu_impl::CostModel model_of(const CompareOptions& options, const std::optional<NpuEnvironment>& npu) {
    npu_impl::CostModel model{npu_impl::device_spec(options.device_spec)};
    model.dispatch =
        npu && npu->most_launches_at_once > 1 ? npu_impl::Dispatch::run_lists : npu_impl::Dispatch::calls;
    return model;
}

// Whose layer takes the probes that need one: kernels are the same for all.
RunCase probed_case(const ShardNote& note) {
    const std::vector<RunCase> cases = cases_of(note);
    return cases.empty() ? RunCase{} : cases.front();
}

std::optional<CpuBaseline> baseline_of(const std::string& file) {
    return file.empty() ? std::nullopt : std::optional(read_cpu_baseline(file));
}

std::string recording_of(const CompareOptions& options) {
    return options.dataset.empty() ? default_recording(options.context.value_or(1500), !options.common.quiet)
                                   : options.dataset;
}

std::string reproducing_command(const CompareOptions& options, const std::string& recording) {
    return fmt::format("harness --compare --dataset {} --design {} {} --device-spec {} --npu {}",
                       shell_word(recording), options.design,
                       device_words(options.device, options.emulation, options.xrt),
                       shell_word(options.device_spec), options.selection.placement.name);
}

// Of one layer of the recording. The times are modelled, whatever else the run has measured.
void write_modelled_timelines(const CompareOptions& options, const RunRecord& record) {
    const datasets::LayerShape shape = record.recording.shape();
    const npu_impl::Design& design = *npu_impl::find_design(options.design);
    const npu_impl::CostModel model = model_of(options, record.environment.npu);
    write_timelines(placement_timeline(design, shape, options.selection.placement, model),
                    fmt::format("{}: one layer, T = {}, {}", options.design, shape.context, words_of(model)),
                    options.timelines);
}

}  // namespace

CompareRun::CompareRun(const CompareOptions& options, const std::string& invocation)
    : options_(options),
      baseline_(baseline_of(options.cpu_baseline)),
      accepted_misses_(options.accepted_misses.empty() ? AcceptedMisses{}
                                                       : read_accepted_misses(options.accepted_misses)),
      device_(npu_impl::open_device(options.device, options.emulation, options.xrt)),
      recording_(open_activations(recording_of(options))),
      model_(model_of(options, npu_environment(*device_))),
      candidate_(*device_, *npu_impl::find_design(options.design), model_),
      command_(reproducing_command(options, recording_.file())) {
    const Selection& selection = options_.selection;
    described_.command = invocation;
    describe_recording(described_, recording_, options_.common);
    describe_npu(described_, options_.design, *device_, model_);
    described_.placement = selection.placement.name;
    described_.head = selection.head;
    described_.row_seed = selection.row_seed;
    described_.accepted_misses_sha256 = accepted_misses_.sha256;
    layers_ = parse_layers(options_.layers, recording_.info().recorded_layers);
    end_ = selects_end(options_, recording_, layers_);
    if (selection.works().empty()) {
        layers_.clear();
    }
    clips_ = selected_clips(recording_.info(), options_.clip);
    if (selection.head >= recording_.info().heads) {
        throw UsageError(fmt::format("--head {}: the recording has no such head; valid: 0-{}", selection.head,
                                     recording_.info().heads - 1));
    }
}

ShardNote CompareRun::note(const std::optional<Share>& share) const {
    const Selection& selection = options_.selection;
    ShardNote note;
    note.of = share.value_or(Share{}).of;
    note.shards = {share.value_or(Share{}).index};
    for (const datasets::ClipInfo& clip : recording_.info().clips) {
        if (std::ranges::find(clips_, clip.id) != clips_.end()) {
            note.clips.push_back({clip.id, clip.audio_seconds});
        }
    }
    note.layers = layers_;
    note.end = end_;
    note.ops = {selection.ops.begin(), selection.ops.end()};
    note.inputs = selection.inputs;
    note.repetitions = selection.timing.most;
    note.probes = selection.probes;
    note.design_probes = !layers_.empty() && asks_design_probes(candidate_, selection);
    return note;
}

int CompareRun::stages(const ShardNote& note) const {
    Selection unprobed = options_.selection;
    unprobed.probes = false;
    int stages = owns_design_probes(note) ? design_probe_stages() : 0;
    const RunCase first = probed_case(note);
    for (const RunCase& one : own_cases(note)) {
        stages += stages_of(one == first ? options_.selection : unprobed);
    }
    return stages;
}

CaseResult CompareRun::run_one(const RunCase& one, const Selection& asked, const Progress& progress) {
    const std::string piece = one.layer == end_layer ? "end" : fmt::format("layer {}", one.layer);
    const Progress show = [&](std::string_view stage) {
        progress(fmt::format("{} {}: {}", one.clip, piece, stage));
    };
    try {
        CaseResult result;
        if (one.layer == end_layer) {
            result = run_recorded_end(recording_, one.clip, golden_, candidate_, asked, command_, show);
        } else {
            const datasets::LayerCase layer = load_layer(recording_, one.clip, one.layer, asked.placement);
            result = run_case(layer, golden_, candidate_, asked, command_, show);
        }
        if (!result.layer.untimed.empty()) {
            fmt::print(stderr, "harness: {} {}: not timed: {}\n", one.clip, piece, result.layer.untimed);
        }
        return result;
    } catch (const npu_impl::DeviceError& error) {
        // Its rows did not run, and say why; the others go on.
        fmt::print(stderr, "harness: {} {}: {}\n", one.clip, piece, error.what());
        return lost_case(one.clip, one.layer, asked, error.what());
    }
}

RunRecord CompareRun::run(const ShardNote& note, const Progress& progress) {
    RunRecord record = described_;
    Selection unprobed = options_.selection;
    unprobed.probes = false;
    const RunCase first = probed_case(note);
    for (const RunCase& one : own_cases(note)) {
        CaseResult result = run_one(one, one == first ? options_.selection : unprobed, progress);
        std::ranges::move(result.rows, std::back_inserter(record.rows));
        record.layers.push_back(std::move(result.layer));
    }
    if (owns_design_probes(note)) {
        examine_design(record, candidate_, options_.selection,
                       fmt::format("{} --layer {}", command_, note.layers.front()), progress);
    }
    if (complete(note)) {
        const datasets::Op softmax = softmax_op(candidate_.emits(datasets::Op::probabilities));
        examine_data(record, candidate_.arithmetic(softmax));
    }
    note_power_mode(record.environment, *device_);
    if (device_->clock() == datasets::Clock::device_wall) {
        record.speedup_label = measured_speedup_label(record.environment);
        record.cost_model = fmt::format(
            "measured by the host inside the calls of the device, transfers of poison and guard zones among "
            "them; beside them {}",
            record.cost_model);
    }
    if (baseline_) {
        use_cpu_baseline(record, *baseline_, options_.cpu_baseline);
    }
    const datasets::LayerShape shape = recording_.info().shape();
    record.time_model =
        time_notes(*npu_impl::find_design(options_.design), shape, options_.selection.placement, model_);
    add_amdahl(*record.time_model, record.layers);
    for (const std::string& line : accept_misses(record, accepted_misses_.entries)) {
        fmt::print(stderr, "harness: {}: {}\n", options_.accepted_misses, line);
    }
    sum_up(record);
    return record;
}

std::vector<std::string> outputs_of(const CompareOptions& options) {
    return {options.json, options.junit, options.html, options.timelines.trace, options.timelines.gantt};
}

ExitCode report_comparison(const RunRecord& record, const CompareOptions& options) {
    if (options.timelines.wanted()) {
        write_modelled_timelines(options, record);
    }
    const ExitCode code = report_run(record, options.common, options.json, options.junit);
    write_page(record, options.html);
    return code;
}

std::string alone_in_a_job() {
    return fmt::format(
        "one of {} processes that a launcher started, and MPI does not find the others: start them with "
        "mpirun, or srun --mpi=pmix, of the MPI of this build",
        launched_processes());
}

}  // namespace harness
