#include "datasets/block_linears.hpp"

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

}  // namespace datasets
