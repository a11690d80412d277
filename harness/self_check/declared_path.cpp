#include "harness/self_check/declared_path.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "harness/index.hpp"
#include "harness/operands.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::DType;
using datasets::Op;
using datasets::OpRange;
using datasets::Rounding;
using datasets::Rows;

constexpr std::array<OpRange, 6> all_steps{{{Op::attention_norm, Op::attention_norm},
                                            {Op::mlp_norm, Op::mlp_norm},
                                            {Op::fc1, Op::fc1},
                                            {Op::gelu, Op::gelu},
                                            {Op::fc2, Op::fc2},
                                            {Op::encoder, Op::encoder}}};

bool is_norm(Op op) {
    return op == Op::attention_norm || op == Op::mlp_norm || op == Op::encoder;
}

// AIE2's adder: the smaller operand is rounded to 23 fractional bits of the larger, then the sum.
float adder(float a, float b) {
    if (std::abs(a) < std::abs(b)) {
        std::swap(a, b);
    }
    if (a == 0) {
        return b;
    }
    const double grid = std::ldexp(1.0, std::ilogb(a) - 23);
    return static_cast<float>(double{a} + std::nearbyint(double{b} / grid) * grid);
}

// In 16 lanes, folded i with i + 8, i + 4, i + 2, i + 1.
float lane_sum(std::span<const float> terms) {
    std::array<float, 16> lanes{};
    for (std::size_t i = 0; i < terms.size(); ++i) {
        lanes[i % 16] = adder(lanes[i % 16], terms[i]);
    }
    for (std::size_t half = 8; half > 0; half /= 2) {
        for (std::size_t i = 0; i < half; ++i) {
            lanes[i] = adder(lanes[i], lanes[i + half]);
        }
    }
    return lanes[0];
}

// Weights as declared, by op; norms keep gain in `weight`.
using Weights = std::map<Op, datasets::Linear>;

class DeclaredPiece final : public datasets::PreparedLayer {
public:
    DeclaredPiece(const DeclaredPath& path, datasets::LayerShape shape, Weights weights, Planted planted)
        : path_(path), shape_(shape), weights_(std::move(weights)), planted_(planted) {}

    std::vector<datasets::Part> compute(datasets::Work work, const datasets::Source& source,
                                        datasets::Sink& sink) override {
        std::map<Op, std::vector<float>> made;
        for (const datasets::OpInfo& info : datasets::ops_in(work.ops)) {
            const Op input = info.inputs.front();
            const std::int64_t width = datasets::row_width(info.op, shape_);
            made[info.op].resize(index(shape_.context * width));
            for (std::int64_t begin = 0; begin < shape_.context; begin += datasets::block_rows) {
                const Rows rows{-1, begin, std::min(datasets::block_rows, shape_.context - begin)};
                const std::int64_t columns = datasets::row_width(input, shape_);
                std::vector<float> x(index(rows.count * columns));
                if (const auto own = made.find(input); own != made.end()) {
                    std::copy_n(own->second.begin() + begin * columns, x.size(), x.begin());
                } else {
                    source.rows(input, rows, x);
                }
                const std::span out =
                    std::span(made[info.op]).subspan(index(begin * width), index(rows.count * width));
                compute_block(info.op, x, out, rows.count);
                break_tile(info.op, rows, made[info.op], width);
                sink.accept(info.op, rows, {out.data(), rows.count, width, width});
            }
        }
        return planned(work);
    }

    [[nodiscard]] std::vector<datasets::Part> planned(datasets::Work work) const override {
        std::vector<datasets::Part> parts;
        for (const datasets::OpInfo& info : datasets::ops_in(work.ops)) {
            parts.push_back({{info.op, info.op}, 1, 1, 1, 1e-3, datasets::Clock::modelled});
        }
        return parts;
    }

    [[nodiscard]] std::optional<datasets::Site> locate(Op, int, std::int64_t, std::int64_t) const override {
        return std::nullopt;
    }

private:
    [[nodiscard]] bool flawed(Flaw flaw, Op op) const { return planted_.flaw == flaw && planted_.op == op; }

    [[nodiscard]] float stored(Op op, float value) const {
        const Arithmetic arithmetic = path_.arithmetic(op);
        if (arithmetic.store == DType::f32) {
            return value;
        }
        return datasets::round_to_bf16(
            value, flawed(Flaw::truncating_store, op) ? Rounding::toward_zero : arithmetic.store_rounding);
    }

    void compute_block(Op op, std::vector<float>& x, std::span<float> out, std::int64_t count) const {
        Arithmetic arithmetic = path_.arithmetic(op);
        if (flawed(Flaw::truncating_operand, op)) {
            arithmetic.operand_rounding = Rounding::toward_zero;
        }
        round_operands(arithmetic, x);
        const std::size_t columns = x.size() / index(count);
        const std::size_t width = out.size() / index(count);
        for (std::size_t row = 0; row < index(count); ++row) {
            const std::span from = std::span<const float>(x).subspan(row * columns, columns);
            const std::span to = out.subspan(row * width, width);
            if (op == Op::gelu) {
                activate(from, to);
            } else if (is_norm(op)) {
                normalise(op, from, to);
            } else {
                multiply(op, from, to);
            }
        }
    }

