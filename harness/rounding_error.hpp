// Mean and variance of the error of one rounding: the atoms of the error model.
//
// A value whose fraction is spread evenly between two neighbours of the target format, `spacing` apart, errs
//   to nearest       0 on average, variance spacing^2 / 12
//   toward zero      half a spacing toward zero on average, the same variance
//   floor            half a spacing toward minus infinity on average, the same variance
// Over values of all sizes this is the eta = 2^-7 / sqrt 12 sqrt(0.375 / ln 2) = 0.425 2^-8 of one bf16
// rounding to nearest, and for truncation a gain of -0.28%; per element the spacing says more.
#pragma once

#include "datasets/arithmetic.hpp"

namespace harness {

struct RoundingError {
    float mean = 0;
    float variance = 0;
};

// Distance of neighbouring bf16 of the size of `value`; 0 below the normal numbers.
float bf16_spacing(float value);

// What a stored value errs by, around `value`: the value itself is not known exactly, so that it counts as
// rounded even where it happens to be representable. Nothing for fp32, whose error is that of the sums.
RoundingError store_error(float value, datasets::DType type, datasets::Rounding rounding);

// What a value that is known exactly errs by: nothing where the format holds it.
RoundingError operand_error(float value, datasets::DType type, datasets::Rounding rounding);

// The same where the rounding itself counts as known, all mean: of the few values that a whole tensor shares.
RoundingError known_error(float value, datasets::DType type, datasets::Rounding rounding);

}  // namespace harness
