// The operands that a kernel declares to consume: what the harness supplies, rounded as the design declares.
//
// The judge builds its reference from these and from nothing that a path reports about its own inputs: a path
// that rounds its operands otherwise than declared is therefore found out.
#pragma once

#include "datasets/path.hpp"

namespace harness {

// Rounds `values` in place as the operands of an op with this arithmetic.
void round_operands(const datasets::Arithmetic& arithmetic, std::span<float> values);

// A copy of the layer that holds only its identity and the weights and biases, rounded per consuming op.
datasets::LayerCase rounded_weights(const datasets::LayerCase& layer, const datasets::Path& path);

// Serves rows of `upstream`, rounded for the op that consumes them. Does not own `upstream`.
class RoundedSource final : public datasets::Source {
public:
    RoundedSource(const datasets::Source& upstream, const datasets::Arithmetic& consumer)
        : upstream_(upstream), consumer_(consumer) {}

    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override {
        upstream_.rows(op, rows, out);
        round_operands(consumer_, out);
    }

private:
    const datasets::Source& upstream_;
    datasets::Arithmetic consumer_;
};

}  // namespace harness
