#include "harness/clips.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "datasets/recording.hpp"
#include "datasets/synthetic_speech.hpp"

namespace harness {
namespace {

constexpr std::int64_t canonical_context = 1500;

std::size_t clip_count(const EncoderOptions& options) {
    return options.audio.size() + (options.synthetic_speech_seconds > 0 ? 1 : 0);
}

// Files of the same name in different folders are different clips.
void make_unique(std::vector<ClipWindow>& windows) {
    std::set<std::string> taken;
    for (ClipWindow& window : windows) {
        const std::string name = window.id;
        for (int number = 2; !taken.insert(window.id).second; ++number) {
            window.id = fmt::format("{}-{}", name, number);
        }
    }
}

}  // namespace

Hearing hearing(std::int64_t context) {
    const double frame_seconds = double(datasets::hop_samples) / datasets::sample_rate_hz;
    if (context <= canonical_context) {
        return {2 * context, 2, double(2 * context) * frame_seconds};
    }
    return {context, 1, double(context - 1) * frame_seconds};
}

Clips::Clips(const EncoderOptions& options) : options_(options), held_(clip_count(options)) {
    const Hearing heard = hearing(options.context);
    const datasets::StemShape shape{0, heard.frames, heard.stride, 0};
    for (std::size_t clip = 0; clip < clip_count(options); ++clip) {
        const datasets::AudioClip& audio = audio_of(clip);
        for (datasets::Window& window : datasets::windows(audio)) {
            if (window.audio_seconds > heard.seconds) {
                throw UsageError(fmt::format(
                    "--context {} hears {:.2f} s, and {} lasts {:.2f} s: take --context {} or more",
                    options.context, heard.seconds, window.id, window.audio_seconds,
                    datasets::valid_frames(window.count, {0, 3000, 2, 0})));
            }
            windows_.push_back({window.id, window.audio_seconds, datasets::valid_frames(window.count, shape),
                                audio.sha256, audio.origin, clip, std::move(window)});
        }
    }
    make_unique(windows_);
}

const datasets::AudioClip& Clips::audio_of(std::size_t clip) {
    if (held_ != clip) {
        audio_ = {};
        audio_ = clip < options_.audio.size()
                     ? datasets::read_audio(options_.audio[clip])
                     : datasets::synthetic_speech(options_.synthetic_speech_seconds, options_.seed);
        held_ = clip;
        const auto listed = std::ranges::find(windows_, clip, &ClipWindow::clip);
        if (listed != windows_.end() && listed->audio_sha256 != audio_.sha256) {
            throw datasets::ReadError(options_.audio[clip], "", "was changed while it was read: start again");
        }
    }
    return audio_;
}

std::vector<float> Clips::samples(const ClipWindow& window) {
    return datasets::padded_samples(audio_of(window.clip), window.window);
}

}  // namespace harness
