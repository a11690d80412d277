// The rest of a pre-norm encoder block around the golden attention: x += attention(norm(x)); x +=
// mlp(norm(x)).
#pragma once

#include <string>
#include <vector>

#include "datasets/layer_case.hpp"
#include "reference/blas.hpp"

namespace reference {

// result[i, :] = (x - mean) / sqrt(biased variance + 1e-5) * gain + bias over each row of x [rows, width], in
// fp64 by two passes, rounded once to fp32. In place is allowed. Parallel over rows.
void layer_norm(const datasets::Norm& norm, ConstMatrix<float> x, Matrix<float> result);

// x Phi(x) with the exact normal distribution function (PyTorch's default, not its tanh form), in place.
// Computed in fp64 and rounded once; on this thread.
void gelu(std::span<float> x);

// The layer that follows from a residual stream [time, width]: its normalised input, its weights, and the
// golden query, key, value, context, output and row statistics as recorded tensors. Throws
// std::invalid_argument where a size does not fit the shape.
datasets::LayerCase make_case(const datasets::BlockWeights& weights, datasets::LayerShape shape,
                              const std::vector<float>& residual, std::string clip, int layer);

// Takes the residual stream past the block: residual += recorded output; residual +=
// fc2(gelu(fc1(norm(residual)))). `layer` must hold a recorded output. Throws std::invalid_argument where it
// does not, or a size does not fit.
void advance(const datasets::BlockWeights& weights, const datasets::LayerCase& layer,
             std::vector<float>& residual);

}  // namespace reference
