// `harness what-if`: what a design's declared arithmetic costs, and what each single change would buy.
#include <fmt/format.h>

#include "harness/budget.hpp"
#include "harness/commands/commands.hpp"
#include "harness/interrupt.hpp"
#include "harness/probe_recording.hpp"
#include "harness/progress.hpp"
#include "harness/recorder.hpp"
#include "npu_impl/design.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

std::string clip_of(const datasets::RecordingInfo& info, const std::string& wanted) {
    std::string valid;
    for (const datasets::ClipInfo& clip : info.clips) {
        if (wanted.empty() || clip.id == wanted) {
            return clip.id;
        }
        valid += (valid.empty() ? "" : ", ") + clip.id;
    }
    throw UsageError(fmt::format("--clip {}: the recording has no such clip; valid: {}", wanted, valid));
}

// What is predicted of some layers, collected layer by layer.
struct Predictions {
    std::vector<PredictedError> as_declared;
    std::vector<std::string> changes;
    std::vector<std::vector<PredictedError>> errors;
};

void print_budget(int layer, const std::vector<BudgetLine>& budget) {
    fmt::print("layer {}\n{:<9} {:>14} {:>14} {:>14} {:>16}\n", layer, "op", "isolated", "chained",
               "of it mean", "match % chained");
    for (const BudgetLine& line : budget) {
        fmt::print("{:<9} {:>14.3e} {:>14.3e} {:>14.3e} {:>16.4f}\n", datasets::name(line.op),
                   line.isolated.relative_error, line.chained.relative_error, line.chained.relative_mean,
                   line.chained.match_percent);
    }
    fmt::print("\n");
}

void print_ranking(const Predictions& predictions) {
    const std::vector<Gain> gains = ranked(predictions.as_declared, predictions.changes, predictions.errors);
    const Gain now = ranked(predictions.as_declared, {"as declared"}, {predictions.as_declared}).front();
    fmt::print("{:<58} {:>12} {:>9} {:>10}\n", "single change", "error out", "match %", "buys dB");
    for (const Gain& gain : gains) {
        fmt::print("{:<58} {:>12.3e} {:>9.4f} {:>10.2f}\n", gain.change, gain.relative_error,
                   gain.match_percent, gain.decibel);
    }
    fmt::print("{:<58} {:>12.3e} {:>9.4f}\n", now.change, now.relative_error, now.match_percent);
    fmt::print(
        "predicted from the declared arithmetic, nothing ran; error out: relative, chained, rms over {} "
        "layers;\nmatch: of the worst layer\n",
        predictions.as_declared.size());
}

}  // namespace

ExitCode run(const WhatIfOptions& options, const std::string&) {
    const std::string file = options.dataset.empty()
                                 ? default_recording(options.context.value_or(1500), !options.common.quiet)
                                 : options.dataset;
    const datasets::Recording recording = open_activations(file);
    const std::string clip = clip_of(recording.info(), options.clip);
    const std::vector<int> layers = parse_layers(options.layers, recording.info().recorded_layers);
    const npu_impl::Design& design = *npu_impl::find_design(options.design);
    const Declared declared = declared_by(design);
    const std::vector<Alternative> changes = alternatives(declared);
    Predictions predictions;
    predictions.errors.resize(changes.size());
    for (const Alternative& alternative : changes) {
        predictions.changes.push_back(alternative.change);
    }
    std::vector<std::vector<BudgetLine>> budgets;
    ProgressBar bar("predicting", int(layers.size() * (changes.size() + 1)), !options.common.quiet);
    for (const int layer : layers) {
        const datasets::LayerCase one = recording.layer(clip, layer);
        const reference::GoldenSource golden(one);
        bar.step(fmt::format("layer {}: as declared", layer));
        budgets.push_back(attention_budget(one, golden, declared));
        predictions.as_declared.push_back(budgets.back().back().chained);
        for (std::size_t i = 0; i < changes.size(); ++i) {
            throw_if_interrupted();
            bar.step(fmt::format("layer {}: {}", layer, changes[i].change));
            predictions.errors[i].push_back(output_error(one, golden, changes[i].declared));
        }
    }
    if (options.common.quiet) {
        return ExitCode::passed;
    }
    fmt::print("design {} on {}, clip {}: relative errors against the golden, predicted\n\n", design.name,
               file, clip);
    for (std::size_t i = 0; i < layers.size(); ++i) {
        print_budget(layers[i], budgets[i]);
    }
    print_ranking(predictions);
    return ExitCode::passed;
}

}  // namespace harness
