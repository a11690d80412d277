// The weights of softmax and how far each may err, in fp64 vectors (Highway, chosen at run time): a layer of
// Whisper base has 18 million of them.
#pragma once

#include <span>

namespace harness {

// What the bound of a weight depends on within one key tile of one row (bounds.hpp has the derivation).
struct WeightError {
    double top = 0;          // the row's largest score
    double argument = 0;     // relative error of exp's argument
    double factor = 1;       // of exp itself, and of each rescaling: (1 + E)^(1 + R)
    double addition = 0;     // of a difference of two scores, relative to the sum of their magnitudes
    double per_norm = 0;     // error of a score per unit of its key's norm
    double score_error = 0;  // of the row's largest score
};

// Below this, exp's result on the device is not a normal float, and nothing but its size is known.
inline constexpr double exp_underflow = -86.0;

// Of at least one value, none of them NaN.
double largest(std::span<const double> values);

// For each key: weight = exp(d) with d = score - top (within a few 2^-53 of itself), and
// relative = factor e^(argument (-d + shift + score_error) + shift) - 1 with
// shift = per_norm norm + addition (|score| + |top|), rounded up by up to 9% of the exponent's cube; at least
// 1 below exp_underflow. `norms` is empty where per_norm is 0. All spans have one length.
void weigh_keys(std::span<const double> scores, std::span<const double> norms, const WeightError& error,
                std::span<double> weight, std::span<double> relative);

// Sums over the keys of one tile, in an order that depends on the vectors of the machine alone.
struct WeightSums {
    double weight = 0;
    double error = 0;  // of weight ((1 + relative) rescaled - 1)
};

WeightSums sum_weights(std::span<const double> weight, std::span<const double> relative, double rescaled);

// The same of weights that the running sum holds otherwise than they are stored (eta of probe_bound.hpp): the
// maximum grew after them. With 1 + h = (1 + relative)^2 rescaled.
struct Mismatch {
    double weight = 0;  // sum weight (1 + h) h
    double kept = 0;    // sum weight / (1 + h)
};

Mismatch sum_mismatch(std::span<const double> weight, std::span<const double> relative, double rescaled);

// What all probabilities of a row have in common.
struct RowShare {
    double share = 0;    // 1 / sum of the weights
    double error = 0;    // 1 + what the sum, its reciprocal and the store err by
    double flushed = 0;  // absolute
};

// For each key: probability = weight share, bound = probability ((1 + relative) error - 1) + flushed.
void bound_probabilities(std::span<const double> weight, std::span<const double> relative,
                         const RowShare& row, std::span<double> probability, std::span<double> bound);

}  // namespace harness
