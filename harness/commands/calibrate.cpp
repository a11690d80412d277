// `harness calibrate`: how near healthy runs come to every limit of the gate.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>

#include "harness/atomic_file.hpp"
#include "harness/calibration_json.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/encoder_drift.hpp"
#include "harness/environment.hpp"
#include "harness/interrupt.hpp"
#include "harness/probe_recording.hpp"
#include "harness/probes.hpp"
#include "harness/progress.hpp"
#include "harness/recorder.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden.hpp"

namespace harness {
namespace {

// A recording, and what of it is run.
struct CalibrationSource {
    datasets::Recording recording;
    CalibrationPart part{};
    std::vector<int> layers;

    [[nodiscard]] bool has_end() const {
        const datasets::RecordingInfo& info = recording.info();
        return layers.back() == info.layers - 1 && recording.end().has_value();
    }
    // Whether every layer is run and the end is there: an encoder, if the layers have their MLP too.
    [[nodiscard]] bool is_whole() const { return int(layers.size()) == recording.info().layers && has_end(); }
    [[nodiscard]] std::size_t cases() const {
        return recording.info().clips.size() *
               (layers.size() + (has_end() ? 1 : 0) + (is_whole() ? layers.size() + 1 : 0));
    }
};

// Throws UsageError where one content is named twice: it would verify itself.
std::vector<CalibrationSource> open_sources(const CalibrateOptions& options) {
    std::vector<CalibrationSource> sources;
    std::map<std::string, std::string> files;  // by content
    const auto open = [&](const std::string& file, CalibrationPart part) {
        datasets::Recording recording = open_activations(file);
        const auto [other, fresh] = files.emplace(recording.content_sha256(), file);
        if (!fresh) {
            throw UsageError(fmt::format("{}: holds the same content as {}: name each recording once", file,
                                         other->second));
        }
        auto layers = parse_layers(options.layers, recording.info().recorded_layers);
        sources.push_back({std::move(recording), part, std::move(layers)});
    };
    if (options.recordings.empty()) {
        open(default_recording(options.context.value_or(1500), !options.common.quiet),
             CalibrationPart::fitted);
    }
    for (const std::string& file : options.recordings) {
        open(file, CalibrationPart::fitted);
    }
    for (const std::string& file : options.held_out) {
        open(file, CalibrationPart::held_out);
    }
    return sources;
}

std::vector<npu_impl::Design> selected_designs(const CalibrateOptions& options) {
    if (options.designs.empty()) {
        const auto all = npu_impl::designs();
        return {all.begin(), all.end()};
    }
    std::vector<npu_impl::Design> out;
    for (const std::string& name : options.designs) {
        npu_impl::Design design = npu_impl::compose(name);
        if (std::ranges::find(out, design.name, &npu_impl::Design::name) == out.end()) {
            out.push_back(std::move(design));
        }
    }
    return out;
}

CalibrationScope scope_of(const CalibrateOptions& options, const std::string& invocation,
                          const std::vector<CalibrationSource>& sources,
                          const std::vector<npu_impl::Design>& designs) {
    CalibrationScope scope;
    scope.command = invocation;
    scope.created_utc = utc_now();
    scope.commit = environment(options.common.threads).commit;
    scope.device = options.device;
    scope.emulation = datasets::name(options.emulation);
    for (const CalibrationSource& one : sources) {
        const datasets::RecordingInfo& info = one.recording.info();
        scope.recordings.push_back({one.recording.file(), one.recording.content_sha256(), info.model_id,
                                    info.context, one.part, from_checkpoint(info)});
    }
    for (const npu_impl::Design& design : designs) {
        scope.designs.push_back(design.name);
    }
    return scope;
}

// The largest placement that the layer holds everything for.
Placement placement_for(const datasets::LayerCase& layer) {
    const Placement all = parse_placement("all");
    return missing_for(all, layer).empty() ? all : parse_placement("attention");
}

class CalibrationRun {
public:
    CalibrationRun(const CalibrateOptions& options, const std::vector<CalibrationSource>& sources,
                   const std::vector<npu_impl::Design>& designs)
        : sources_(sources),
          designs_(designs),
          device_(npu_impl::open_device(options.device, options.emulation, options.xrt)),
          bar_("calibrating", steps(), !options.common.quiet) {}

