// bfloat16 and the ways in which a float becomes one.
//
// bf16 is the upper half of an IEEE binary32: 1 sign, 8 exponent and 7 fraction bits, unit roundoff 2^-8 for
// round-to-nearest. The AIE2 core converts with the rounding mode in force, `floor` after reset (AMD aie_api
// documentation, `rounding_mode`); hosts commonly use `nearest_even`; the first port truncated.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace datasets {

enum class Rounding : std::uint8_t {
    nearest_even,  // to nearest, ties to even
    toward_zero,   // truncation
    floor,         // toward minus infinity
};

std::string_view name(Rounding rounding);

struct bf16 {
    std::uint16_t bits = 0;

    bool operator==(const bf16&) const = default;
};

// Exact.
constexpr float to_float(bf16 value) {
    return std::bit_cast<float>(std::uint32_t{value.bits} << 16U);
}

// Denormals are kept, a NaN stays a (quiet) NaN, infinities stay, and a magnitude that rounds past the
// largest finite bf16 becomes an infinity.
constexpr bf16 to_bf16(float value, Rounding rounding) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto upper = static_cast<std::uint16_t>(bits >> 16U);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {
        return {static_cast<std::uint16_t>(upper | 0x0040U)};
    }
    switch (rounding) {
        case Rounding::nearest_even:
            return {static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U)};
        case Rounding::toward_zero:
            return {upper};
        case Rounding::floor:
            break;
    }
    const bool inexact_negative = (bits & 0x80000000U) != 0 && (bits & 0xFFFFU) != 0;
    return {static_cast<std::uint16_t>(upper + (inexact_negative ? 1U : 0U))};
}

// The float that a value becomes by way of bf16.
constexpr float round_to_bf16(float value, Rounding rounding) {
    return to_float(to_bf16(value, rounding));
}

// Bound of the relative error of one conversion: 2^-8 to nearest, 2^-7 for the directed modes.
constexpr double bf16_unit(Rounding rounding) {
    return rounding == Rounding::nearest_even ? 0x1p-8 : 0x1p-7;
}

}  // namespace datasets
