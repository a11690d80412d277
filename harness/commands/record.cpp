// `harness record`: makes a recording.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/probe_recording.hpp"
#include "harness/recorder.hpp"

namespace harness {
namespace {

// Hours of work may lie there: it is told, whatever --quiet leaves out.
void announce_replacement(const RecordOptions& options) {
    const std::filesystem::path left = options.out + ".partial";
    std::error_code ignored;
    if (!options.resume && std::filesystem::is_regular_file(left, ignored) &&
        std::filesystem::file_size(left, ignored) > 0) {
        fmt::print(stderr, "{}: left by an interrupted recording, is written anew{}\n", left.string(),
                   options.encoder ? "; --resume would have continued it" : "");
    }
}

}  // namespace

ExitCode run(const RecordOptions& options, const std::string&) {
    if (options.encoder) {
        std::vector<std::string> inputs = options.encoder->audio;
        inputs.push_back(options.encoder->weights);
        check_files(inputs, {options.out});
        announce_replacement(options);
        record_encoder(options);
    } else if (!options.probes_for.empty()) {
        check_files({options.probes_for}, {options.out});
        announce_replacement(options);
        const datasets::Recording recording(options.probes_for);
        if (recording.info().heads < 2) {
            throw datasets::ReadError(recording.file(), "/", "has one head, and probes need two");
        }
        record_probes(recording.info().shape(), options.store, options.out, !options.common.quiet);
    } else {
        announce_replacement(options);
        record_synthetic({options.model, options.store, options.audio_seconds}, options.out,
                         !options.common.quiet);
    }
    if (!options.common.quiet) {
        const datasets::Recording made(options.out);
        const datasets::RecordingInfo& info = made.info();
        double seconds = 0;
        for (const datasets::ClipInfo& clip : info.clips) {
            seconds += clip.audio_seconds;
        }
        fmt::print(
            "{}: {}, T = {}, {} of {} layers, {} clips, {:.2f} s of audio, {:.1f} MB, content sha256 {}\n",
            options.out, info.model_id, info.context, info.recorded_layers.size(), info.layers,
            info.clips.size(), seconds, double(std::filesystem::file_size(options.out)) / 1e6,
            made.content_sha256());
    }
    return ExitCode::passed;
}

}  // namespace harness
