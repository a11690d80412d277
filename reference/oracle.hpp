// The fp64 oracle of attention: plain loops, row by row, straight from the formulas. The root of the chain of
// trust.
//
// It shares no code with the golden path: no BLAS, no tiling, no vector library, no threads, and no knowledge
// of any rounding. It is slow (about 2 GFLOP/s), so it certifies sampled rows; `WideReference` judges whole
// tensors.
#pragma once

#include <span>

#include "datasets/path.hpp"

namespace reference {

// Computes rows of one attention op in fp64 from the op's direct inputs, which are pulled from `upstream`:
//   query, key, value [row, out]  = attention_norm weight^T + bias        (key without bias)
//   scores [row, key]             = query . key / 8                       (one head)
//   probabilities [row, key]      = exp(score - row max) / sum            (one head)
//   context [row, channel]        = probabilities value                   (per head)
//   output [row, out]             = context weight^T + bias               (head -1)
// `value` is dense, [rows.count, width]: 64 columns for a single head, heads x 64 for head -1, `context`
// columns for scores and probabilities. `magnitude` (may be empty: not wanted) takes, element by element,
// what an error bound scales with: for products the sum of |a||b| plus |bias| (for scores divided by 8, as
// the value is), for probabilities the distance row max - score. Throws std::invalid_argument for another op,
// a head that the op does not have, rows outside the case, or spans of another size.
void oracle_rows(datasets::Op op, datasets::Rows rows, const datasets::LayerCase& layer,
                 const datasets::Source& upstream, std::span<double> value, std::span<double> magnitude);

}  // namespace reference
