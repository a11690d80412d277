// The operands that a kernel declares to consume: what the harness supplies, rounded as the design declares.
//
// The judge builds its reference from these and from nothing that a path reports about its own inputs: a path
// that rounds its operands otherwise than declared is therefore found out.
//
// The rule for weights: weight and bias of a product are operands like its rows, `operand` and
// `operand_rounding` hold for all of them. Gain and bias of a norm come in the dtype that the norm stores,
// while `operand` is the dtype of its rows: a kernel that reads fp32 rows and stores bf16 takes both as bf16
// (kernels/aie2/kernels.h), rounded by `operand_rounding`; one that stores fp32 takes them as they are.
#pragma once

#include "datasets/path.hpp"

namespace harness {

// Rounds `values` in place as the operands of an op with this arithmetic.
void round_operands(const datasets::Arithmetic& arithmetic, std::span<float> values);

// A copy of the piece that holds only its identity and the weights of the ops that `path` has, rounded per
// consuming op; a norm's gain and bias in the type of its store. Weights that the layer does not hold stay
// empty.
datasets::LayerCase rounded_weights(const datasets::LayerCase& layer, const datasets::Path& path);
datasets::EndCase rounded_weights(const datasets::EndCase& end, const datasets::Path& path);

// Serves rows of `upstream`, rounded for the op that consumes them. Does not own `upstream`.
class RoundedSource final : public datasets::Source {
public:
    RoundedSource(const datasets::Source& upstream, const datasets::Arithmetic& consumer)
        : upstream_(upstream), consumer_(consumer) {}

    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override {
        upstream_.rows(op, rows, out);
        round_operands(consumer_, out);
    }
    datasets::RowsView view(datasets::Op op, datasets::Rows rows, std::span<float> room) const override {
        return consumer_.operand == datasets::DType::f32 ? upstream_.view(op, rows, room)
                                                         : Source::view(op, rows, room);
    }

private:
    const datasets::Source& upstream_;
    datasets::Arithmetic consumer_;
};

}  // namespace harness
