// `harness --compare`: golden and NPU path side by side over the selected layers of a recording.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/cpu_baseline.hpp"
#include "harness/examination.hpp"
#include "harness/interrupt.hpp"
#include "harness/lost_case.hpp"
#include "harness/npu_environment.hpp"
#include "harness/progress.hpp"
#include "harness/recorder.hpp"
#include "harness/time_notes.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/device.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden.hpp"

namespace harness {
namespace {

void describe(RunRecord& record, const CompareOptions& options, const datasets::Recording& recording,
              const npu_impl::CostModel& model, const npu_impl::Device& device) {
    describe_recording(record, recording, options.common);
    describe_npu(record, options.design, device, model);
    record.placement = options.selection.placement.name;
    record.head = options.selection.head;
    record.row_seed = options.selection.row_seed;
}

// Launches reach the device of the model as they reach that of the run.
npu_impl::CostModel model_of(const CompareOptions& options, const npu_impl::Device& device) {
    npu_impl::CostModel model{npu_impl::device_spec(options.device_spec)};
    const std::optional<npu_impl::NpuIdentity> npu = device.npu();
    model.dispatch =
        npu && npu->most_launches_at_once > 1 ? npu_impl::Dispatch::run_lists : npu_impl::Dispatch::calls;
    return model;
}

// The layers that are recorded and asked for, where any of their ops is, and behind the last one the end,
// where it is placed on the NPU.
struct Pieces {
    std::vector<int> layers;
    bool end = false;

    [[nodiscard]] std::size_t count() const { return layers.size() + (end ? 1 : 0); }
};

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

Pieces selected_pieces(const CompareOptions& options, const datasets::Recording& recording) {
    Pieces pieces{parse_layers(options.layers, recording.info().recorded_layers), false};
    pieces.end = selects_end(options, recording, pieces.layers);
    if (options.selection.works().empty()) {
        pieces.layers.clear();
    }
    return pieces;
}

// What `run` yields. Where the device fails, its rows did not run, and say why; the others go on.
template <typename Run>
CaseResult unless_lost(const std::string& clip, int layer, const Selection& selection, Run run) {
    try {
        return run();
    } catch (const npu_impl::DeviceError& error) {
        fmt::print(stderr, "harness: {} {}: {}\n", clip,
                   layer == end_layer ? std::string("end") : fmt::format("layer {}", layer), error.what());
        return lost_case(clip, layer, selection, error.what());
    }
}

void run_cases(RunRecord& record, const CompareOptions& options, const datasets::Recording& recording,
               datasets::Path& candidate, const std::string& command) {
    const Pieces pieces = selected_pieces(options, recording);
    const auto clips = selected_clips(recording.info(), options.clip);
    const Selection& selection = options.selection;
    if (selection.head >= recording.info().heads) {
        throw UsageError(fmt::format("--head {}: the recording has no such head; valid: 0-{}", selection.head,
                                     recording.info().heads - 1));
    }
    // Probes are about kernels, which are the same for every layer: the first one takes them.
    Selection unprobed = selection;
    unprobed.probes = false;
    const int stages = stages_of(unprobed) * int(pieces.count() * clips.size()) + stages_of_run(selection) +
                       stages_of(selection) - stages_of(unprobed);
    ProgressBar bar("comparing", stages, !options.common.quiet);
    reference::GoldenPath golden;
    const auto keep = [&](CaseResult result) {
        record.rows.insert(record.rows.end(), result.rows.begin(), result.rows.end());
        record.layers.push_back(std::move(result.layer));
    };
    for (const std::string& clip : clips) {
        const auto show = [&](const std::string& piece) -> Progress {
            return [&bar, &clip, piece](std::string_view stage) {
                throw_if_interrupted();
                bar.step(fmt::format("{} {}: {}", clip, piece, stage));
            };
        };
        for (const int layer : pieces.layers) {
            const datasets::LayerCase one = load_layer(recording, clip, layer, selection.placement);
            const Selection& asked = record.layers.empty() ? selection : unprobed;
            keep(unless_lost(clip, layer, asked, [&] {
                return run_case(one, golden, candidate, asked, command, show(fmt::format("layer {}", layer)));
            }));
        }
        if (pieces.end) {
            keep(unless_lost(clip, end_layer, selection, [&] {
                return run_recorded_end(recording, clip, golden, candidate, selection, command, show("end"));
            }));
        }
    }
    if (!pieces.layers.empty()) {
        examine_run(record, candidate, selection,
                    fmt::format("{} --layer {}", command, pieces.layers.front()),
                    [&](std::string_view stage) {
                        throw_if_interrupted();
                        bar.step(std::string(stage));
                    });
    }
}

}  // namespace

ExitCode run(const CompareOptions& options, const std::string& invocation) {
    refuse_shared_files({options.dataset, options.cpu_baseline, options.device_spec},
                        {options.json, options.junit, options.timelines.trace, options.timelines.gantt});
    std::optional<CpuBaseline> baseline;
    if (!options.cpu_baseline.empty()) {
        baseline = read_cpu_baseline(options.cpu_baseline);
    }
    const auto device = npu_impl::open_device(options.device, options.emulation, options.xrt);
    const std::string file = options.dataset.empty()
                                 ? default_recording(options.context.value_or(1500), !options.common.quiet)
                                 : options.dataset;
    const datasets::Recording recording(file);
    const npu_impl::CostModel model = model_of(options, *device);
    npu_impl::NpuPath candidate(*device, *npu_impl::find_design(options.design), model);
    RunRecord record;
    record.command = invocation;
    describe(record, options, recording, model, *device);
    const std::string command = fmt::format(
        "harness --compare --dataset {} --design {} {} --device-spec {} --npu {}", shell_word(file),
        options.design, device_words(options.device, options.emulation, options.xrt),
        shell_word(options.device_spec), options.selection.placement.name);
    run_cases(record, options, recording, candidate, command);
    note_power_mode(record.environment, *device);
    if (device->clock() == datasets::Clock::device_wall) {
        record.speedup_label = measured_speedup_label(record.environment);
        record.cost_model =
            "measured by the host inside the calls of the device; beside them " + record.cost_model;
    }
    if (baseline) {
        use_cpu_baseline(record, *baseline, options.cpu_baseline);
    }
    const datasets::LayerShape shape{recording.info().context, recording.info().heads};
    record.time_model =
        time_notes(*npu_impl::find_design(options.design), shape, options.selection.placement, model);
    add_amdahl(*record.time_model, record.layers);
    if (options.timelines.wanted()) {
        write_timelines(
            placement_timeline(*npu_impl::find_design(options.design), shape, options.selection.placement,
                               model),
            fmt::format("{}: one layer, T = {}, {}", options.design, shape.context, record.cost_model),
            options.timelines);
    }
    return conclude(record, options.common, options.json, options.junit);
}

}  // namespace harness
