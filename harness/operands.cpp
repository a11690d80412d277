#include "harness/operands.hpp"

#include <algorithm>

namespace harness {
namespace {

using datasets::Linear;
using datasets::Norm;
using datasets::Op;

bool has(const datasets::Path& path, Op op) {
    return std::ranges::any_of(path.steps(),
                               [&](const datasets::OpRange& step) { return step.contains(op); });
}

Linear rounded(const Linear& linear, const datasets::Path& path, Op op) {
    if (linear.weight.empty() || !has(path, op)) {
        return {};
    }
    Linear copy = linear;
    round_operands(path.arithmetic(op), copy.weight);
    round_operands(path.arithmetic(op), copy.bias);
    return copy;
}

Norm rounded(const Norm& norm, const datasets::Path& path, Op op) {
    if (norm.gain.empty() || !has(path, op)) {
        return {};
    }
    Norm copy = norm;
    datasets::Arithmetic arithmetic = path.arithmetic(op);
    arithmetic.operand = arithmetic.store;
    round_operands(arithmetic, copy.gain);
    round_operands(arithmetic, copy.bias);
    return copy;
}

// A loop per rounding, which the compiler makes vectors of.
template <datasets::Rounding rounding>
void round_all(std::span<float> values) {
    for (float& value : values) {
        value = datasets::round_to_bf16(value, rounding);
    }
}

}  // namespace

void round_operands(const datasets::Arithmetic& arithmetic, std::span<float> values) {
    if (arithmetic.operand == datasets::DType::f32) {
        return;
    }
    switch (arithmetic.operand_rounding) {
        case datasets::Rounding::nearest_even:
            return round_all<datasets::Rounding::nearest_even>(values);
        case datasets::Rounding::toward_zero:
            return round_all<datasets::Rounding::toward_zero>(values);
        case datasets::Rounding::floor:
            return round_all<datasets::Rounding::floor>(values);
    }
}

datasets::LayerCase rounded_weights(const datasets::LayerCase& layer, const datasets::Path& path) {
    datasets::LayerCase copy;
    copy.clip = layer.clip;
    copy.layer = layer.layer;
    copy.shape = layer.shape;
    const datasets::BlockWeights& from = layer.weights;
    copy.weights.attention_norm = rounded(from.attention_norm, path, Op::attention_norm);
    copy.weights.attention.query = rounded(from.attention.query, path, Op::query);
    copy.weights.attention.key = rounded(from.attention.key, path, Op::key);
    copy.weights.attention.value = rounded(from.attention.value, path, Op::value);
    copy.weights.attention.output = rounded(from.attention.output, path, Op::output);
    copy.weights.mlp_norm = rounded(from.mlp_norm, path, Op::mlp_norm);
    copy.weights.fc1 = rounded(from.fc1, path, Op::fc1);
    copy.weights.fc2 = rounded(from.fc2, path, Op::fc2);
    return copy;
}

datasets::EndCase rounded_weights(const datasets::EndCase& end, const datasets::Path& path) {
    return {end.shape, rounded(end.norm, path, Op::encoder)};
}

}  // namespace harness
