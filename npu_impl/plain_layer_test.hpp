// For the tests of the path: a layer in plain loops, a source over whole tensors, a sink that keeps
// everything and checks the order in which it arrives, and a device that records and edits what it is given.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "datasets/path.hpp"
#include "kernels/tile_kernels.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"

namespace npu_impl::testing {

using datasets::LayerCase;
using datasets::LayerShape;
using datasets::Op;
using datasets::Rows;

// Dense tensors: [time, channel], or [head, query, key] for square ops.
using Tensors = std::map<Op, std::vector<float>>;

inline std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

// Index of an op's element; `column` counts within the head of an op with heads.
inline std::size_t element(Op op, const LayerShape& shape, int head, std::int64_t row, std::int64_t column) {
    if (datasets::is_square(op)) {
        return at((head * shape.context + row) * shape.context + column);
    }
    if (datasets::has_heads(op)) {
        return at(row * shape.width() + head * datasets::head_width + column);
    }
    return at(row * datasets::row_width(op, shape) + column);
}

inline std::size_t element_count(Op op, const LayerShape& shape) {
    const bool square = datasets::is_square(op);
    const std::int64_t width = datasets::has_heads(op) ? shape.width() : datasets::row_width(op, shape);
    return at(shape.context * (square ? shape.heads * shape.context : width));
}

class TensorSource final : public datasets::Source {
public:
    TensorSource(LayerShape shape, const Tensors& tensors) : shape_(shape), tensors_(tensors) {}

    void rows(Op op, Rows rows, std::span<float> out) const override {
        const std::vector<float>& tensor = tensors_.at(op);
        const bool whole = rows.head < 0 && datasets::has_heads(op);
        const std::int64_t columns = whole ? shape_.width() : datasets::row_width(op, shape_);
        ASSERT_EQ(static_cast<std::int64_t>(out.size()), rows.count * columns);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::size_t first = element(op, shape_, std::max(rows.head, 0), rows.begin + row, 0);
            std::copy_n(tensor.begin() + static_cast<std::ptrdiff_t>(first), columns,
                        out.begin() + static_cast<std::ptrdiff_t>(row * columns));
        }
    }

private:
    LayerShape shape_;
    const Tensors& tensors_;
};

class KeepingSink : public datasets::Sink {
public:
    // Wants every op, or only one.
    explicit KeepingSink(LayerShape shape, std::optional<Op> only = {}) : shape_(shape), only_(only) {}

    bool wants(Op op) const override { return !only_ || *only_ == op; }

    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        const std::scoped_lock lock(mutex_);
        EXPECT_EQ(rows.begin % datasets::block_rows, 0);
        EXPECT_EQ(rows.count, std::min(datasets::block_rows, shape_.context - rows.begin));
        EXPECT_EQ(rows.head >= 0, datasets::has_heads(op));
        EXPECT_EQ(values.rows, rows.count);
        EXPECT_EQ(values.columns, datasets::row_width(op, shape_));
        EXPECT_TRUE(seen.insert({op, rows.head, rows.begin}).second) << "twice";
        std::vector<float>& tensor = tensors[op];
        tensor.resize(element_count(op, shape_), std::nanf(""));
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const auto line = values.row(row);
            const std::size_t first = element(op, shape_, std::max(rows.head, 0), rows.begin + row, 0);
            std::ranges::copy(line, tensor.begin() + static_cast<std::ptrdiff_t>(first));
        }
        blocks[op] += 1;
        whole_before[op].insert({blocks[Op::key], blocks[Op::value]});
    }

    Tensors tensors;
    std::set<std::tuple<Op, int, std::int64_t>> seen;
    std::map<Op, std::int64_t> blocks;
    // Per op: how many blocks of key and value had arrived at each of its blocks.
    std::map<Op, std::set<std::pair<std::int64_t, std::int64_t>>> whole_before;

private:
    LayerShape shape_;
    std::optional<Op> only_;
    std::mutex mutex_;
};

inline LayerCase empty_layer(LayerShape shape) {
    LayerCase layer;
    layer.shape = shape;
    const std::size_t square = at(shape.width() * shape.width());
    layer.input.resize(at(shape.context * shape.width()));
    for (auto* linear : {&layer.weights.attention.query, &layer.weights.attention.key,
                         &layer.weights.attention.value, &layer.weights.attention.output}) {
        linear->weight.resize(square);
        linear->bias.resize(at(shape.width()));
    }
    layer.weights.attention.key.bias.clear();
    return layer;
}

inline void fill_normal(std::vector<float>& values, std::mt19937& random, double deviation) {
    std::normal_distribution<double> normal(0, deviation);
    for (float& value : values) {
        value = static_cast<float>(normal(random));
    }
}

inline LayerCase random_layer(LayerShape shape, unsigned seed, double logit_gain = 1) {
    std::mt19937 random(seed);
    LayerCase layer = empty_layer(shape);
    const double unit = 1 / std::sqrt(double(shape.width()));
    fill_normal(layer.input, random, 1);
    fill_normal(layer.weights.attention.query.weight, random, unit * logit_gain);
    fill_normal(layer.weights.attention.key.weight, random, unit);
    fill_normal(layer.weights.attention.value.weight, random, unit);
    fill_normal(layer.weights.attention.output.weight, random, unit);
    fill_normal(layer.weights.attention.query.bias, random, 0.5);
    fill_normal(layer.weights.attention.value.bias, random, 0.5);
    fill_normal(layer.weights.attention.output.bias, random, 0.5);
    return layer;
}

