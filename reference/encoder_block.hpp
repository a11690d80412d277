// Walks a residual stream through encoder blocks, as the recorder of synthetic models does.
#pragma once

#include <string>
#include <vector>

#include "datasets/layer_case.hpp"

namespace reference {

// The layer that follows from a residual stream [time, width]: its normalised input, its weights, and the
// golden query, key, value, context, output and row statistics as recorded tensors. Throws
// std::invalid_argument where a size does not fit the shape.
datasets::LayerCase make_case(const datasets::BlockWeights& weights, datasets::LayerShape shape,
                              const std::vector<float>& residual, std::string clip, int layer);

// Takes the residual stream past the block: the golden path's attention_residual .. block. `layer` must
// hold a recorded output. Throws std::invalid_argument where it does not, or a size does not fit.
void advance(const datasets::BlockWeights& weights, const datasets::LayerCase& layer,
             std::vector<float>& residual);

}  // namespace reference
