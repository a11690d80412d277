// splitmix64 in counter mode, and normal deviates as integer sums.
#include "datasets/synthetic_random.hpp"

namespace datasets {
namespace {

// 2^64 / golden ratio, the increment of splitmix64; and an odd constant that separates the layers.
constexpr std::uint64_t golden_increment = 0x9E3779B97F4A7C15ULL;
constexpr std::uint64_t layer_increment = 0xD1B54A32D192ED03ULL;

// Decouples the choice of a tail from the value that it scales.
constexpr std::uint64_t tail_mask = 0xA5A5A5A5A5A5A5A5ULL;

// The sum of eight uniform 16-bit integers has mean 8 * 32767.5 and, to 1e-10, deviation 65536 * sqrt(8 /
// 12).
constexpr std::int64_t sum_mean = 262140;
constexpr double sum_deviation = 53509.91992145008;

constexpr double far_tail_share = 0.01;
constexpr double far_tail_scale = 8;
constexpr double near_tail_share = 0.05;
constexpr double near_tail_scale = 4;

constexpr double unit24 = 0x1p-24;

// The output function of splitmix64, a bijection of 64-bit words.
std::uint64_t mix(std::uint64_t word) {
    word = (word ^ (word >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    word = (word ^ (word >> 27U)) * 0x94D049BB133111EBULL;
    return word ^ (word >> 31U);
}

std::int64_t sum_of_16_bit_fields(std::uint64_t word) {
    const std::uint64_t sum =
        (word & 0xFFFFU) + ((word >> 16U) & 0xFFFFU) + ((word >> 32U) & 0xFFFFU) + (word >> 48U);
    return static_cast<std::int64_t>(sum);
}

std::uint32_t upper24(std::uint64_t word) {
    return static_cast<std::uint32_t>(word >> 40U);
}

}  // namespace

RandomSequence::RandomSequence(std::uint64_t seed, RandomPurpose purpose, int layer)
    : state_(mix(seed + golden_increment * (1 + static_cast<std::uint64_t>(purpose)) +
                 layer_increment * (1 + static_cast<std::uint64_t>(layer)))) {}

std::uint64_t RandomSequence::bits(std::uint64_t index) const {
    return mix(state_ + golden_increment * (index + 1));
}

std::uint32_t RandomSequence::bits24(std::uint64_t index) const {
    return upper24(bits(index));
}

double RandomSequence::uniform(std::uint64_t index) const {
    return bits24(index) * unit24;
}

double RandomSequence::normal(std::uint64_t index) const {
    const std::int64_t sum =
        sum_of_16_bit_fields(bits(2 * index)) + sum_of_16_bit_fields(bits(2 * index + 1));
    return static_cast<double>(sum - sum_mean) * (1.0 / sum_deviation);
}

double RandomSequence::heavy_tailed(std::uint64_t index) const {
    const double choice = upper24(mix(bits(2 * index) ^ tail_mask)) * unit24;
    if (choice < far_tail_share) {
        return normal(index) * far_tail_scale;
    }
    return choice < near_tail_share + far_tail_share ? normal(index) * near_tail_scale : normal(index);
}

}  // namespace datasets
