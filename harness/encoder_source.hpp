// The encoder that a command line names, and the mel spectrogram that it reads.
#pragma once

#include <span>
#include <vector>

#include "datasets/layer_case.hpp"
#include "harness/options.hpp"

namespace harness {

// Reads the checkpoint, or generates random weights. Throws datasets::ReadError.
datasets::EncoderWeights load_encoder(const EncoderOptions& options, bool show_progress);

// The log-mel spectrogram [frame, mels] of a window, as far as the stem hears it. Where its convolution does
// not halve the frames, the last frame of the transform belongs to it (3001 for 30 s).
std::vector<float> heard_mel(std::span<const float> samples, const datasets::StemShape& stem);

}  // namespace harness
