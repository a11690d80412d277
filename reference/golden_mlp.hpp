// What follows the attention in a layer of the golden path: residual, norm, MLP, residual, over row blocks.
#pragma once

#include "datasets/layer_case.hpp"
#include "reference/golden_run.hpp"

namespace reference {

// The part of attention_residual .. block that is in the run's range. The rows of a block go through all of
// it while they are in cache, so that [time, 4 width] never exists. What the part reads and the run does
// not have whole is pulled block by block. Returns the wall time, split over the ops.
OpSeconds pass_mlp(const Run& run, const datasets::BlockWeights& weights, datasets::LayerShape shape);

}  // namespace reference
