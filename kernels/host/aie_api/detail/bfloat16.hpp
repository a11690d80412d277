// The scalar type bfloat16 and the rounding of one fp32 to it, in all modes of the core.
//
// Meaning of the modes: AMD's AIE API user guide, "Rounding"; that the conversion neither flushes denormals
// nor saturates, and how a NaN narrows: FIM43-Redeye/xdna-emu src/interpreter/execute/vector_float.rs, which
// was compared with an XDNA1 device in all ten modes.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "aie_api/detail/rounding.hpp"

namespace aie::detail {

// What must be added to the magnitude of an fp32 before its lower 16 bits are cut off. `odd` is the lowest
// bit that stays. A carry into the exponent is right: it reaches the next binade and, at the top, infinity.
constexpr std::uint32_t rounding_increment(rounding_mode mode, bool negative, bool odd) {
    constexpr std::uint32_t whole = 0xFFFF;
    constexpr std::uint32_t tie_up = 0x8000;
    constexpr std::uint32_t tie_down = 0x7FFF;
    switch (mode) {
        case rounding_mode::floor:
            return negative ? whole : 0;
        case rounding_mode::ceil:
            return negative ? 0 : whole;
        case rounding_mode::symmetric_floor:
            return 0;
        case rounding_mode::symmetric_ceil:
            return whole;
        case rounding_mode::negative_inf:
            return negative ? tie_up : tie_down;
        case rounding_mode::positive_inf:
            return negative ? tie_down : tie_up;
        case rounding_mode::symmetric_zero:
            return tie_down;
        case rounding_mode::symmetric_inf:
            return tie_up;
        case rounding_mode::conv_even:
            return odd ? tie_up : tie_down;
        case rounding_mode::conv_odd:
            return odd ? tie_down : tie_up;
    }
    return 0;
}

// fp32 bits to bf16 bits. A NaN keeps sign and upper payload, and its lowest bit where that would be
// infinity.
constexpr std::uint16_t round_to_bf16(std::uint32_t bits, rounding_mode mode) {
    const auto upper = static_cast<std::uint16_t>(bits >> 16);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) {
        return (upper & 0x7F) != 0 ? upper : static_cast<std::uint16_t>(upper | 1);
    }
    return static_cast<std::uint16_t>((bits + rounding_increment(mode, bits >> 31 != 0, (upper & 1) != 0)) >>
                                      16);
}

}  // namespace aie::detail

// 16 bits: the upper half of an fp32. A value that becomes a bfloat16 is rounded by the mode in force; in a
// constant expression to nearest even, as a compiler folds it. Arithmetic of two bfloat16 is that of float,
// rounded once (how AMD's and Peano's compilers lower scalar bfloat16 arithmetic is not established).
struct bfloat16 {
    std::uint16_t bits;

    bfloat16() = default;
    template <typename T>
    requires std::is_arithmetic_v<T>
    constexpr bfloat16(T value)
        : bits(aie::detail::round_to_bf16(
              std::bit_cast<std::uint32_t>(static_cast<float>(value)),
              std::is_constant_evaluated() ? aie::rounding_mode::conv_even : aie::get_rounding())) {}
    constexpr operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

    static constexpr bfloat16 from_bits(std::uint16_t pattern) {
        bfloat16 value{};
        value.bits = pattern;
        return value;
    }

    constexpr bfloat16 operator-() const { return from_bits(static_cast<std::uint16_t>(bits ^ 0x8000)); }
    constexpr bfloat16& operator+=(float other) { return *this = bfloat16(float{*this} + other); }
    constexpr bfloat16& operator-=(float other) { return *this = bfloat16(float{*this} - other); }
    constexpr bfloat16& operator*=(float other) { return *this = bfloat16(float{*this} * other); }
    constexpr bfloat16& operator/=(float other) { return *this = bfloat16(float{*this} / other); }
};

// Templates, so that a mixed expression with a number takes the built-in operator on float instead.
template <std::same_as<bfloat16> T>
constexpr bfloat16 operator+(T a, T b) {
    return bfloat16(float{a} + float{b});
}
template <std::same_as<bfloat16> T>
constexpr bfloat16 operator-(T a, T b) {
    return bfloat16(float{a} - float{b});
}
template <std::same_as<bfloat16> T>
constexpr bfloat16 operator*(T a, T b) {
    return bfloat16(float{a} * float{b});
}
template <std::same_as<bfloat16> T>
constexpr bfloat16 operator/(T a, T b) {
    return bfloat16(float{a} / float{b});
}

static_assert(sizeof(bfloat16) == 2 && std::is_trivial_v<bfloat16>);

// The names of the core's scalar types.
using int8 = std::int8_t;
using uint8 = std::uint8_t;
using int16 = std::int16_t;
using uint16 = std::uint16_t;
using int32 = std::int32_t;
using uint32 = std::uint32_t;
using int64 = std::int64_t;
using uint64 = std::uint64_t;
