// Whisper's log-mel spectrogram: what the encoder's stem reads.
//
// As `log_mel_spectrogram` of openai/whisper (audio.py): frames of 400 samples every 160, centred, the
// signal mirrored by 200 samples at both ends; periodic Hann window; power spectrum of 201 bins; mel
// filterbank; max(., 1e-10); log10; max(., largest - 8); (. + 4) / 4. From samples to log10 the
// arithmetic is fp64, then fp32. `largest` is that of the given samples: as in Hugging Face's feature
// extractor, and in openai/whisper for audio of one window.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reference {

inline constexpr std::int64_t fourier_samples = 400;
inline constexpr std::int64_t fourier_bins = fourier_samples / 2 + 1;
inline constexpr int most_mels = 128;

// The filterbank [mel, bin] of librosa.filters.mel(sr=16000, n_fft=400, n_mels=mels): triangles between
// `mels` + 2 points that are even on Slaney's scale (linear below 1 kHz, 27 steps per factor of 6.4
// above) from 0 to 8 kHz, each of area 1 over the frequency in Hz. For 80 and 128 mels these are
// the values of Whisper's own asset, mel_filters.npz. Throws std::invalid_argument for mels outside of
// 1 .. 128.
std::vector<float> mel_filterbank(int mels);

// The frame behind the last hop is centred on the end of the signal. Whisper drops it: 30 s are 3000
// frames. A variant in use keeps it: 3001.
enum class LastFrame : std::uint8_t { dropped, kept };

struct LogMel {
    int mels = 0;
    std::int64_t frames = 0;
    std::vector<float> values;  // [frame, mel]

    [[nodiscard]] float at(int mel, std::int64_t frame) const {
        return values[static_cast<std::size_t>(frame * mels + mel)];
    }
};

// The spectrogram of finite samples at 16 kHz, samples / 160 frames (rounded down; one more with the last
// one kept). Against an fp64 DFT every element is within 1e-6. Parallel over frames; same bits for every
// number of threads and every instruction set. Throws std::invalid_argument for fewer than 201 samples,
// which cannot be mirrored, and for mels outside of 1 .. 128.
LogMel log_mel(std::span<const float> samples, int mels, LastFrame last_frame = LastFrame::dropped);

}  // namespace reference
