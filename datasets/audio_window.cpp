// Windows of 30 s, and how many rows of the encoder see audio.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>

#include "datasets/audio.hpp"

namespace datasets {
namespace {

// One step of 16-bit PCM.
constexpr float silence = 0x1p-15F;

bool is_silent(std::span<const float> samples) {
    return std::ranges::all_of(samples, [](float sample) { return std::abs(sample) <= silence; });
}

}  // namespace

std::vector<Window> windows(const AudioClip& clip) {
    const auto total = static_cast<std::int64_t>(clip.samples.size());
    if (total == 0) {
        throw std::invalid_argument("a clip without samples has no windows");
    }
    const std::int64_t remainder = total % window_samples;
    std::int64_t count = (total + window_samples - 1) / window_samples;
    if (count > 1 && remainder > 0 && remainder < hop_samples &&
        is_silent(std::span(clip.samples).last(static_cast<std::size_t>(remainder)))) {
        --count;
    }
    std::vector<Window> result(static_cast<std::size_t>(count));
    std::int64_t begin = 0;
    for (Window& window : result) {
        window.id = count == 1 ? clip.id : fmt::format("{}-{:03}", clip.id, begin / window_samples);
        window.begin = begin;
        window.count = std::min(window_samples, total - begin);
        window.audio_seconds = static_cast<double>(window.count) / sample_rate_hz;
        begin += window_samples;
    }
    return result;
}

std::vector<float> padded_samples(const AudioClip& clip, const Window& window) {
    const auto total = static_cast<std::int64_t>(clip.samples.size());
    if (window.begin < 0 || window.count < 0 || window.count > window_samples ||
        window.count > total - window.begin) {
        throw std::invalid_argument(fmt::format("window {} lies outside of clip {}", window.id, clip.id));
    }
    std::vector<float> samples(static_cast<std::size_t>(window_samples));
    std::copy_n(clip.samples.begin() + window.begin, window.count, samples.begin());
    return samples;
}

std::int64_t valid_frames(std::int64_t samples, const StemShape& shape) {
    const std::int64_t row = hop_samples * shape.stride;
    return std::min((samples + row - 1) / row, shape.context());
}

}  // namespace datasets
