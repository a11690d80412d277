#include "harness/encoder_source.hpp"

#include <algorithm>
#include <stdexcept>

#include "datasets/audio.hpp"
#include "datasets/checkpoint.hpp"
#include "datasets/random_weights.hpp"
#include "harness/progress.hpp"
#include "reference/log_mel.hpp"

namespace harness {

datasets::EncoderWeights load_encoder(const EncoderOptions& options, bool show_progress) {
    ProgressBar bar("loading", 1, show_progress);
    if (!options.weights.empty()) {
        bar.step(options.weights);
        return datasets::read_checkpoint(options.weights);
    }
    bar.step("random weights");
    return datasets::random_weights(*datasets::parse_whisper_size(options.random_size), options.seed);
}

std::vector<float> heard_mel(std::span<const float> samples, const datasets::StemShape& stem) {
    const auto last = stem.stride == 1 ? reference::LastFrame::kept : reference::LastFrame::dropped;
    // What comes behind is silence: it takes part in no frame that is heard, and not in the largest value.
    const auto heard = static_cast<std::size_t>((stem.frames + 2) * datasets::hop_samples);
    reference::LogMel mel =
        reference::log_mel(samples.first(std::min(samples.size(), heard)), stem.mels, last);
    if (mel.frames < stem.frames) {
        throw std::invalid_argument("the window is shorter than the frames of the stem");
    }
    mel.values.resize(static_cast<std::size_t>(stem.frames * stem.mels));
    return std::move(mel.values);
}

}  // namespace harness
