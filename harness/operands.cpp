#include "harness/operands.hpp"

namespace harness {
namespace {

using datasets::Linear;
using datasets::Op;

Linear rounded(const Linear& linear, const datasets::Arithmetic& arithmetic) {
    Linear copy = linear;
    round_operands(arithmetic, copy.weight);
    round_operands(arithmetic, copy.bias);
    return copy;
}

}  // namespace

void round_operands(const datasets::Arithmetic& arithmetic, std::span<float> values) {
    if (arithmetic.operand == datasets::DType::f32) {
        return;
    }
    for (float& value : values) {
        value = datasets::round_to_bf16(value, arithmetic.operand_rounding);
    }
}

datasets::LayerCase rounded_weights(const datasets::LayerCase& layer, const datasets::Path& path) {
    datasets::LayerCase copy;
    copy.clip = layer.clip;
    copy.layer = layer.layer;
    copy.shape = layer.shape;
    copy.weights.attention.query = rounded(layer.weights.attention.query, path.arithmetic(Op::query));
    copy.weights.attention.key = rounded(layer.weights.attention.key, path.arithmetic(Op::key));
    copy.weights.attention.value = rounded(layer.weights.attention.value, path.arithmetic(Op::value));
    copy.weights.attention.output = rounded(layer.weights.attention.output, path.arithmetic(Op::output));
    return copy;
}

}  // namespace harness
