// Random numbers of the synthetic model: counter-based, integer until one last multiplication, hence the same
// bits on every machine and in any order of evaluation. The distributions of the standard library promise
// neither.
#pragma once

#include <cstddef>
#include <cstdint>

namespace datasets {

// Sizes are signed (op.hpp); containers and indices of random values are not.
inline std::size_t count(std::int64_t elements) {
    return static_cast<std::size_t>(elements);
}

// What a sequence of random numbers is for. The values are part of the recipe: changing one changes the data.
enum class RandomPurpose : std::uint32_t {
    stem_gain = 1,
    stem_mean = 2,
    speech_direction = 3,
    speech_track = 4,
    frame_noise = 5,
    register_choice = 6,
    massive_amplitude = 7,
    attention_norm_gain = 8,
    attention_norm_bias = 9,
    query_weight = 10,
    query_bias = 11,
    key_weight = 12,
    value_weight = 13,
    value_bias = 14,
    output_weight = 15,
    output_bias = 16,
    mlp_norm_gain = 17,
    mlp_norm_bias = 18,
    fc1_weight = 19,
    fc1_bias = 20,
    fc2_weight = 21,
    fc2_bias = 22,
    final_norm_gain = 23,
    final_norm_bias = 24,
    shared_projection = 25,
    register_direction = 26,
    speech_sound = 27,
    speech_noise = 28,
    conv1_weight = 29,
    conv1_bias = 30,
    conv2_weight = 31,
    value_row_gain = 113,
    output_row_gain = 115,
    fc1_row_gain = 119,
    fc2_row_gain = 121,
    conv1_row_gain = 127,
};

// An indexed sequence: value i depends on (seed, purpose, layer, i) alone. splitmix64 (Steele, Lea, Flood,
// "Fast splittable pseudorandom number generators", 2014) in counter mode.
class RandomSequence {
public:
    RandomSequence(std::uint64_t seed, RandomPurpose purpose, int layer);

    [[nodiscard]] std::uint64_t bits(std::uint64_t index) const;

    // 24 uniform bits.
    [[nodiscard]] std::uint32_t bits24(std::uint64_t index) const;

    // Uniform in [0, 1), a multiple of 2^-24.
    [[nodiscard]] double uniform(std::uint64_t index) const;

    // Approximately N(0, 1): the sum of eight 16-bit uniforms (Irwin-Hall), within +-4.9.
    [[nodiscard]] double normal(std::uint64_t index) const;

    // Contaminated normal: `normal`, of which 5% are multiplied by 4 and 1% by 8.
    [[nodiscard]] double heavy_tailed(std::uint64_t index) const;

private:
    std::uint64_t state_;
};

}  // namespace datasets
