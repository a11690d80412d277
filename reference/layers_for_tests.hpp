// Layers that the tests of this folder compute: random ones, and ones whose logits are as hard as trained
// ones get.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "datasets/path.hpp"

namespace reference {

enum class Logits : std::uint8_t {
    benign,  // a few units either way
    hard,    // up to about +-90; head 0 entirely negative, its rows peaking at about -5
};

inline std::vector<float> random_tensor(std::int64_t size, double deviation, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> distribution(0, deviation);
    std::vector<float> values(static_cast<std::size_t>(size));
    for (float& value : values) {
        value = static_cast<float>(distribution(random));
    }
    return values;
}

// Biases are as large as the sums they join, so that a missing one shows.
inline datasets::LayerCase random_layer(datasets::LayerShape shape, Logits logits = Logits::benign,
                                        std::uint32_t seed = 1) {
    datasets::LayerCase layer;
    layer.clip = "test";
    layer.shape = shape;
    const std::int64_t width = shape.width();
    const double weight = 1 / std::sqrt(static_cast<double>(width));
    const double sharpness = logits == Logits::hard ? 4.4 : 1.0;
    layer.input = random_tensor(shape.context * width, 1, seed);
    layer.weights.attention.query = {random_tensor(width * width, weight * sharpness, seed + 1),
                                     random_tensor(width, sharpness, seed + 2)};
    layer.weights.attention.key = {random_tensor(width * width, weight * sharpness, seed + 3), {}};
    layer.weights.attention.value = {random_tensor(width * width, weight, seed + 4),
                                     random_tensor(width, 1, seed + 5)};
    layer.weights.attention.output = {random_tensor(width * width, weight, seed + 6),
                                      random_tensor(width, 1, seed + 7)};
    if (logits == Logits::hard) {
        // Head 0 at a third of the sharpness, and 50 off every logit of it: input channel 0 is constant, and
        // only it feeds channel 0 of that head's query (20) and key (-20).
        for (std::size_t i = 0; i < static_cast<std::size_t>(datasets::head_width * width); ++i) {
            layer.weights.attention.query.weight[i] /= 3;
        }
        for (std::size_t i = 0; i < datasets::head_width; ++i) {
            layer.weights.attention.query.bias[i] /= 3;
        }
        for (std::int64_t i = 0; i < shape.context; ++i) {
            layer.input[static_cast<std::size_t>(i * width)] = 1;
        }
        for (std::int64_t j = 0; j < width; ++j) {
            layer.weights.attention.query.weight[static_cast<std::size_t>(j)] = j == 0 ? 20.0F : 0.0F;
            layer.weights.attention.key.weight[static_cast<std::size_t>(j)] = j == 0 ? -20.0F : 0.0F;
        }
        layer.weights.attention.query.bias[0] = 0;
    }
    return layer;
}

// Norms and MLP of a block, and its attention; gains that are far from 1, biases as large as what they join.
inline datasets::BlockWeights random_block(datasets::LayerShape shape, Logits logits = Logits::benign,
                                           std::uint32_t seed = 50) {
    const std::int64_t width = shape.width();
    const std::int64_t hidden = shape.mlp_width();
    datasets::BlockWeights block;
    const auto norm = [&](std::uint32_t first) {
        return datasets::Norm{random_tensor(width, 0.7, first), random_tensor(width, 0.4, first + 1)};
    };
    block.attention_norm = norm(seed);
    block.mlp_norm = norm(seed + 2);
    block.attention = random_layer({1, shape.heads}, logits, seed + 4).weights.attention;
    const double deviation = 1 / std::sqrt(static_cast<double>(width));
    block.fc1 = {random_tensor(hidden * width, deviation, seed + 20), random_tensor(hidden, 1, seed + 21)};
    block.fc2 = {random_tensor(width * hidden, deviation / 2, seed + 22), random_tensor(width, 1, seed + 23)};
    return block;
}

// A layer with all of its weights and the stream that enters it, whose rows have a mean of 3.
inline datasets::LayerCase whole_layer(datasets::LayerShape shape, Logits logits = Logits::benign,
                                       std::uint32_t seed = 50) {
    datasets::LayerCase layer;
    layer.clip = "whole";
    layer.shape = shape;
    layer.weights = random_block(shape, logits, seed);
    layer.stream = random_tensor(shape.context * shape.width(), 2, seed + 30);
    for (float& value : layer.stream) {
        value += 3;
    }
    return layer;
}

// Every op of a range.
inline std::set<datasets::Op> ops_of(datasets::OpRange range) {
    std::set<datasets::Op> ops;
    for (const datasets::OpInfo& info : datasets::ops_in(range)) {
        ops.insert(info.op);
    }
    return ops;
}

// What a range reads from outside.
inline std::set<datasets::Op> upstream_of(datasets::OpRange range) {
    std::set<datasets::Op> needed;
    for (const datasets::OpInfo& info : datasets::ops_in(range)) {
        for (const datasets::Op input : info.inputs) {
            if (!range.contains(input)) {
                needed.insert(input);
            }
        }
    }
    return needed;
}

// Refuses everything but a list of ops, and records what was asked.
class GuardedSource final : public datasets::Source {
public:
    GuardedSource(const datasets::Source& inner, std::set<datasets::Op> allowed)
        : inner_(inner), allowed_(std::move(allowed)) {}

    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override {
        const std::scoped_lock lock(mutex_);
        asked_.insert(op);
        if (!allowed_.contains(op)) {
            throw std::logic_error("asked for " + std::string(datasets::name(op)));
        }
        inner_.rows(op, rows, out);
    }
    [[nodiscard]] std::set<datasets::Op> asked() const { return asked_; }

private:
    const datasets::Source& inner_;
    std::set<datasets::Op> allowed_;
    mutable std::mutex mutex_;
    mutable std::set<datasets::Op> asked_;
};

// Keeps what arrives, whole; squares as [head, time, time]. Checks the contract of `Sink` for `work` on the
// way.
class Collector final : public datasets::Sink {
public:
    explicit Collector(datasets::LayerShape shape, datasets::Work work = {},
                       std::set<datasets::Op> wanted = ops_of(datasets::attention_ops))
        : shape_(shape), work_(work), wanted_(std::move(wanted)), tensors_(datasets::op_count) {}

