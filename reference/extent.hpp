// Which rows of an op exist and how wide they are, and whether a piece of the encoder holds tensors of the
// sizes that its shape demands: the argument checks that every way to compute rows shares. It holds no
// arithmetic.
#pragma once

#include "datasets/path.hpp"

namespace reference {

// Columns of dense `rows` of an op of a layer, of the stream that enters it (embedding) or of the end: 64 for
// a single head, heads x 64 for head -1, `context` for scores and probabilities, 4 x heads x 64 for fc1 and
// gelu. Throws std::invalid_argument for another op, a head that the op does not have, or rows outside the
// context.
std::int64_t columns_of(datasets::Op op, datasets::Rows rows, const datasets::LayerShape& shape);

// The same for an op of the stem, mel to embedding.
std::int64_t columns_of(datasets::Op op, datasets::Rows rows, const datasets::StemShape& shape);

// The number of elements of those rows.
std::size_t elements_of(datasets::Op op, datasets::Rows rows, const datasets::LayerShape& shape);
std::size_t elements_of(datasets::Op op, datasets::Rows rows, const datasets::StemShape& shape);

// Whether the layer has what the ops around its attention need: norms and MLP. A layer has all of it or
// nothing.
bool is_whole(const datasets::LayerCase& layer);

// Throws std::invalid_argument, naming the tensor, where a weight, a bias, the input or the stream of a piece
// does not have the size of its shape. Input and stream of a layer may be empty, its norms and MLP all at
// once.
void check_sizes(const datasets::LayerCase& layer);
void check_sizes(const datasets::StemCase& stem);
void check_sizes(const datasets::EndCase& end);

}  // namespace reference
