// Which linear weights an op applies.
#pragma once

#include "datasets/layer_case.hpp"
#include "datasets/op.hpp"

namespace datasets {

// Of query, key, value, output, fc1 and fc2; null for every other op.
const Linear* linear_of(const BlockWeights& weights, Op op);
Linear* linear_of(BlockWeights& weights, Op op);

}  // namespace datasets
