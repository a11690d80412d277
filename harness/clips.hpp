// The windows of audio that a command line names, as the encoder hears them one after the other.
#pragma once

#include <string>
#include <vector>

#include "datasets/audio.hpp"
#include "harness/options.hpp"

namespace harness {

// How a context of rows hears a window: frames of its log-mel spectrogram, and the stride of conv2.
struct Hearing {
    std::int64_t frames = 0;
    std::int64_t stride = 2;
    double seconds = 0;  // of audio behind the context
};

// 1 to 1500 rows: two frames of 10 ms each. 3001: one each, the last frame of the centred transform included.
Hearing hearing(std::int64_t context);

// One window. `clip` is what `audio_of` wants.
struct ClipWindow {
    std::string id;
    double audio_seconds = 0;
    std::int64_t valid_frames = 0;  // rows of the encoder that see audio
    std::string audio_sha256;
    std::string origin;
    std::size_t clip = 0;
    datasets::Window window;
};

// Lists the windows of all audio, and gives their samples. Holds the samples of one clip at a time: a file is
// read once for the list, and once more when its windows are asked for and another was read in between.
class Clips {
public:
    // Throws datasets::ReadError for audio that cannot be read, and UsageError where a context shorter than
    // 1500 rows would not hear all of a window.
    explicit Clips(const EncoderOptions& options);

    [[nodiscard]] const std::vector<ClipWindow>& windows() const { return windows_; }

    // [480,000]: padded with silence.
    [[nodiscard]] std::vector<float> samples(const ClipWindow& window);

private:
    [[nodiscard]] const datasets::AudioClip& audio_of(std::size_t clip);

    EncoderOptions options_;
    std::vector<ClipWindow> windows_;
    std::size_t held_ = 0;
    datasets::AudioClip audio_;  // of clip `held_`
};

}  // namespace harness
