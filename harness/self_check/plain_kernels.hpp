// Kernels in plain loops with the exp, erf and root of the C library: somebody else's kernels, which the
// gate must pass, and, with a flaw, the ones that it must fail. They take the place of ours in a table.
#pragma once

#include <cstdint>

#include "npu_impl/emulated_device.hpp"

namespace harness {

enum class SoftmaxFlaw : std::uint8_t {
    none,
    no_max,          // exp of the scores as they are
    shared_max,      // a row also takes the maxima of those above it in its tile
    no_rescale,      // sums so far keep the scale of an earlier, smaller maximum
    lanes_unsummed,  // the last 16 keys of each tile are not added to the sum
    sum_per_tile,    // the sum starts anew with each tile
    bf16_sum,        // the running sum is a bf16
    exponent_wraps,  // exp(d) for d < -16 comes out as exp(d + 16)
    base_two,        // 2^d instead of e^d
    cut_reciprocal,  // of the sum, to bf16: 2^-7 at most, less than exp's own error
};

// softmax_update, softmax_finish, attention_update and attention_finish.
void replace_softmax(kernels::KernelTable& table, SoftmaxFlaw flaw);

enum class NormFlaw : std::uint8_t {
    none,
    mean_kept,          // not subtracted
    mean_square_twice,  // the variance is that about twice the mean
    no_root,            // divides by the variance
    bf16_sums,          // sums of bf16 accumulators
};

void replace_layer_norm(kernels::KernelTable& table, NormFlaw flaw);

enum class GeluFlaw : std::uint8_t { none, tanh_form, sigmoid_form, relu };

void replace_gelu(kernels::KernelTable& table, GeluFlaw flaw);

}  // namespace harness
