// Whisper's table of positions: fixed sinusoids, which checkpoints store although they are never trained.
#pragma once

#include <cstdint>
#include <vector>

#include "datasets/layer_case.hpp"

namespace datasets {

// Rows of the table in every published checkpoint: 30 s of audio.
inline constexpr std::int64_t published_context = 1500;

// How far a stored table may be from the closed form and still be taken for it: half a unit of bf16 just
// below 1, of which binary16 needs an eighth.
inline constexpr double position_tolerance = 0x1p-9;

// [rows, width]: row t is sin(t w_i) for i < width / 2, then cos(t w_i), where w_i = 10000^(-i / (width / 2 -
// 1)) (`sinusoids` in openai/whisper model.py). In fp64, rounded once. Throws std::invalid_argument unless
// rows >= 0 and width is even and at least 4.
[[nodiscard]] std::vector<float> sinusoid_positions(std::int64_t rows, std::int64_t width);

// The table for a context of any length, [context, width]: the first rows of the stored one; beyond its last
// row the closed form, if the stored rows are that form. Throws std::invalid_argument for a context below 1,
// or one that goes beyond a table of another kind.
[[nodiscard]] std::vector<float> positions_for(const EncoderWeights& weights, std::int64_t context);

}  // namespace datasets
