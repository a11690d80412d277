// Makes recordings: walks the golden encoder and writes, layer by layer, what each reads and yields.
//
// Memory is that of a few layers, whatever the number of layers and clips; the writer hashes and writes one
// layer while the next is computed.
#pragma once

#include <string>

#include "datasets/recording.hpp"
#include "datasets/synthetic.hpp"
#include "harness/options.hpp"

namespace harness {

struct RecordRequest {
    datasets::SyntheticModel model;
    datasets::DType store = datasets::DType::f32;
    double audio_seconds = 0;  // 0: what the context stands for, see `audio_seconds_of`
};

// Seconds of audio behind a context: 20 ms a row for the canonical encoder (T <= 1500, conv stride 2), 10 ms
// for the variant without stride, whose centred frames count one more (T = 3001 is 30 s).
double audio_seconds_of(std::int64_t context);

// Name of a Whisper size by its number of heads, e.g. "base".
std::string size_name(int heads);

// What a recording that this program makes says of its producer and shape; model, layers and clips are to be
// added. `source`: as in RecordingInfo.
datasets::RecordingInfo own_recording(const std::string& source, datasets::LayerShape shape);

// Writes `file` whole or not at all. Throws std::runtime_error that names the file.
void record_synthetic(const RecordRequest& request, const std::string& file, bool show_progress);

// Runs the encoder of `options` over every window of its audio. Clips and layers that an interrupted
// recording left are not written again where `options.resume` is set, and whole clips not computed. Throws
// std::runtime_error and datasets::ReadError that name the file, and UsageError.
void record_encoder(const RecordOptions& options);

// The default recording for this context, made on first use and kept under the user's cache folder
// ($XDG_CACHE_HOME, else ~/.cache).
std::string default_recording(std::int64_t context, bool show_progress);

}  // namespace harness
