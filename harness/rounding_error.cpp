#include "harness/rounding_error.hpp"

#include <bit>
#include <cstdint>

namespace harness {

float bf16_spacing(float value) {
    return 0x1p-7F * std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & 0x7F800000U);
}

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

RoundingError operand_error(float value, datasets::DType type, datasets::Rounding rounding) {
    const bool representable = (std::bit_cast<std::uint32_t>(value) & 0xFFFFU) == 0;
    return representable ? RoundingError{} : store_error(value, type, rounding);
}

RoundingError known_error(float value, datasets::DType type, datasets::Rounding rounding) {
    return {type == datasets::DType::f32 ? 0 : datasets::round_to_bf16(value, rounding) - value, 0};
}

}  // namespace harness