// y = x weight^T + bias in fp64.
inline std::vector<double> plain_linear(const std::vector<double>& x, const datasets::Linear& linear,
                                        std::int64_t rows, std::int64_t width) {
    std::vector<double> y(at(rows * width));
    for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t out = 0; out < width; ++out) {
            double sum = linear.bias.empty() ? 0 : double(linear.bias[at(out)]);
            for (std::int64_t in = 0; in < width; ++in) {
                sum += x[at(row * width + in)] * double(linear.weight[at(out * width + in)]);
            }
            y[at(row * width + out)] = sum;
        }
    }
    return y;
}

inline std::vector<float> to_floats(const std::vector<double>& values) {
    std::vector<float> floats(values.size());
    std::ranges::transform(values, floats.begin(), [](double value) { return static_cast<float>(value); });
    return floats;
}

// Every attention op of the layer in fp64, stored as fp32.
inline Tensors plain_layer(const LayerCase& layer) {
    const LayerShape shape = layer.shape;
    const std::int64_t time = shape.context;
    const std::int64_t width = shape.width();
    const std::vector<double> x(layer.input.begin(), layer.input.end());
    const auto query = plain_linear(x, layer.weights.attention.query, time, width);
    const auto key = plain_linear(x, layer.weights.attention.key, time, width);
    const auto value = plain_linear(x, layer.weights.attention.value, time, width);
    std::vector<double> scores(element_count(Op::scores, shape));
    std::vector<double> probabilities(scores.size());
    std::vector<double> context(query.size());
    for (int head = 0; head < shape.heads; ++head) {
        for (std::int64_t row = 0; row < time; ++row) {
            const std::size_t line = element(Op::scores, shape, head, row, 0);
            double highest = -INFINITY;
            for (std::int64_t j = 0; j < time; ++j) {
                double sum = 0;
                for (std::int64_t c = 0; c < datasets::head_width; ++c) {
                    sum += query[element(Op::query, shape, head, row, c)] *
                           key[element(Op::key, shape, head, j, c)];
                }
                scores[line + at(j)] = sum / 8;
                highest = std::max(highest, sum / 8);
            }
            double total = 0;
            for (std::int64_t j = 0; j < time; ++j) {
                total += probabilities[line + at(j)] = std::exp(scores[line + at(j)] - highest);
            }
            for (std::int64_t j = 0; j < time; ++j) {
                const double p = probabilities[line + at(j)] /= total;
                for (std::int64_t c = 0; c < datasets::head_width; ++c) {
                    context[element(Op::context, shape, head, row, c)] +=
                        p * value[element(Op::value, shape, head, j, c)];
                }
            }
        }
    }
    return {{Op::attention_norm, layer.input},
            {Op::query, to_floats(query)},
            {Op::key, to_floats(key)},
            {Op::value, to_floats(value)},
            {Op::scores, to_floats(scores)},
            {Op::probabilities, to_floats(probabilities)},
            {Op::context, to_floats(context)},
            {Op::output, to_floats(plain_linear(context, layer.weights.attention.output, time, width))}};
}

// The steps of a path that belong to the attention.
inline std::vector<datasets::OpRange> attention_steps(const datasets::Path& path) {
    std::vector<datasets::OpRange> steps;
    for (const datasets::OpRange step : path.steps()) {
        if (datasets::attention_ops.contains(step.last)) {
            steps.push_back(step);
        }
    }
    return steps;
}

// Every composition of the manifest whose norm and GELU are the default ones.
inline std::vector<const Design*> attention_designs() {
    std::vector<const Design*> list;
    for (const Design& design : designs()) {
        if (design.name.find("norm_") == std::string::npos &&
            design.name.find("gelu_") == std::string::npos) {
            list.push_back(&design);
        }
    }
    return list;
}

// The design with another number of cores in every step, and launches of as much as there is.
inline Design with_cores(const Design& design, int cores) {
    Design changed = design;
    for (StepDesign& step : changed.steps) {
        step.cores = cores;
        step.tiles_per_launch = step.tiles_per_launch == 0 ? 0 : cores;
    }
    return changed;
}

// Records what a device is asked for; may edit launches on their way.
class RecordingDevice final : public Device {
public:
    explicit RecordingDevice(int cores = 16) : inner_(kernels::tile_kernels(), cores) {}

    std::string_view name() const override { return inner_.name(); }
    int cores() const override { return inner_.cores(); }
    datasets::Emulation emulation() const override { return inner_.emulation(); }
    Buffer allocate(std::int64_t bytes) override {
        ++allocations;
        return inner_.allocate(bytes);
    }
    void release(Buffer buffer) override {
        ++releases;
        inner_.release(buffer);
    }
    std::span<std::byte> map(Buffer buffer) override { return inner_.map(buffer); }
    void sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) override {
        if (!drop_sync || !drop_sync(direction)) {
            inner_.sync(buffer, direction, offset, bytes);
        }
    }
    void submit(std::span<const Launch> launches) override {
        std::vector<Launch> edited(launches.begin(), launches.end());
        for (Launch& launch : edited) {
            if (edit) {
                edit(launch);
            }
        }
        submitted.insert(submitted.end(), edited.begin(), edited.end());
        inner_.submit(edited);
    }
    void wait() override { inner_.wait(); }
    Counters counters() const override { return inner_.counters(); }

    std::vector<Launch> submitted;
    int allocations = 0;
    int releases = 0;
    std::function<void(Launch&)> edit;
    std::function<bool(Direction)> drop_sync;

private:
    EmulatedDevice inner_;
};

}  // namespace npu_impl::testing
