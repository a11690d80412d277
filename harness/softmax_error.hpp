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

// For each key: weight = exp(d) with d = score - top (within a few 2^-53 of itself), and
// relative = factor e^(argument (-d + shift + score_error) + shift) - 1 with
// shift = per_norm norm + addition (|score| + |top|), rounded up by up to 9% of the exponent's cube; at least
// 1 below exp_underflow. `norms` is empty where per_norm is 0. All spans have one length.
void weigh_keys(std::span<const double> scores, std::span<const double> norms, const WeightError& error,
                std::span<double> weight, std::span<double> relative);

}  // namespace harness
