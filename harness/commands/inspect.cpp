// `harness inspect`: verifies a recording and prints what it holds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/commands/commands.hpp"
#include "harness/recorder.hpp"

namespace harness {

ExitCode run(const InspectOptions& options, const std::string&) {
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
    for (const datasets::ClipInfo& clip : info.clips) {
        fmt::print("  clip      {}: {:.2f} s of audio, {} valid frames\n", clip.id, clip.audio_seconds,
                   clip.valid_frames);
    }
    fmt::print("\n{:<44} {:>12} {:<5} {:>10} {:>10} {:>10}  sha256\n", "dataset", "dims", "type", "min",
               "max", "rms");
    for (const datasets::DatasetSummary& summary : summaries) {
        fmt::print("{:<44} {:>12} {:<5} {:>10.4g} {:>10.4g} {:>10.4g}  {:.12}\n", summary.object,
                   fmt::format("{}", fmt::join(summary.dims, " x ")),
                   summary.dtype == datasets::DType::bf16 ? "bf16" : "f32", summary.min, summary.max,
                   summary.rms, summary.sha256);
    }
    fmt::print("\nverified: {} datasets, every hash and every value\n", summaries.size());
    return ExitCode::passed;
}

}  // namespace harness
