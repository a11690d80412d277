#include "datasets/op_weights.hpp"

namespace datasets {
namespace {

template <typename Weights>
auto found(Weights& weights, Op op) -> decltype(&weights.fc1) {
    switch (op) {
        case Op::query:
            return &weights.attention.query;
        case Op::key:
            return &weights.attention.key;
        case Op::value:
            return &weights.attention.value;
        case Op::output:
            return &weights.attention.output;
        case Op::fc1:
            return &weights.fc1;
        case Op::fc2:
            return &weights.fc2;
        default:
            return nullptr;
    }
}

}  // namespace

const Linear* linear_of(const BlockWeights& weights, Op op) {
    return found(weights, op);
}

Linear* linear_of(BlockWeights& weights, Op op) {
    return found(weights, op);
}

const Norm* norm_of(const BlockWeights& weights, Op op) {
    return op == Op::attention_norm ? &weights.attention_norm
           : op == Op::mlp_norm     ? &weights.mlp_norm
                                    : nullptr;
}

const Norm* norm_of(const LayerOrEnd& piece, Op op) {
    if (op == Op::encoder) {
        return piece.end == nullptr ? nullptr : &piece.end->norm;
    }
    return piece.layer == nullptr ? nullptr : norm_of(piece.layer->weights, op);
}

}  // namespace datasets
