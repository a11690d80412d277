// Whole arrays of fp32 to bf16 and back: what VCONV and VST.CONV do, for all rounding modes.
#pragma once

#include "aie_api/detail/bfloat16.hpp"

namespace aie::detail {

// to[i] = bf16 of from[i] by `mode`, as round_to_bf16. The increment is linear in "negative" and "odd", so
// that one loop without branches serves every mode.
template <unsigned N>
inline void round_to_bf16(const float* from, bfloat16* to, rounding_mode mode) {
    const std::uint32_t base = rounding_increment(mode, false, false);
    const std::uint32_t if_negative = rounding_increment(mode, true, false) - base;
    const std::uint32_t if_odd = rounding_increment(mode, false, true) - base;
    for (unsigned i = 0; i < N; ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(from[i]);
        const std::uint32_t negative = 0U - (bits >> 31);
        const std::uint32_t odd = 0U - ((bits >> 16) & 1U);
        const std::uint32_t rounded = (bits + base + (if_negative & negative) + (if_odd & odd)) >> 16;
        const std::uint32_t upper = bits >> 16;
        const std::uint32_t not_a_number = (upper & 0x7F) != 0 ? upper : upper | 1;
        const std::uint32_t result = (bits & 0x7FFFFFFF) > 0x7F800000 ? not_a_number : rounded;
        to[i].bits = static_cast<std::uint16_t>(result);
    }
}

// Exact.
template <unsigned N>
inline void widen(const bfloat16* from, float* to) {
    for (unsigned i = 0; i < N; ++i) {
        to[i] = std::bit_cast<float>(std::uint32_t{from[i].bits} << 16);
    }
}

}  // namespace aie::detail