    bool wants(datasets::Op op) const override { return wanted_.contains(op); }

    void accept(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values) override {
        const std::scoped_lock lock(*mutex_);
        const bool square = datasets::is_square(op);
        const std::int64_t columns = datasets::row_width(op, shape_);
        const std::int64_t stride = datasets::has_heads(op) && !square ? shape_.width() : columns;
        const std::int64_t first_row = square ? rows.head * shape_.context : 0;
        const std::int64_t first_column = !square && rows.head > 0 ? rows.head * columns : 0;
        const bool fits = wants(op) && work_.ops.contains(op) &&
                          (work_.head < 0 || work_.head == rows.head) &&
                          datasets::has_heads(op) == (rows.head >= 0) && rows.head < shape_.heads &&
                          rows.begin % datasets::block_rows == 0 && values.rows == rows.count &&
                          rows.count == std::min(datasets::block_rows, shape_.context - rows.begin) &&
                          values.columns == columns;
        // In dataflow order within a block, each once, and after what it reads whole.
        datasets::Op& last = last_.try_emplace({rows.head, rows.begin}, datasets::Op::mel).first->second;
        const bool ordered = last < op;
        last = op;
        ++blocks_[static_cast<std::size_t>(op)];
        const bool after_upstream = (op != datasets::Op::scores || whole(datasets::Op::key)) &&
                                    (op != datasets::Op::context || whole(datasets::Op::value)) &&
                                    (op != datasets::Op::output || whole(datasets::Op::context));
        faults_ += fits && ordered && after_upstream ? 0 : 1;
        std::vector<float>& tensor = tensors_[static_cast<std::size_t>(op)];
        tensor.resize(
            static_cast<std::size_t>((square ? shape_.heads * shape_.context : shape_.context) * stride));
        for (std::int64_t i = 0; fits && i < rows.count; ++i) {
            const std::span<const float> row = values.row(i);
            std::copy(row.begin(), row.end(),
                      tensor.begin() + (first_row + rows.begin + i) * stride + first_column);
        }
    }

    // All of `op` has arrived, unless none of it is due.
    [[nodiscard]] bool whole(datasets::Op op) const {
        const int heads = datasets::has_heads(op) && work_.head < 0 ? shape_.heads : 1;
        return !wants(op) || !work_.ops.contains(op) || blocks(op) == shape_.blocks() * heads;
    }
    [[nodiscard]] std::int64_t blocks(datasets::Op op) const { return blocks_[static_cast<std::size_t>(op)]; }
    [[nodiscard]] const std::vector<float>& tensor(datasets::Op op) const {
        return tensors_[static_cast<std::size_t>(op)];
    }
    [[nodiscard]] int faults() const { return faults_; }

    // The rows of `op` out of what has been kept, as a `Source` would give them (a single head, or none).
    [[nodiscard]] std::vector<float> rows(datasets::Op op, datasets::Rows rows) const {
        const bool square = datasets::is_square(op);
        const std::int64_t columns = datasets::row_width(op, shape_);
        const std::int64_t stride = datasets::has_heads(op) && !square ? shape_.width() : columns;
        const std::int64_t begin = (square ? rows.head * shape_.context : 0) + rows.begin;
        const std::int64_t column = !square && rows.head > 0 ? rows.head * columns : 0;
        std::vector<float> out;
        for (std::int64_t i = 0; i < rows.count; ++i) {
            const auto from = tensor(op).begin() + (begin + i) * stride + column;
            out.insert(out.end(), from, from + columns);
        }
        return out;
    }

private:
    datasets::LayerShape shape_;
    datasets::Work work_;
    std::set<datasets::Op> wanted_;
    std::vector<std::vector<float>> tensors_;
    std::array<std::int64_t, datasets::op_count> blocks_{};
    std::map<std::pair<int, std::int64_t>, datasets::Op> last_;
    std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
    int faults_ = 0;
};

// Energy of the difference and of the expectation, summed over calls.
struct RelativeError {
    double error = 0;
    double reference = 0;

    template <typename Got, typename Expected>
    void add(const Got& got, const Expected& expected) {
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const double difference = static_cast<double>(got[i]) - static_cast<double>(expected[i]);
            error += difference * difference;
            reference += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
        }
    }

    // Relative Frobenius error.
    [[nodiscard]] double value() const { return std::sqrt(error / reference); }
};

}  // namespace reference
