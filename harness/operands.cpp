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
    copy.weights.query = rounded(layer.weights.query, path.arithmetic(Op::query));
    copy.weights.key = rounded(layer.weights.key, path.arithmetic(Op::key));
    copy.weights.value = rounded(layer.weights.value, path.arithmetic(Op::value));
    copy.weights.output = rounded(layer.weights.output, path.arithmetic(Op::output));
    return copy;
}

}  // namespace harness
