// The terms that bounds are made of: what sums, differences and stores of a declared arithmetic may err by
// (bounds.hpp has the derivation).
#pragma once

#include "datasets/arithmetic.hpp"

namespace harness {

// hi + lo of a reciprocal leaves 2^-16 of it, plus three fp32 roundings.
inline constexpr double split_reciprocal = 0x1p-15;

// Of a sum of products, the bias included, relative to the sum of their magnitudes.
double product_error(const datasets::Arithmetic& arithmetic, double terms);

// Of the running sum of a softmax: one addition per key, one rescaling (three VMACs) and one addition per
// tile.
double running_sum_error(const datasets::Arithmetic& arithmetic, double keys, double tiles);

// Of running sum and running context of fused attention.
double running_context_error(const datasets::Arithmetic& arithmetic, double keys, double tiles);

// The context leaves by one fp32 reciprocal and one fp32 product, or by their bf16 splits.
double finish_error(const datasets::Arithmetic& arithmetic);

// What underflow takes from a result behind so many VMACs: each may flush.
double underflow(const datasets::Arithmetic& arithmetic, double vmacs);

// Of a sum of products before its store, wherever it is kept between k tiles.
struct SumError {
    double of_magnitudes = 0;  // relative to the sum of all magnitudes, the bias included
    double of_tiles = 0;  // relative to the sum over the tiles of |partial sum| or, added up by the host,
                          // |tile product|
};
SumError sum_error(const datasets::Arithmetic& arithmetic, double terms);

// What leaving the accumulator between k tiles adds, relative to the sum of magnitudes, where no more is
// known of the sum.
double tile_sum_error(const datasets::Arithmetic& arithmetic, double terms);

// Of the difference of two numbers, relative to the sum of their magnitudes: AIE2's adder aligns the smaller
// to the larger first.
double addition_error(const datasets::Arithmetic& arithmetic);

// Relative error of the argument that exp is given.
double exp_argument_unit(const datasets::Arithmetic& arithmetic);

}  // namespace harness
