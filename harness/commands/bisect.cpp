// `harness bisect`: which op of the attention an error comes from.
#include "harness/bisect.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/interrupt.hpp"
#include "harness/progress.hpp"
#include "harness/recorder.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden_source.hpp"
#include "reports/words.hpp"

namespace harness {
namespace {

std::string step_name(datasets::OpRange step) {
    return step.first == step.last
               ? std::string(datasets::name(step.last))
               : fmt::format("{}..{}", datasets::name(step.first), datasets::name(step.last));
}

std::string layer_text(const LayerBisection& found, bool color) {
    std::string out =
        fmt::format("clip {}, layer {}: output's error {:.4g} of its norm, headline {}{}\n", found.clip,
                    found.layer, found.relative_error, reports::painted(found.headline.verdict, 0, color),
                    found.headline.reason.empty() ? "" : ": " + found.headline.reason);
    out +=
        fmt::format("  {:<16} {:<10} {:>10} {:>10} {:>9}\n", "step", "level 1", "rho", "own error", "share");
    double sum = 0;
    for (const StepShare& step : found.steps) {
        out += fmt::format("  {:<16} {} {:>10.4g} {:>10.4g} {:>8.1f}%\n", step_name(step.step),
                           reports::painted(step.judgement.verdict, 10, color), step.rho, step.relative_error,
                           100 * step.share);
        sum += step.share;
    }
    out += fmt::format("  {:<16} {:<10} {:>10} {:>10} {:>8.1f}%\n", "", "", "", "sum", 100 * sum);
    if (found.first) {
        const StepShare& first = found.steps[*found.first];
        out += fmt::format(
            "  first beyond its bounds: {}: {}\n  with {} exact and all else as it is, the output's error is "
            "{:.4g}\n",
            step_name(first.step), first.judgement.reason, step_name(first.step),
            found.relative_error_without);
    }
    return out + "\n";
}

// The first op of the first layer that is beyond its bounds, else where most of the error comes from.
std::string conclusion(const std::vector<LayerBisection>& all) {
    for (const LayerBisection& found : all) {
        if (found.first) {
            return fmt::format("first beyond its budget: {} of layer {}, clip {}\n",
                               step_name(found.steps[*found.first].step), found.layer, found.clip);
        }
    }
    const auto worst = std::ranges::max_element(all, {}, &LayerBisection::relative_error);
    const auto most = std::ranges::max_element(worst->steps, {}, &StepShare::share);
    return fmt::format(
        "every op lies within its bounds; the largest error is that of layer {}, {:.1f}% of it by {}\n",
        worst->layer, 100 * most->share, step_name(most->step));
}

}  // namespace

ExitCode run(const BisectOptions& options, const std::string&) {
    const auto device = npu_impl::open_device(options.device, options.emulation);
    const std::string file = options.recording.empty()
                                 ? default_recording(options.context, !options.common.quiet)
                                 : options.recording;
    const datasets::Recording recording(file);
    npu_impl::NpuPath candidate(*device, npu_impl::compose(options.design));
    const std::vector<std::string> clips = selected_clips(recording.info(), options.clip);
    const std::vector<int> layers = parse_layers(options.layers, recording.info().recorded_layers);
    std::vector<LayerBisection> found;
    {
        ProgressBar bar("bisecting", static_cast<int>(clips.size() * layers.size()), !options.common.quiet);
        for (const std::string& clip : clips) {
            for (const int layer : layers) {
                throw_if_interrupted();
                bar.step(fmt::format("{} layer {}", clip, layer));
                const datasets::LayerCase one =
                    load_layer(recording, clip, layer, parse_placement("attention"));
                found.push_back(bisect(one, reference::GoldenSource(one), candidate));
            }
        }
    }
    std::vector<Verdict> verdicts;
    for (const LayerBisection& layer : found) {
        verdicts.push_back(layer.headline.verdict);
        for (const StepShare& step : layer.steps) {
            verdicts.push_back(step.judgement.verdict);
        }
    }
    if (!options.common.quiet) {
        for (const LayerBisection& layer : found) {
            fmt::print("{}", layer_text(layer, wants_color(options.common.color)));
        }
        fmt::print("{}", conclusion(found));
    }
    return exit_code(worst_verdict(verdicts));
}

}  // namespace harness
