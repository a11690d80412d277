// How errors pass through scores, softmax and context of 64 query rows of one head.
//
// A softmax passes on what differs between the logits of a row, not what they share. With r_j the relative
// error of the unnormalised weight of key j,
//   dp_j = p_j (r_j - sum p r),   dcontext = sum p_j r_j (v_j - context)
// r_j is the error of the logit, the rounding of exp's argument, and the error of exp, whose rms is taken as
// a third of its declared maximum: what three roundings of equal size make of theirs. Errors of a query move
// the logits of all keys together, by dq . k_j; so they count by the distance of k_j from the row's mean key.
// Where the running max grows, all earlier weights are rescaled by one exp and share its error.
#pragma once

#include "harness/error_terms.hpp"

namespace harness {

// The operands of one block of one head: query [rows, 64], key and value [keys, 64].
struct HeadOperands {
    Factor query;
    Factor key;
    Factor value;
    std::span<const float> key_shared;  // [64]: variance that all keys share, part of key.variance; or empty
    std::span<const float> value_shared;  // the same for values
};

// A growth of the running max: what its exp errs by, and the share of the row that it rescales.
struct Growth {
    std::int64_t tile = 0;
    float variance = 0;
    float share = 0;
};

// The softmax of one block, [rows, keys] dense. Of one that does not err only the probabilities are there.
struct SoftmaxErrors {
    std::vector<float> probability;
    std::vector<float> weight;                 // p^2 var(r), or empty
    std::vector<float> mean;                   // of dp, or empty
    std::vector<std::vector<Growth>> growths;  // by row
};

// Scores q . k / 8, [rows, keys], and their errors, the store included. `scores` may be empty where stores do
// not err (product_stores_err).
std::vector<float> score_values(const HeadOperands& operands);
Moments score_errors(const HeadOperands& operands, const datasets::Arithmetic& arithmetic,
                     std::span<const float> scores, bool biased);

// What a softmax makes of erring logits. `scores`: the arithmetic that they were computed with, or null where
// they are exact but for their rounding as operands of `softmax`. `fused`: weights are taken relative to the
// running max, else to the row's.
SoftmaxErrors softmax_errors(const HeadOperands& operands, const datasets::Arithmetic* scores,
                             const datasets::Arithmetic& softmax, bool fused, bool biased);

// Errors of the probabilities themselves, without their store.
Moments probability_errors(const SoftmaxErrors& softmax, std::int64_t keys);

// Errors of the context before its store. `stored`: errors of probabilities that a sum of theirs does not
// divide out (their store, their rounding as operands), [rows, keys] or empty. `context`: its golden values,
// [rows, 64].
Moments context_errors(const HeadOperands& operands, const SoftmaxErrors& softmax, const Moments& stored,
                       bool fused, std::int64_t key_tile, std::span<const float> context, bool biased);

}  // namespace harness
