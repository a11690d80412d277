// IEEE 754 binary16, as checkpoints store it: 1 sign, 5 exponent and 10 fraction bits.
#pragma once

#include <bit>
#include <cstdint>

namespace datasets {

struct Half {
    std::uint16_t bits = 0;

    bool operator==(const Half&) const = default;
};

// Exact: every binary16 is a binary32. Infinities stay, a NaN keeps its sign and fraction. Without branches
// and without subnormal operands, so that it vectorises and holds where subnormals are flushed.
constexpr float to_float(Half value) {
    constexpr std::uint32_t exponent = 0x7C00U << 13U;
    constexpr std::uint32_t rebias = (127U - 15U) << 23U;
    constexpr std::uint32_t one_exponent = 1U << 23U;
    const std::uint32_t sign = (std::uint32_t{value.bits} & 0x8000U) << 16U;
    const std::uint32_t magnitude = (std::uint32_t{value.bits} & 0x7FFFU) << 13U;
    const std::uint32_t normal = magnitude + rebias;
    // A subnormal is fraction * 2^-24: as the fraction of a number in [2^-14, 2^-13), less 2^-14.
    const auto subnormal =
        std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude + rebias + one_exponent) -
                                     std::bit_cast<float>(rebias + one_exponent));
    const bool is_special = (magnitude & exponent) == exponent;
    const bool is_subnormal = (magnitude & exponent) == 0;
    const std::uint32_t finite = is_subnormal ? subnormal : normal;
    return std::bit_cast<float>(sign | (is_special ? normal + rebias : finite));
}

}  // namespace datasets