    Calibration run() {
        for (const npu_impl::Design& design : designs_) {
            npu_impl::NpuPath candidate(*device_, design);
            for (const std::int64_t context : ragged_contexts) {
                step(fmt::format("{}: probes at T = {}", design.name, context));
                calibration_.add(run_ragged_probes(candidate, context),
                                 {CalibrationPart::fitted, "small integers", design.name});
            }
            for (const CalibrationSource& source : sources_) {
                run(source, candidate);
            }
        }
        return std::move(calibration_);
    }

private:
    [[nodiscard]] int steps() const {
        std::size_t cases = std::size(ragged_contexts);
        for (const CalibrationSource& source : sources_) {
            cases += source.cases();
        }
        return int(cases * designs_.size());
    }

    void step(const std::string& what) {
        throw_if_interrupted();
        bar_.step(what);
    }

    // Probes are about kernels, which are the same for every layer: the first one takes them.
    void run(const CalibrationSource& source, npu_impl::NpuPath& candidate) {
        Selection selection;
        selection.timing = {0, 0};
        const MeasuredAt at{source.part, source.recording.file(), std::string(candidate.name())};
        const auto within = [](std::string_view) { throw_if_interrupted(); };
        bool is_encoder = source.is_whole();
        for (const datasets::ClipInfo& clip : source.recording.info().clips) {
            for (const int layer : source.layers) {
                step(fmt::format("{}: {} layer {}", candidate.name(), clip.id, layer));
                const datasets::LayerCase one = source.recording.layer(clip.id, layer);
                selection.placement = placement_for(one);
                is_encoder = is_encoder && selection.placement.contains(datasets::Op::fc2);
                calibration_.add(run_case(one, golden_, candidate, selection, "harness --compare", within),
                                 one.shape, one.stored, at);
                selection.probes = false;
            }
            if (source.has_end()) {
                step(fmt::format("{}: {} end", candidate.name(), clip.id));
                selection.placement = parse_placement("all");
                const datasets::EndCase end = *source.recording.end();
                calibration_.add(run_recorded_end(source.recording, clip.id, golden_, candidate, selection,
                                                  "harness --compare", within),
                                 end.shape, end.stored, at);
            }
            if (is_encoder) {
                walk(source, clip.id, candidate, at);
            }
        }
    }

    // The encoder from its first layer on, with the attention on the NPU.
    void walk(const CalibrationSource& source, const std::string& clip, npu_impl::NpuPath& candidate,
              const MeasuredAt& at) {
        std::optional<datasets::LayerCase> held = source.recording.layer(clip, 0);
        EncoderPieces pieces;
        pieces.shape = held->shape;
        pieces.layers = source.recording.info().layers;
        pieces.end = *source.recording.end();
        pieces.layer = [&](int layer) -> const datasets::LayerCase& {
            if (held->layer != layer) {
                held = source.recording.layer(clip, layer);
            }
            return *held;
        };
        EncoderWalk golden(pieces, golden_route(golden_));
        EncoderWalk beside(pieces, placed_route(parse_placement("attention"), golden_, candidate));
        golden.start(held->stream);
        EncoderDrift drift;
        walk_beside(
            golden, beside, pieces,
            [&](std::string_view piece) {
                step(fmt::format("{}: {} {} of the encoder", candidate.name(), clip, piece));
            },
            drift);
        MeasuredAt encoder = at;
        encoder.place = fmt::format("{}, encoder", clip);
        calibration_.add(drift, true, encoder);
    }

