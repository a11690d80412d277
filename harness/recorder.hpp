// Makes recordings: runs the fp32 encoder blocks over generated data, layer by layer, and writes what the
// attention of each layer reads and yields. Memory is one layer's, whatever the number of layers.
#pragma once

#include <string>

#include "datasets/recording.hpp"
#include "datasets/synthetic.hpp"

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

// Writes `file` whole or not at all. Throws std::runtime_error that names the file.
void record_synthetic(const RecordRequest& request, const std::string& file, bool show_progress);

// The default recording for this context, made on first use and kept under the user's cache folder
// ($XDG_CACHE_HOME, else ~/.cache).
std::string default_recording(std::int64_t context, bool show_progress);

}  // namespace harness