    void multiply(Op op, std::span<const float> x, std::span<float> out) const {
        const datasets::Linear& linear = weights_.at(op);
        const std::size_t terms = flawed(Flaw::last_step_dropped, op) ? x.size() - 8 : x.size();
        const bool transposed = flawed(Flaw::transposed_weight, op);
        for (std::size_t j = 0; j < out.size(); ++j) {
            float sum = flawed(Flaw::missing_bias, op) ? 0.0F : linear.bias[j];
            for (std::size_t k = 0; k < terms; ++k) {
                sum += x[k] * linear.weight[transposed ? k * out.size() + j : j * x.size() + k];
            }
            out[j] = stored(op, sum);
        }
    }

    void activate(std::span<const float> x, std::span<float> out) const {
        const Arithmetic arithmetic = path_.arithmetic(Op::gelu);
        for (std::size_t j = 0; j < x.size(); ++j) {
            const double wide{x[j]};
            const double cubic = std::sqrt(2 / std::numbers::pi) * (wide + 0.044715 * wide * wide * wide);
            const double exact = flawed(Flaw::tanh_gelu, Op::gelu)
                                     ? 0.5 * wide * (1 + std::tanh(cubic))
                                     : 0.5 * wide * std::erfc(-wide / std::numbers::sqrt2);
            const double allowed =
                arithmetic.function_error * std::max(std::abs(exact), arithmetic.function_floor);
            const double error = flawed(Flaw::tanh_gelu, Op::gelu) ? 0.0 : allowed * 0.999;
            out[j] = stored(Op::gelu, static_cast<float>(exact + (j % 2 == 0 ? error : -error)));
        }
    }

    void normalise(Op op, std::span<const float> x, std::span<float> out) const {
        const datasets::Linear& of = weights_.at(op);
        const auto count = static_cast<float>(x.size());
        const float mean = lane_sum(x) / count;
        std::vector<float> d(x.size());
        std::vector<float> squares(x.size());
        for (std::size_t j = 0; j < x.size(); ++j) {
            d[j] = adder(x[j], -mean);
            squares[j] = d[j] * d[j];
        }
        const float divisor = flawed(Flaw::unbiased_variance, op) ? count - 1 : count;
        const float epsilon = flawed(Flaw::no_epsilon, op) ? 0.0F : 1e-5F;
        const float inverse = 1 / std::sqrt(lane_sum(squares) / divisor + epsilon);
        for (std::size_t j = 0; j < x.size(); ++j) {
            const float bias = flawed(Flaw::missing_bias, op) ? 0.0F : of.bias[j];
            out[j] = stored(op, d[j] * inverse * of.weight[j] + bias);
        }
    }

    // Tile (1, 2) of the op, where the context has a second block.
    void break_tile(Op op, Rows rows, std::vector<float>& tensor, std::int64_t width) const {
        if (rows.block() != 1 || !(flawed(Flaw::zero_tile, op) || flawed(Flaw::stale_tile, op))) {
            return;
        }
        for (std::int64_t row = rows.begin; row < rows.begin + rows.count; ++row) {
            for (std::int64_t column = 128; column < 192; ++column) {
                tensor[index(row * width + column)] =
                    planted_.flaw == Flaw::zero_tile
                        ? 0.0F
                        : tensor[index((row - datasets::block_rows) * width + column)];
            }
        }
    }

    const DeclaredPath& path_;
    datasets::LayerShape shape_;
    Weights weights_;
    Planted planted_;
};

}  // namespace

std::span<const OpRange> DeclaredPath::steps() const {
    return all_steps;
}

Arithmetic DeclaredPath::arithmetic(Op op) const {
    Arithmetic arithmetic;
    if (is_norm(op)) {
        arithmetic.store = DType::bf16;
        arithmetic.accumulation = datasets::Accumulation::vmac_f32;
    } else if (op == Op::gelu) {
        arithmetic.store = DType::bf16;
        arithmetic.function_error = std::exp2(-11.4);
        arithmetic.function_floor = 0x1p-8;
    } else if (op == Op::fc1 || op == Op::fc2) {
        arithmetic.operand = DType::bf16;
        arithmetic.accumulation = datasets::Accumulation::chain_f32;
    } else {
        throw std::invalid_argument("the declared path has no such op");
    }
    return arithmetic;
}

std::unique_ptr<datasets::PreparedLayer> DeclaredPath::prepare(const datasets::LayerCase& layer) {
    const datasets::BlockWeights weights = rounded_weights(layer, *this).weights;
    return std::make_unique<DeclaredPiece>(
        *this, layer.shape,
        Weights{{Op::attention_norm, {weights.attention_norm.gain, weights.attention_norm.bias}},
                {Op::mlp_norm, {weights.mlp_norm.gain, weights.mlp_norm.bias}},
                {Op::fc1, weights.fc1},
                {Op::fc2, weights.fc2}},
        planted_);
}

std::unique_ptr<datasets::PreparedLayer> DeclaredPath::prepare(const datasets::EndCase& end) {
    const datasets::Norm norm = rounded_weights(end, *this).norm;
    return std::make_unique<DeclaredPiece>(*this, end.shape, Weights{{Op::encoder, {norm.gain, norm.bias}}},
                                           planted_);
}

}  // namespace harness
