// `harness inspect`: verifies a recording and prints what it holds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "datasets/checkpoint.hpp"
#include "harness/commands/commands.hpp"
#include "harness/data_trust.hpp"
#include "harness/interrupt.hpp"
#include "harness/recorder.hpp"
#include "npu_impl/design.hpp"
#include "reference/golden_source.hpp"

namespace harness {

namespace {

// What is not HDF5 may be a checkpoint; what is not there is looked for as a recording.
bool may_be_checkpoint(const std::string& file) {
    constexpr std::string_view hdf5 = "\x89HDF\r\n\x1a\n";
    if (std::filesystem::is_directory(file)) {
        return true;
    }
    std::ifstream in(file, std::ios::binary);
    std::string begin(hdf5.size(), '\0');
    in.read(begin.data(), static_cast<std::streamsize>(begin.size()));
    return in.gcount() > 0 && begin != hdf5;
}

void print_checkpoint(const std::string& file) {
    const datasets::CheckpointSummary summary = datasets::inspect_checkpoint(file);
    fmt::print("{}\n  encoder   {}: {} mels, {} heads x 64, {} layers, {} positions{}\n", file,
               summary.model_id, summary.mels, summary.heads, summary.layers, summary.context,
               summary.stores_positions ? "" : " (closed form)");
    fmt::print("  format    {}, names of {}, {}\n", datasets::name(summary.format), summary.naming,
               summary.dtypes);
    fmt::print("  tensors   {} of the encoder, {} others; {:.1f} MB\n", summary.encoder_tensors,
               summary.other_tensors, double(summary.file_bytes) / 1e6);
    fmt::print("\nverified: structure, names, types and shapes; values are checked when they are read\n");
}

void print_clip(const datasets::ClipInfo& clip) {
    fmt::print("  clip      {}: {:.2f} s of audio, {} valid frames{}\n", clip.id, clip.audio_seconds,
               clip.valid_frames, clip.audio_origin.empty() ? "" : ", from " + clip.audio_origin);
}

// One line per head of every layer, and what these layers cannot reveal to the default design.
void print_data(const datasets::Recording& recording) {
    fmt::print("\n{:<16} {:>5} {:>4} {:>9} {:>7} {:>8} {:>8} {:>9} {:>8} {:>8}\n", "attention", "layer",
               "head", "eff. keys", "top p", "lowest s", "highest", "m < 0 %", "padding", "widest");
    std::vector<LayerStatistics> layers;
    for (const datasets::ClipInfo& clip : recording.info().clips) {
        for (const int number : recording.info().recorded_layers) {
            throw_if_interrupted();
            const datasets::LayerCase layer = recording.layer(clip.id, number);
            layers.push_back(statistics_of(layer, reference::GoldenSource(layer)));
            for (const HeadStatistics& head : layers.back().heads) {
                fmt::print(
                    "{:<16.16} {:>5} {:>4} {:>9.1f} {:>7.3f} {:>8.1f} {:>8.1f} {:>9.1f} {:>8.1e} {:>8.1f}\n",
                    clip.id, number, head.head, head.effective_keys, head.median_top_probability,
                    head.lowest_logit, head.highest_logit, 100 * head.negative_rows, head.padding_share,
                    head.widest_row);
            }
            fmt::print(
                "{:<16.16} {:>5}      {} outlier channels of the input, the largest {:.1f} x the median\n",
                clip.id, number, layers.back().outlier_channels, layers.back().largest_channel);
        }
    }
    const npu_impl::Design& design = *npu_impl::find_design("unfused");
    const auto trust = judge_trust(layers, design.arithmetic_of(datasets::Op::probabilities), {});
    fmt::print("\nfaults that this recording alone cannot reveal (design {}):\n", design.name);
    const auto blind = [](const TrustRow& row) { return row.judgement.verdict != Verdict::passed; };
    for (const TrustRow& row : trust) {
        if (blind(row)) {
            fmt::print("  {:<17} {}\n", name(row.fault), row.judgement.reason);
        }
    }
    if (std::ranges::none_of(trust, blind)) {
        fmt::print("  none of {}\n", trust.size());
    }
}

}  // namespace

ExitCode run(const InspectOptions& options, const std::string&) {
    if (may_be_checkpoint(options.file)) {
        if (options.common.quiet) {
            (void)datasets::inspect_checkpoint(options.file);
        } else {
            print_checkpoint(options.file);
        }
        return ExitCode::passed;
    }
    const datasets::Recording recording(options.file);
    const datasets::RecordingInfo& info = recording.info();
    const auto summaries = recording.summaries();
    if (options.common.quiet) {
        return ExitCode::passed;
    }
    fmt::print("{}\n  model     {} (Whisper {}: {} heads x 64, {} layers), T = {}\n", options.file,
               info.model_id, size_name(info.heads), info.heads, info.layers, info.context);
    fmt::print("  source    {}, by {} {}, {}\n", info.source, info.producer, info.producer_version,
               info.created_utc);
    if (!info.recipe.empty()) {
        fmt::print("  recipe    {}, seed {}\n", info.recipe, info.seed);
    }
    fmt::print("  identity  content sha256 {}\n            model {}\n", recording.content_sha256(),
               info.model_sha256);
    if (std::ssize(info.recorded_layers) < info.layers) {
        fmt::print("  layers    {}\n", fmt::join(info.recorded_layers, ", "));
    }
    std::ranges::for_each(info.clips, print_clip);
    fmt::print("\n{:<44} {:>12} {:<5} {:>10} {:>10} {:>10}  sha256\n", "dataset", "dims", "type", "min",
               "max", "rms");
    for (const datasets::DatasetSummary& summary : summaries) {
        fmt::print("{:<44} {:>12} {:<5} {:>10.4g} {:>10.4g} {:>10.4g}  {:.12}\n", summary.object,
                   fmt::format("{}", fmt::join(summary.dims, " x ")),
                   summary.dtype == datasets::DType::bf16 ? "bf16" : "f32", summary.min, summary.max,
                   summary.rms, summary.sha256);
    }
    print_data(recording);
    fmt::print("\nverified: {} datasets, every hash and every value\n", summaries.size());
    return ExitCode::passed;
}

}  // namespace harness
