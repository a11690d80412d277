// Numbers between integers and floating point: to_fixed, to_fixed_floor, to_float. (fp32 to bf16:
// narrow.hpp.)
//
// An AIE2 core has one such instruction, VFLOOR. The others are done in the fp32 adder with a large number
// whose last place is the unit wanted, step by step as Xilinx/aie_api detail/aie2/elementary.hpp (Fix2Float,
// Float2Fix): to_fixed rounds to nearest even whatever the rounding mode.
#pragma once

#include <cmath>

#include "aie_api/detail/arithmetic.hpp"
#include "aie_api/detail/lookup.hpp"

namespace aie {
namespace detail {

// fp32 bits of a bf16 times 2^-shift: of 0x5301, 2^39 + 2^32, whose last place is worth 2^16, and of 0x4B01,
// 2^23 + 2^16, whose last place is worth 1.
inline std::uint32_t magic_number(unsigned bf16_bits, int shift) {
    return (bf16_bits - 128U * static_cast<unsigned>(shift)) << 16;
}

inline float float_of(std::uint32_t bits) {
    return std::bit_cast<float>(bits);
}
inline std::uint32_t bits_of_float(float value) {
    return std::bit_cast<std::uint32_t>(value);
}

// value / 2^shift; -0 never.
template <typename T>
inline float to_float_lane(T value, int shift) {
    const std::uint32_t low = magic_number(0x4B01, shift);
    if constexpr (sizeof(T) <= 2) {
        const auto integer = static_cast<std::uint32_t>(static_cast<std::int32_t>(value));
        return vadd(float_of(integer + low), -float_of(low));
    } else {
        const std::uint32_t high = magic_number(0x5301, shift);
        const auto upper = static_cast<std::uint32_t>(
            static_cast<std::int32_t>(static_cast<std::conditional_t<std::is_signed_v<T>, int16, uint16>>(
                static_cast<std::uint32_t>(value) >> 16)));
        const std::uint32_t lower = static_cast<std::uint32_t>(value) & 0xFFFF;
        const float of_upper = vadd(float_of(upper + high), -float_of(high));
        const float of_lower = vadd(float_of(lower + low), -float_of(low));
        return vadd(of_lower, of_upper);
    }
}

// value * 2^shift to the nearest integer, saturated.
template <typename TR>
inline TR to_fixed_lane(float value, int shift) {
    constexpr saturation_mode saturate = saturation_mode::saturate;
    const std::uint32_t low = magic_number(0x4B01, shift);
    const auto last_places = [](float sum, std::uint32_t magic) {
        return static_cast<std::int32_t>(bits_of_float(sum) - magic);
    };
    if constexpr (sizeof(TR) <= 2) {
        return saturated<TR>(last_places(vadd(value, float_of(low)), low), saturate);
    } else {
        using Upper = std::conditional_t<std::is_signed_v<TR>, int16, uint16>;
        const std::uint32_t high = magic_number(0x5301, shift);
        const auto upper = saturated<Upper>(last_places(vadd(value, float_of(high)), high), saturate);
        const std::uint32_t shifted = static_cast<std::uint32_t>(static_cast<std::int32_t>(upper)) + high;
        const float of_upper = vadd(float_of(shifted), -float_of(high));
        const float rest = vadd(value, -of_upper);
        const std::int64_t lower = last_places(vadd(rest, float_of(low)), low);
        const std::int64_t positive = saturated<uint16>(lower, saturate);
        const std::int64_t negative = saturated<uint16>(-lower, saturate);
        return saturated<TR>(std::int64_t{upper} * 65536 + positive - negative, saturate);
    }
}

}  // namespace detail

// v * 2^shift to the nearest integer of type TR, saturated.
template <typename TR = int32, typename T, unsigned N>
inline vector<TR, N> to_fixed(const vector<T, N>& v, int shift = 0) {
    static_assert(detail::is_float_element<T> && std::is_integral_v<TR>,
                  "aie::to_fixed: float or bfloat16 to integer");
    vector<TR, N> result;
    for (unsigned i = 0; i < N; ++i) {
        result.host_data()[i] = detail::to_fixed_lane<TR>(static_cast<float>(v.host_data()[i]), shift);
    }
    return result;
}
template <typename TR = int32, unsigned N>
inline vector<TR, N> to_fixed(const accum<accfloat, N>& acc, int shift = 0) {
    return to_fixed<TR>(acc.template to_vector<float>(), shift);
}

// floor(v * 2^shift), VFLOOR: saturated to int32, of which an int16 takes the lower half.
template <typename TR = int32, unsigned N>
inline vector<TR, N> to_fixed_floor(const vector<bfloat16, N>& v, int shift = 0) {
    static_assert(detail::is_one_of<TR, int16, int32>, "aie::to_fixed_floor: to int16 or int32");
    vector<TR, N> result;
    for (unsigned i = 0; i < N; ++i) {
        result.host_data()[i] = static_cast<TR>(detail::floor_to_int(v.host_data()[i], shift));
    }
    return result;
}

// v / 2^shift as float, or as bfloat16 by the rounding mode in force.
template <typename TR = float, typename T, unsigned N>
inline vector<TR, N> to_float(const vector<T, N>& v, int shift = 0) {
    static_assert(std::is_integral_v<T> && detail::is_float_element<TR>,
                  "aie::to_float: integer to float or bfloat16");
    accum<accfloat, N> acc;
    for (unsigned i = 0; i < N; ++i) {
        acc.host_data()[i] = detail::to_float_lane(v.host_data()[i], shift);
    }
    return acc.template to_vector<TR>();
}

}  // namespace aie
