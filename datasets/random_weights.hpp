// Weights of a whole encoder for users who have none: the hard profile of the synthetic model behind a stem
// of convolutions of the same making. Bit-identical under every conforming compiler, as synthetic.hpp says.
#pragma once

#include <cstdint>

#include "datasets/layer_case.hpp"
#include "datasets/whisper_size.hpp"

namespace datasets {

// For log-mel input of speech (values about -1.5 .. 1.5) the stem makes a residual stream like that of
// synthetic_embedding: skewed channels around the positions, constant in silence, with massive channels
// that shrink where the energy of a band rises, as in register rows. Two things differ, because a GELU
// yields nothing below -0.17: the negative massive channels come with the output projection's bias of the
// first layer, and positions are the published table of 1500 rows (to 4e-6, by integer sines).
//
// source is "random", model_id e.g. "random-base-seed-7", model_sha256 that of all tensors in the order of
// the computation. Throws std::invalid_argument for a size without mels, heads or layers.
[[nodiscard]] EncoderWeights random_weights(const WhisperSize& size, std::uint64_t seed);

}  // namespace datasets
