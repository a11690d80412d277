#include "harness/rounding_error.hpp"

#include <bit>
#include <cmath>
#include <cstdint>

namespace harness {
namespace {

// Distance of neighbouring bf16 of the size of `value`; 0 below the normal numbers.
float bf16_spacing(float value) {
    return 0x1p-7F * std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & 0x7F800000U);
}

}  // namespace

RoundingError store_error(float value, datasets::DType type, datasets::Rounding rounding) {
    if (type == datasets::DType::f32) {
        return {};
    }
    const float spacing = bf16_spacing(value);
    const float variance = spacing * spacing * (1.0F / 12);
    switch (rounding) {
        case datasets::Rounding::nearest_even:
            return {0, variance};
        case datasets::Rounding::toward_zero:
            return {value < 0 ? spacing / 2 : -spacing / 2, variance};
        case datasets::Rounding::floor:
            break;
    }
    return {-spacing / 2, variance};
}

RoundingError running_store_error(float sum, float change, datasets::DType type,
                                  datasets::Rounding rounding) {
    const float spacing = bf16_spacing(sum);
    if (type == datasets::DType::f32 || std::abs(change) >= spacing) {
        return store_error(sum, type, rounding);
    }
    const float swallowed = -change;
    const bool away = rounding == datasets::Rounding::floor ? change >= 0 : change * sum >= 0;
    if (rounding == datasets::Rounding::nearest_even) {
        const bool holds = std::abs(change) <= spacing / 2;
        return {holds ? swallowed : swallowed + std::copysign(spacing, change), 0};
    }
    // Downwards, or toward zero, the next stored value is a whole spacing away.
    return {away ? swallowed : swallowed + std::copysign(spacing, change), 0};
}

RoundingError operand_error(float value, datasets::DType type, datasets::Rounding rounding) {
    const bool representable = (std::bit_cast<std::uint32_t>(value) & 0xFFFFU) == 0;
    return representable ? RoundingError{} : store_error(value, type, rounding);
}

RoundingError known_error(float value, datasets::DType type, datasets::Rounding rounding) {
    return {type == datasets::DType::f32 ? 0 : datasets::round_to_bf16(value, rounding) - value, 0};
}

}  // namespace harness
