// Which weights an op applies.
#pragma once

#include "datasets/layer_case.hpp"
#include "datasets/op.hpp"

namespace datasets {

// Of query, key, value, output, fc1 and fc2; null for every other op.
const Linear* linear_of(const BlockWeights& weights, Op op);
Linear* linear_of(BlockWeights& weights, Op op);

// Of attention_norm and mlp_norm; null for every other op.
const Norm* norm_of(const BlockWeights& weights, Op op);

// A piece of an encoder that has norms: one is set, the other null. What it points to must outlive it.
struct LayerOrEnd {
    const LayerCase* layer = nullptr;
    const EndCase* end = nullptr;
};

// Of the piece's norms; null for every op that is none of them.
const Norm* norm_of(const LayerOrEnd& piece, Op op);

}  // namespace datasets
