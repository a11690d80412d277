// The fp64 oracle of the encoder: plain loops, row by row, straight from the formulas. The root of the
// chain of trust.
//
// It shares no code with the golden path: no BLAS, no tiling, no vector library, no threads, and no
// knowledge of any rounding. It is slow (about 2 GFLOP/s), so it certifies sampled rows; `WideReference`
// judges whole tensors.
#pragma once

#include <span>

#include "datasets/path.hpp"

namespace reference {

// Computes rows of one op of a layer in fp64 from the op's direct inputs, which are pulled from `upstream`:
//   attention_norm, mlp_norm      = (x - mean) / sqrt(variance + 1e-5) gain + bias with the biased variance,
//                                   of the rows of embedding, attention_residual
//   query, key, value [row, out]  = attention_norm weight^T + bias        (key without bias)
//   scores [row, key]             = query . key / 8                       (one head)
//   probabilities [row, key]      = exp(score - row max) / sum            (one head)
//   context [row, channel]        = probabilities value                   (per head)
//   output [row, out]             = context weight^T + bias               (head -1)
//   attention_residual            = embedding + output
//   fc1, fc2 [row, out]           = mlp_norm, gelu weight^T + bias
//   gelu                          = x erfc(-x / sqrt 2) / 2 of fc1
//   block                         = attention_residual + fc2
// `value` is dense, [rows.count, width]: 64 columns for a single head, heads x 64 for head -1, `context`
// columns for scores and probabilities, 4 x heads x 64 for fc1 and gelu. `magnitude` (may be empty: not
// wanted) takes, element by element, what an error bound scales with: for products and sums the sum of the
// terms' absolute values (for scores divided by 8, as the value is), for probabilities the distance row max
// - score, for norms (|x| + |mean|) / deviation |gain| + |bias|, for gelu |x|. Throws std::invalid_argument
// for another op, a head that the op does not have, rows outside the case, or spans of another size.
void oracle_rows(datasets::Op op, datasets::Rows rows, const datasets::LayerCase& layer,
                 const datasets::Source& upstream, std::span<double> value, std::span<double> magnitude);

// The same for the stem, [frame or row, width]:
//   conv1, conv2  = gelu(sum over k, i of weight[out, i, k] x[t stride + k - 1, i] + bias) of mel
//                   [frame, mels], conv1; frames outside the clip are 0; conv1 has stride 1, conv2 the
//                   shape's
//   embedding     = conv2 + positions
// The magnitude of a convolution is that of gelu's argument.
void oracle_rows(datasets::Op op, datasets::Rows rows, const datasets::StemCase& stem,
                 const datasets::Source& upstream, std::span<double> value, std::span<double> magnitude);

// The same for the end: encoder = the norm of the rows of block.
void oracle_rows(datasets::Op op, datasets::Rows rows, const datasets::EndCase& end,
                 const datasets::Source& upstream, std::span<double> value, std::span<double> magnitude);

}  // namespace reference
