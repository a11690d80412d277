// `harness record`: makes a recording.
#include <fmt/format.h>

#include <filesystem>

#include "harness/commands/commands.hpp"
#include "harness/recorder.hpp"

namespace harness {

ExitCode run(const RecordOptions& options, const std::string&) {
    record_synthetic({options.model, options.store, options.audio_seconds}, options.out,
                     !options.common.quiet);
    if (!options.common.quiet) {
        const datasets::Recording made(options.out);
        const datasets::RecordingInfo& info = made.info();
        fmt::print("{}: {}, T = {}, {} layers, {:.1f} s of audio, {:.1f} MB, content sha256 {}\n",
                   options.out, info.model_id, info.context, info.layers, info.clips.front().audio_seconds,
                   double(std::filesystem::file_size(options.out)) / 1e6, made.content_sha256());
    }
    return ExitCode::passed;
}

}  // namespace harness
