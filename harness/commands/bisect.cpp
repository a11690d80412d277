// `harness bisect`: which op of a layer an error comes from.
#include "harness/bisect.hpp"
#include "harness/atomic_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "harness/bisect_json.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/environment.hpp"
#include "harness/interrupt.hpp"
#include "harness/probe_recording.hpp"
#include "harness/progress.hpp"
#include "harness/recorder.hpp"
#include "harness/shard.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden_end_source.hpp"
#include "reference/golden_source.hpp"
#include "reports/words.hpp"

namespace harness {
namespace {

std::string step_name(datasets::OpRange step) {
    return step.first == step.last
               ? std::string(datasets::name(step.last))
               : fmt::format("{}..{}", datasets::name(step.first), datasets::name(step.last));
}

std::string piece_name(int layer) {
    return layer == end_layer ? "end" : fmt::format("layer {}", layer);
}

std::string headline_text(const std::optional<Judgement>& headline, bool color) {
    if (!headline) {
        return "";
    }
    return fmt::format(", headline {}{}", reports::painted(headline->verdict, 0, color),
                       headline->reason.empty() ? "" : ": " + headline->reason);
}

// Of the level 2 limit that is nearest.
std::string room(const std::optional<Headroom>& nearest) {
    return nearest ? fmt::format("{:.1f} {}", nearest->decibel, limit(nearest->quantity).name) : "-";
}

std::string layer_text(const LayerBisection& found, bool color) {
    if (!found.not_run.empty()) {
        return fmt::format("clip {}, {}: {} {}: {}\n\n", found.clip, piece_name(found.layer),
                           step_name(found.range), reports::painted(Verdict::not_run, 0, color),
                           found.not_run);
    }
    std::string out = fmt::format("clip {}, {}: {}'s error {:.4g} of its norm{}\n", found.clip,
                                  piece_name(found.layer), datasets::name(found.range.last),
                                  found.relative_error, headline_text(found.headline, color));
    out += fmt::format("  {:<16} {:<10} {:>10} {:>7} {:>10} {:>9}  {}\n", "step", "budget", "rho", "z rms",
                       "own error", "share", "headroom dB");
    double sum = 0;
    for (const StepShare& step : found.steps) {
        out += fmt::format("  {:<16} {} {:>10.4g} {:>7} {:>10.4g} {:>8.1f}%  {}\n", step_name(step.step),
                           reports::painted(step.judgement.verdict, 10, color), step.rho,
                           std::isnan(step.z_rms) ? "-" : fmt::format("{:.2f}", step.z_rms),
                           step.relative_error, 100 * step.share, room(step.nearest));
        sum += step.share;
    }
    out += fmt::format("  {:<16} {:<10} {:>10} {:>7} {:>10} {:>8.1f}%\n", "", "", "", "", "sum", 100 * sum);
    if (found.first) {
        const StepShare& first = found.steps[*found.first];
        out += fmt::format(
            "  first beyond its budget: {}: {}\n  with {} exact and all else as it is, {}'s error is "
            "{:.4g}\n",
            step_name(first.step), first.judgement.reason, step_name(first.step),
            datasets::name(found.range.last), found.relative_error_without);
    }
    return out + "\n";
}

// The first op of the first layer that is beyond its budget, else where most of the error comes from.
std::string conclusion(const std::vector<LayerBisection>& all) {
    for (const LayerBisection& found : all) {
        if (found.first) {
            return fmt::format("first beyond its budget: {} of {}, clip {}\n",
                               step_name(found.steps[*found.first].step), piece_name(found.layer),
                               found.clip);
        }
    }
    const auto worst = std::ranges::max_element(all, {}, &LayerBisection::relative_error);
    const auto most = std::ranges::max_element(worst->steps, {}, &StepShare::share);
    return fmt::format(
        "every op lies within its budget; the largest error is that of {}, {:.1f}% of it by {}\n",
        piece_name(worst->layer), 100 * most->share, step_name(most->step));
}

std::vector<Verdict> verdicts_of(const std::vector<LayerBisection>& all) {
    std::vector<Verdict> out;
    for (const LayerBisection& found : all) {
        if (!found.not_run.empty()) {
            out.push_back(Verdict::not_run);
        }
        if (found.headline) {
            out.push_back(found.headline->verdict);
        }
        for (const StepShare& step : found.steps) {
            out.push_back(step.judgement.verdict);
        }
    }
    return out;
}

}  // namespace

ExitCode run(const BisectOptions& options, const std::string& invocation) {
    check_files({options.recording}, {options.json});
    const auto device = npu_impl::open_device(options.device, options.emulation, options.xrt);
    const std::string file = options.recording.empty()
                                 ? default_recording(options.context, !options.common.quiet)
                                 : options.recording;
    const datasets::Recording recording = open_activations(file);
    npu_impl::NpuPath candidate(*device, npu_impl::compose(options.design));
    const std::vector<std::string> clips = selected_clips(recording.info(), options.clip);
    const std::vector<int> layers = parse_layers(options.layers, recording.info().recorded_layers);
    const Placement placement = parse_placement(options.placement);
    const bool with_end = placement.end && layers.back() == recording.info().layers - 1;
    std::vector<LayerBisection> found;
    {
        const std::size_t of_a_clip = layers.size() * placement.layer.size() + (with_end ? 1 : 0);
        ProgressBar bar("bisecting", static_cast<int>(clips.size() * of_a_clip), !options.common.quiet);
        for (const std::string& clip : clips) {
            for (const int layer : layers) {
                const datasets::LayerCase one = load_layer(recording, clip, layer, placement);
                const reference::GoldenSource golden(one);
                for (const datasets::OpRange range : placement.layer) {
                    throw_if_interrupted();
                    bar.step(fmt::format("{} layer {}: {}", clip, layer, step_name(range)));
                    found.push_back(bisect(one, golden, candidate, range));
                }
            }
            if (with_end) {
                bar.step(clip + " end");
                RecordedEnd end = load_end(recording, clip, placement);
                const reference::GoldenEndSource golden(end.piece, std::move(end.block));
                found.push_back(bisect_end(end.piece, clip, golden, candidate));
            }
        }
    }
    if (std::ranges::none_of(found, &std::string::empty, &LayerBisection::not_run)) {
        throw npu_impl::DeviceError(found.front().not_run);
    }
    if (!options.json.empty()) {
        write_atomically(
            options.json,
            to_json(found, {invocation, utc_now(), file, recording.content_sha256(), options.design,
                            options.device, std::string(datasets::name(options.emulation))}));
    }
    if (!options.common.quiet) {
        for (const LayerBisection& layer : found) {
            fmt::print("{}", layer_text(layer, wants_color(options.common.color)));
        }
        fmt::print("{}", conclusion(found));
    }
    return exit_code(worst_verdict(verdicts_of(found)));
}

}  // namespace harness
