// Loops over columns of independent results, which compilers vectorise without touching the order of a sum.
#include "kernels/legacy_tile64.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace kernels::legacy {
namespace {

constexpr std::size_t side = tile;
constexpr std::size_t tile_size = side * side;

float widened(std::uint16_t bits) {
    return std::bit_cast<float>(std::uint32_t{bits} << 16U);
}

// 2^y in the way of the kernel, y <= 0.
float power_of_two(float y) {
    // Below, __fixsfsi saturates. A NaN takes the same way and makes the fraction, so the result, a NaN.
    constexpr float smallest = -2147483648.0F;
    const auto whole = static_cast<std::int32_t>(y > smallest ? y : smallest);
    const float fraction = y - static_cast<float>(whole);
    const auto power = std::bit_cast<float>((static_cast<std::uint32_t>(whole) + 127U) << 23U);
    const float linear = 1.0F + 0.6931471805599453F * fraction;
    return power * (linear + 0.2401598148889220F * fraction * fraction);
}

}  // namespace

std::uint16_t truncate(float value) {
    return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16U);
}

std::uint16_t store(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t not_a_number = (bits & 0x7FFFFFFFU) > 0x7F800000U ? 0xFFFFFFFFU : 0U;
    const std::uint32_t below = (bits >> 31U) * 0xFFFFU;
    const std::uint32_t floored = (bits + (below & ~not_a_number)) | (0x00400000U & not_a_number);
    return static_cast<std::uint16_t>(floored >> 16U);
}

void matmul_tile(const std::uint16_t* a, const std::uint16_t* b, std::uint16_t* c) {
    std::array<float, tile_size> right;
    for (std::size_t i = 0; i < tile_size; ++i) {
        right[i] = widened(b[i]);
    }
    for (std::size_t i = 0; i < side; ++i) {
        std::array<float, side> sums{};
        for (std::size_t k = 0; k < side; ++k) {
            const float left = widened(a[i * side + k]);
            const float* row = &right[k * side];
            for (std::size_t j = 0; j < side; ++j) {
                sums[j] += left * row[j];
            }
        }
        for (std::size_t j = 0; j < side; ++j) {
            c[i * side + j] = store(sums[j]);
        }
    }
}

void accumulate(const std::uint16_t* c, float* sum) {
    for (std::size_t i = 0; i < tile_size; ++i) {
        sum[i] += widened(c[i]);
    }
}

void softmax_1024(const std::uint16_t* in, std::uint16_t* out) {
    constexpr std::size_t width = softmax_width;
    float largest = widened(in[0]);
    for (std::size_t i = 1; i < width; ++i) {
        const float value = widened(in[i]);
        largest = value > largest ? value : largest;
    }
    std::array<float, width> powers;
    for (std::size_t i = 0; i < width; ++i) {
        powers[i] = power_of_two((widened(in[i]) - largest) * 1.442695040888963F);
    }
    float sum = 0;
    for (const float power : powers) {
        sum += power;
    }
    const float reciprocal = 1.0F / (sum + 1e-7F);
    for (std::size_t i = 0; i < width; ++i) {
        out[i] = store(widened(store(powers[i])) * reciprocal);
    }
}

}  // namespace kernels::legacy
