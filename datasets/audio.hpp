// Audio as Whisper hears it: 16 kHz, mono, in windows of 30 s.
//
// Files are read by libsndfile and resampled by libsoxr; synthetic_speech.hpp makes a clip without a file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/op.hpp"

namespace datasets {

inline constexpr int sample_rate_hz = 16000;

// Samples of one window, and from one frame of the log-mel spectrogram to the next (10 ms).
inline constexpr std::int64_t window_samples = std::int64_t{30} * sample_rate_hz;
inline constexpr std::int64_t hop_samples = 160;

struct AudioClip {
    std::string id;              // name of the file without its ending, or of the generator
    std::vector<float> samples;  // 16 kHz, mono, nominally within [-1, 1]
    double seconds = 0;          // of the source, before resampling
    std::string sha256;          // of the file, or of the generator's samples (fp32, little-endian)
    std::string origin;          // where it comes from, and what was done to it, in words
};

// What `read_audio` takes. Checked before anything is allocated.
inline constexpr int lowest_rate_hz = 4000;
inline constexpr int highest_rate_hz = 384000;
inline constexpr int most_channels = 32;
inline constexpr std::int64_t longest_audio_seconds = std::int64_t{6} * 3600;

// Floating-point samples may pass full scale by this much (24 dB). Beyond it they are in another unit.
inline constexpr float largest_sample = 16;

// Reads WAV (also RF64), FLAC or Ogg (Vorbis, Opus) of any rate and number of channels within the limits
// above. Integer PCM is value / 2^(bits - 1), exact up to 24 bits; channels are averaged (sum in fp64,
// rounded once to fp32); other rates than 16 kHz are resampled (resampler.hpp). The file is streamed:
// memory is what the clip itself takes and some 2 MB. Throws ReadError for a file that is missing, of
// another kind, empty, cut short, corrupt, of unknown length, beyond the limits, or holds a sample that
// is not finite.
AudioClip read_audio(const std::string& file);

// A window of a clip. Samples beyond `count` up to 30 s are silence that Whisper adds.
struct Window {
    std::string id = {};       // "<clip>", or "<clip>-000", "<clip>-001", ... where there are several
    std::int64_t begin = 0;    // first sample
    std::int64_t count = 0;    // samples before the padding, 1 .. window_samples
    double audio_seconds = 0;  // their length
};

// The windows of a clip, in order, side by side. A remainder behind a full window that is shorter than
// one hop (10 ms) and silent (no sample above one step of 16 bits, 2^-15) makes no window: such tails
// come from encoders and resamplers. A clip has at least one window. Throws std::invalid_argument for one
// without samples.
std::vector<Window> windows(const AudioClip& clip);

// The samples of a window, padded with zeros to 30 s.
std::vector<float> padded_samples(const AudioClip& clip, const Window& window);

// Rows of the encoder that see audio rather than padding alone: ceil(samples / (hop * stride)), at most the
// context. A row is 20 ms long with a stride of 2, 10 ms with a stride of 1.
std::int64_t valid_frames(std::int64_t samples, const StemShape& shape);

}  // namespace datasets
