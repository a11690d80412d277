// Fixed-point arithmetic behind the synthetic model. "Qn" is an integer that counts units of 2^-n.
#include "datasets/synthetic_waves.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace datasets {
namespace {

__extension__ using uint128 = unsigned __int128;

constexpr std::int64_t one_q30 = std::int64_t{1} << 30U;
constexpr std::uint32_t quarter_turn = 0x40000000U;

constexpr std::int64_t multiply_q30(std::int64_t left, std::int64_t right) {
    return (left * right) >> 30U;
}

// 1 / (2 pi) turns per frame in Q64: the highest frequency, one radian per frame.
constexpr std::uint64_t first_frequency = 2935890503282001226ULL;

// The product of two Q127 numbers in [0, 1], truncated by at most 3 units.
uint128 multiply_q127(uint128 left, uint128 right) {
    const auto low = [](uint128 word) { return word & ~std::uint64_t{0}; };
    const auto high = [](uint128 word) { return word >> 64U; };
    const uint128 cross = low(left) * high(right) + high(low(left) * low(right));
    const uint128 other_cross = high(left) * low(right) + low(cross);
    return (high(left) * high(right) + high(cross) + high(other_cross)) << 1U;
}

uint128 power_q127(uint128 base, std::int64_t exponent) {
    uint128 result = uint128{1} << 127U;
    for (; exponent > 0; exponent /= 2) {
        if (exponent % 2 != 0) {
            result = multiply_q127(result, base);
        }
        base = multiply_q127(base, base);
    }
    return result;
}

// 10000^(-1 / steps) in Q63, rounded down, bit by bit.
std::uint64_t frequency_ratio(std::int64_t steps) {
    const uint128 goal = (uint128{1} << 127U) / 10000U;
    std::uint64_t ratio = 0;
    for (std::uint64_t bit = std::uint64_t{1} << 62U; bit != 0; bit >>= 1U) {
        if (power_q127(uint128{ratio | bit} << 64U, steps) <= goal) {
            ratio |= bit;
        }
    }
    return ratio;
}

// Taylor polynomial to x^9 of the first quadrant.
std::int64_t sine_q30(std::uint32_t phase) {
    const std::uint32_t quadrant = phase >> 30U;
    const std::uint32_t within = phase & (quarter_turn - 1);
    const std::int64_t fraction = quadrant % 2 != 0 ? quarter_turn - within : within;
    constexpr std::int64_t half_pi = 1686629713;
    // 1/9! -1/7! 1/5! -1/3! 1/1!
    constexpr std::array<std::int64_t, 5> inverse_factorials{2959, -213044, 8947849, -178956971, one_q30};
    const std::int64_t angle = multiply_q30(fraction, half_pi);
    const std::int64_t square = multiply_q30(angle, angle);
    std::int64_t sum = 0;
    for (const std::int64_t coefficient : inverse_factorials) {
        sum = coefficient + multiply_q30(sum, square);
    }
    const std::int64_t result = multiply_q30(sum, angle);
    return quadrant >= 2 ? -result : result;
}

}  // namespace

double power_of_two(double exponent) {
    const auto fixed = static_cast<std::int64_t>(std::clamp(exponent, -16.0, 16.0) * 0x1p20);
    const std::int64_t whole = fixed >> 20U;
    const std::int64_t fraction = (fixed & 0xFFFFF) << 10U;
    // Cubic in Q30 through 2^0 and 2^1: the coefficients of the powers add up to 1.
    constexpr std::int64_t linear = 746789597;
    constexpr std::int64_t quadratic = 242955365;
    constexpr std::int64_t cubic = 83996862;
    std::int64_t sum = quadratic + multiply_q30(cubic, fraction);
    sum = linear + multiply_q30(sum, fraction);
    sum = one_q30 + multiply_q30(sum, fraction);
    return std::ldexp(static_cast<double>(sum), static_cast<int>(whole) - 30);
}

double sine(std::uint32_t phase) {
    return static_cast<double>(sine_q30(phase)) * 0x1p-30;
}

double cosine(std::uint32_t phase) {
    return sine(phase + quarter_turn);
}

Sinusoids::Sinusoids(std::int64_t width) : turns_per_frame_(static_cast<std::size_t>(width / 2)) {
    const std::uint64_t ratio = frequency_ratio(width / 2 - 1);
    uint128 frequency = first_frequency;
    for (std::uint64_t& turns : turns_per_frame_) {
        turns = static_cast<std::uint64_t>(frequency);
        frequency = (frequency * ratio) >> 63U;
    }
}

std::uint32_t Sinusoids::phase(std::int64_t frequency, std::int64_t frame) const {
    const std::uint64_t turns = turns_per_frame_[static_cast<std::size_t>(frequency)];
    return static_cast<std::uint32_t>((turns * static_cast<std::uint64_t>(frame)) >> 32U);
}

double Sinusoids::value(std::int64_t channel, std::int64_t frame) const {
    return channel < count() ? sine(phase(channel, frame)) : cosine(phase(channel - count(), frame));
}

}  // namespace datasets
