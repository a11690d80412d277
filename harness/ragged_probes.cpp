// The probes on a model of small integers, whose projections are exact as well.
#include <algorithm>
#include <cmath>
#include <map>

#include "harness/probe_expectation.hpp"
#include "harness/probes.hpp"
#include "npu_impl/device.hpp"

namespace harness {
namespace {

using datasets::Op;

constexpr int heads = 2;
constexpr std::int64_t width = heads * std::int64_t{datasets::head_width};

std::size_t index(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

// -1, 0 or 1: not 0 in one of `rarity`.
float sign_or_zero(std::uint64_t purpose, std::int64_t position, std::uint64_t rarity) {
    const std::uint64_t bits = mixed(purpose, 0, std::uint64_t(position));
    return bits % rarity != 0 ? 0.0F : ((bits >> 32U) & 1U) != 0 ? 1.0F : -1.0F;
}

// Weights of -1, 0 and 1 and biases of -2..2: sums of 128 terms and the bias stay below 2^8, where bf16 holds
// every integer.
datasets::Linear integer_linear(std::uint64_t purpose, bool biased) {
    datasets::Linear out;
    for (std::int64_t i = 0; i < width * width; ++i) {
        out.weight.push_back(sign_or_zero(purpose, i, 16));
    }
    for (std::int64_t i = 0; biased && i < width; ++i) {
        out.bias.push_back(static_cast<float>(static_cast<int>(mixed(purpose, 1, std::uint64_t(i)) % 5) - 2));
    }
    return out;
}

// The layer, and as a source what each of its projections reads and gives.
class IntegerModel final : public datasets::Source {
public:
    explicit IntegerModel(std::int64_t context) {
        layer_.clip = "integers";
        layer_.shape = {context, heads};
        datasets::AttentionWeights& weights = layer_.weights.attention;
        weights.query = integer_linear(11, true);
        weights.key = integer_linear(12, false);
        weights.value = integer_linear(13, true);
        weights.output = integer_linear(14, true);
        for (const Op op : {Op::attention_norm, Op::context}) {
            for (std::int64_t i = 0; i < context * width; ++i) {
                tensors_[op].push_back(sign_or_zero(op == Op::context ? 21 : 22, i, 2));
            }
        }
        layer_.input = tensors_[Op::attention_norm];
        multiply(Op::query, Op::attention_norm, weights.query);
        multiply(Op::key, Op::attention_norm, weights.key);
        multiply(Op::value, Op::attention_norm, weights.value);
        multiply(Op::output, Op::context, weights.output);
    }

    void rows(Op op, datasets::Rows rows, std::span<float> out) const override {
        const std::int64_t columns = rows.head < 0 ? width : datasets::head_width;
        const std::int64_t offset = std::max(rows.head, 0) * std::int64_t{datasets::head_width};
        const std::vector<float>& tensor = tensors_.at(op);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            std::copy_n(tensor.begin() + (rows.begin + row) * width + offset, columns,
                        out.begin() + row * columns);
        }
    }

    [[nodiscard]] const datasets::LayerCase& layer() const { return layer_; }
    [[nodiscard]] std::span<const float> tensor(Op op) const { return tensors_.at(op); }

    // By Cauchy and Schwarz.
    [[nodiscard]] std::vector<LogitMaxima> maxima() const {
        std::vector<LogitMaxima> out;
        for (int head = 0; head < heads; ++head) {
            const double most = longest(Op::query, head) * longest(Op::key, head) / 8;
            out.push_back({-most, most});
        }
        return out;
    }

private:
    // Term by term over the few weights that are not 0.
    void multiply(Op op, Op input, const datasets::Linear& linear) {
        std::vector<float>& out = tensors_[op];
        out.assign(index(layer_.shape.context * width), 0.0F);
        const std::vector<float>& x = tensors_.at(input);
        for (std::int64_t j = 0; j < width; ++j) {
            for (std::int64_t row = 0; row < layer_.shape.context; ++row) {
                out[index(row * width + j)] = linear.bias.empty() ? 0.0F : linear.bias[index(j)];
            }
            for (std::int64_t k = 0; k < width; ++k) {
                const float weight = linear.weight[index(j * width + k)];
                for (std::int64_t row = 0; weight != 0 && row < layer_.shape.context; ++row) {
                    out[index(row * width + j)] += weight * x[index(row * width + k)];
                }
            }
        }
    }

    [[nodiscard]] double longest(Op op, int head) const {
        double out = 0;
        const std::vector<float>& tensor = tensors_.at(op);
        for (std::int64_t row = 0; row < layer_.shape.context; ++row) {
            double square = 0;
            for (std::int64_t c = 0; c < datasets::head_width; ++c) {
                const double x{tensor[index(row * width + head * std::int64_t{datasets::head_width} + c)]};
                square += x * x;
            }
            out = std::max(out, std::sqrt(square));
        }
        return out;
    }

    datasets::LayerCase layer_;
    std::map<Op, std::vector<float>> tensors_;  // [time, width]
};

}  // namespace

std::vector<ProbeRow> run_ragged_probes(datasets::Path& path, std::int64_t context) {
    const IntegerModel model(context);
    const auto prepared = path.prepare(model.layer());
    std::vector<ProbeRow> out = run_probes(*prepared, path, {model.layer().shape, model, model.maxima()}, -1);
    for (const Op op : {Op::query, Op::key, Op::value, Op::output}) {
        const auto expectation = expect_exactly(op, model.tensor(op), width);
        ProbeRow row;
        row.probe = Probe::integers;
        row.shape = model.layer().shape;
        out.push_back(run_probe(*prepared, model, *expectation, std::move(row), {{op, op}}));
    }
    return out;
}

}  // namespace harness
