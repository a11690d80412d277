// Which rows of the attention ops exist, and how wide they are: the argument check that every way to compute
// rows shares. It holds no arithmetic.
#pragma once

#include "datasets/path.hpp"

namespace reference {

// Columns of dense `rows` of an attention op: 64 for a single head, heads x 64 for head -1, `context` for
// scores and probabilities. Throws std::invalid_argument for another op, a head that the op does not have, or
// rows outside the context.
std::int64_t columns_of(datasets::Op op, datasets::Rows rows, const datasets::LayerShape& shape);

// The number of elements of those rows.
std::size_t elements_of(datasets::Op op, datasets::Rows rows, const datasets::LayerShape& shape);

// Throws std::invalid_argument where input, weights or biases of the layer do not have the sizes of its
// shape.
void check_sizes(const datasets::LayerCase& layer);

}  // namespace reference
