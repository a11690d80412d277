// Deterministic Whisper-like data, deliberately hard: sharp, broad, all-negative and hot heads, massive
// channels, registers, silence. Random numbers, powers and sines are integer computations; what follows is
// basic double arithmetic and square roots, all correctly rounded by IEEE 754. So the tensors are
// bit-identical under every conforming compiler at every optimisation level (without fast-math and
// contraction).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "datasets/layer_case.hpp"

namespace datasets {

enum class Profile : std::uint8_t {
    hard,    // the default recipe
    benign,  // N(0, 1) activations and random-initialised weights: hides most bugs, kept to show that it does
};

std::string_view name(Profile profile);
std::optional<Profile> parse_profile(std::string_view name);

inline constexpr std::uint64_t frozen_seed = 20240607;
inline constexpr int recipe_version = 1;

struct SyntheticModel {
    Profile profile = Profile::hard;
    std::uint64_t seed = frozen_seed;
    LayerShape shape{1500, 8};
    int layers = 6;
};

// Input of block 0, [time, width]. Rows past the speech part (max(250, T / 6) rows) are silence.
std::vector<float> synthetic_embedding(const SyntheticModel& model);

// Weights of one layer, 0 <= layer < model.layers. Independent of the context. Both functions throw
// std::invalid_argument for a model without frames, heads or layers, or without that layer.
BlockWeights synthetic_block(const SyntheticModel& model, int layer);

// The norm after the last block.
Norm synthetic_final_norm(const SyntheticModel& model);

// FNV-1a over the bits of each float as one 32-bit word; continues from `hash`.
std::uint64_t fingerprint(const std::vector<float>& tensor, std::uint64_t hash = 1469598103934665603ULL);

}  // namespace datasets