    const std::vector<CalibrationSource>& sources_;
    const std::vector<npu_impl::Design>& designs_;
    std::unique_ptr<npu_impl::Device> device_;
    reference::GoldenPath golden_;
    Calibration calibration_;
    ProgressBar bar_;
};

std::string decibel(const HealthyEnvelope& envelope) {
    if (envelope.figures == 0) {
        return "-";
    }
    return std::isfinite(envelope.worst.decibel) ? fmt::format("{:.1f}", envelope.worst.decibel)
           : envelope.worst.decibel > 0          ? "inf"
                                                 : "none";
}

// Short enough for a line: JSON has the whole name of the file.
std::string place(const MeasuredAt& at) {
    return fmt::format("{}, {}: {}", std::filesystem::path(at.recording).filename().string(), at.design,
                       at.place);
}

void print_limits(const Calibration& calibration) {
    fmt::print("{:<30} {:<9} {:>10} {:>9} {:>11}  {:<12} {:>9} {:>9}\n", "limit", "basis", "envelope",
               "limit", "headroom dB", "mark", "held out", "proposed");
    for (const CalibratedLimit& one : calibration.limits()) {
        const Limit& now = limit(one.quantity);
        const HealthyEnvelope& shown = one.fitted.figures > 0 ? one.fitted : one.held_out;
        const auto proposed = one.proposal();
        fmt::print("{:<30} {:<9} {:>10} {:>9.4g} {:>11}  {:<12} {:>9} {:>9}{}\n", now.name, name(now.basis),
                   shown.figures > 0 ? fmt::format("{:.4g}", shown.worst.value) : "-", now.limit,
                   decibel(one.fitted), name(one.mark()), decibel(one.held_out),
                   proposed ? fmt::format("{:.4g}", *proposed) : "-",
                   one.verified() == false ? "  refuted" : "");
        if (now.basis != Basis::exact && shown.figures > 0) {
            fmt::print("    {}\n", place(shown.at));
        }
        if (one.mark() == LimitMark::broken) {
            const HealthyEnvelope& broke = one.fitted.beyond > 0 ? one.fitted : one.held_out;
            fmt::print("    broken {} times, worst: {}\n", broke.beyond, place(broke.at));
        }
    }
}

void print_summary(const Calibration& calibration, const CalibrationScope& scope) {
    const auto marked = [&](LimitMark mark) {
        return std::ranges::count_if(calibration.limits(),
                                     [mark](const CalibratedLimit& one) { return one.mark() == mark; });
    };
    for (const MistrustedCase& one : calibration.mistrusted()) {
        fmt::print("mistrusted  {}: {}\n", place(one.at), one.reason);
    }
    const auto gated = std::ranges::count_if(calibration.limits(), [](const CalibratedLimit& one) {
        return one.mark() == LimitMark::report_only && limit(one.quantity).gated;
    });
    const std::string provisional = scope.provisional();
    fmt::print(
        "\n{} recordings, {} designs, {} device, {} emulation; limits change only in harness/gate.cpp\n"
        "{}: {} limits keep 3 dB of room, {} report-only ({} of them gated now), {} broken, {} not measured "
        "here{}\n",
        scope.recordings.size(), scope.designs.size(), scope.device, scope.emulation,
        calibration.sound() ? "sound" : "not sound", marked(LimitMark::keeps_room),
        marked(LimitMark::report_only), gated, marked(LimitMark::broken), marked(LimitMark::not_measured),
        provisional.empty() ? "" : fmt::format("; provisional ({})", provisional));
}

}  // namespace

ExitCode run(const CalibrateOptions& options, const std::string& invocation) {
    std::vector<std::string> inputs = options.recordings;
    inputs.insert(inputs.end(), options.held_out.begin(), options.held_out.end());
    check_files(inputs, {options.output});
    const std::vector<CalibrationSource> sources = open_sources(options);
    const std::vector<npu_impl::Design> designs = selected_designs(options);
    const CalibrationScope scope = scope_of(options, invocation, sources, designs);
    const Calibration calibration = CalibrationRun(options, sources, designs).run();
    if (!options.output.empty()) {
        write_atomically(options.output, to_json(calibration, scope));
    }
    if (!options.common.quiet) {
        print_limits(calibration);
        print_summary(calibration, scope);
    }
    return calibration.sound() ? ExitCode::passed : ExitCode::failed;
}

}  // namespace harness
