#include "reference/golden.hpp"

#include <array>

#include "reference/elementwise.hpp"

namespace reference {

using datasets::Op;
using datasets::OpRange;

std::span<const OpRange> GoldenPath::steps() const {
    static constexpr auto alone = [] {
        std::array<OpRange, datasets::op_count - 1> steps{};
        for (std::size_t i = 0; i < steps.size(); ++i) {
            const auto op = static_cast<Op>(i + 1);
            steps[i] = {op, op};
        }
        return steps;
    }();
    return alone;
}

bool GoldenPath::emits(Op op) const {
    return op != Op::mel;
}

datasets::Arithmetic GoldenPath::arithmetic(Op op) const {
    datasets::Arithmetic arithmetic;
    // 2^-22 + |x| 2^-23 at its worst, x = -87.
    arithmetic.exp_error = op == Op::probabilities ? 0x1p-22 + 0x57p-23 : 0;
    if (op == Op::gelu || op == Op::conv1 || op == Op::conv2) {
        arithmetic.function_error = gelu_error;
        arithmetic.function_floor = 0x1p-126;
    }
    return arithmetic;
}

std::unique_ptr<datasets::PreparedLayer> GoldenPath::prepare(const datasets::LayerCase& layer) {
    return std::make_unique<GoldenLayer>(layer, workspaces_);
}

std::unique_ptr<datasets::PreparedLayer> GoldenPath::prepare(const datasets::StemCase& stem) {
    return std::make_unique<GoldenStem>(stem, workspaces_);
}

std::unique_ptr<datasets::PreparedLayer> GoldenPath::prepare(const datasets::EndCase& end) {
    return std::make_unique<GoldenEnd>(end, workspaces_);
}

}  // namespace reference
