// How far one residual stream lies from another. Numbers only; gate.cpp says what they mean.
#pragma once

#include <cstdint>
#include <span>

namespace harness {

// How far a residual stream lies from the golden's. Not a number where an element is not finite.
struct Deviation {
    double match_percent = 0;   // 100 (1 - |a-b|^2 / |b - column mean of b|^2)
    double centred_energy = 0;  // |b - column mean of b|^2 / |b|^2
    double relative_error = 0;  // Frobenius
    double worst_row = 0;       // relative error of the worst row, against max(its norm, rms row norm)
    std::int64_t worst_row_index = 0;
    std::int64_t rows = 0;
    std::int64_t nonfinite = 0;
};

// `got` against `golden`, both [rows, width], in fp64. Throws std::invalid_argument for other sizes.
Deviation deviation(std::span<const float> got, std::span<const float> golden, std::int64_t width);

}  // namespace harness
