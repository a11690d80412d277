#include "harness/probe_layer.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>
#include <utility>

#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::AttentionWeights;
using datasets::LayerCase;
using datasets::LayerShape;
using datasets::Linear;
using datasets::Op;

using datasets::head_width;

// -1, 0 or 1: not 0 in one of `rarity`.
float sign_or_zero(std::uint64_t purpose, std::int64_t position, std::uint64_t rarity) {
    const std::uint64_t bits = mixed(purpose, 0, std::uint64_t(position));
    return bits % rarity != 0 ? 0.0F : ((bits >> 32U) & 1U) != 0 ? 1.0F : -1.0F;
}

// So many weights a row are not 0, on average.
Linear integer_linear(std::uint64_t purpose, std::int64_t width, std::int64_t terms, bool biased) {
    Linear out;
    for (std::int64_t i = 0; i < width * width; ++i) {
        out.weight.push_back(sign_or_zero(purpose, i, std::uint64_t(width / terms)));
    }
    for (std::int64_t i = 0; biased && i < width; ++i) {
        out.bias.push_back(static_cast<float>(static_cast<int>(mixed(purpose, 1, std::uint64_t(i)) % 5) - 2));
    }
    return out;
}

std::vector<float> integer_tensor(std::uint64_t purpose, LayerShape shape) {
    std::vector<float> out;
    for (std::int64_t i = 0; i < shape.context * shape.width(); ++i) {
        out.push_back(sign_or_zero(purpose, i, 2));
    }
    return out;
}

// Term by term over the few weights that are not 0.
std::vector<float> exact_projection(std::span<const float> x, const Linear& linear, LayerShape shape) {
    const std::int64_t width = shape.width();
    std::vector<float> out(index(shape.context * width));
    for (std::int64_t j = 0; j < width; ++j) {
        for (std::int64_t row = 0; row < shape.context; ++row) {
            out[index(row * width + j)] = linear.bias.empty() ? 0.0F : linear.bias[index(j)];
        }
        for (std::int64_t k = 0; k < width; ++k) {
            const float weight = linear.weight[index(j * width + k)];
            for (std::int64_t row = 0; weight != 0 && row < shape.context; ++row) {
                out[index(row * width + j)] += weight * x[index(row * width + k)];
            }
        }
    }
    return out;
}

Linear nothing(std::int64_t width, bool biased) {
    return {std::vector<float>(index(width * width)), std::vector<float>(biased ? index(width) : 0)};
}

// Entry [out, in] of a square weight.
float& entry(Linear& linear, std::int64_t width, std::int64_t out, std::int64_t in) {
    return linear.weight[index(out * width + in)];
}

// Keys have no bias, so that a constant in them comes of an input channel that is 1 in every row; what
// alternates in queries comes of one that is 1 and -1 in turn.
constexpr std::int64_t constant_channel = 0;
constexpr std::int64_t alternating_channel = 1;

LayerCase integers_with_a_constant(LayerShape shape) {
    LayerCase layer = integer_layer(shape);
    for (std::int64_t row = 0; row < shape.context; ++row) {
        const auto x = std::span(layer.input).subspan(index(row * shape.width()), index(shape.width()));
        x[constant_channel] = 1;
        x[alternating_channel] = row % 2 == 0 ? 1 : -1;
    }
    return layer;
}

// Moves all logits of each head by the same amount (shift_of), in the weights.
LayerCase shifted_layer(LayerShape shape, ShiftTo to) {
    constexpr double margin = 100;
    LayerCase layer = integers_with_a_constant(shape);
    const KnownLayer known(layer);
    const std::vector<LogitMaxima> maxima = known.largest_logits();
    const std::int64_t width = shape.width();
    std::vector<float> query(index(shape.context * head_width));
    std::vector<float> key(query.size());
    for (int head = 0; head < shape.heads; ++head) {
        known.rows(Op::query, {head, 0, shape.context}, query);
        known.rows(Op::key, {head, 0, shape.context}, key);
        const Shift shift = shift_of(query, key, maxima[index(head)], to, margin);
        const std::int64_t channel = head * head_width + shift.channel;
        AttentionWeights& weights = layer.weights.attention;
        for (std::int64_t k = 0; k < width; ++k) {
            entry(weights.query, width, channel, k) = 0;
            entry(weights.key, width, channel, k) = 0;
        }
        if (shift.alternates) {
            weights.query.bias[index(channel)] = 0;
            entry(weights.query, width, channel, alternating_channel) = shift.query;
        } else {
            weights.query.bias[index(channel)] = shift.query;
        }
        entry(weights.key, width, channel, constant_channel) = shift.key;
    }
    return layer;
}

// Every value is 1.
void make_ones(Linear& value) {
    std::ranges::fill(value.weight, 0.0F);
    std::ranges::fill(value.bias, 1.0F);
}

// The input holds, one-hot, the order of the row's depths (channels 0 to 62), whether it is row 0 (63) and
// else the row's class (64 to 127).
LayerCase deep_layer(LayerShape shape) {
    const std::int64_t width = shape.width();
    LayerCase layer = integer_layer(shape);
    std::ranges::fill(layer.input, 0.0F);
    constexpr std::int64_t first_row = depth_orders;
    for (std::int64_t row = 0; row < shape.context; ++row) {
        layer.input[index(row * width + row % depth_orders)] = 1;
        layer.input[index(row * width + (row == 0 ? first_row : depths + depth_class(0, row)))] = 1;
    }
    AttentionWeights& weights = layer.weights.attention;
    weights.query = nothing(width, true);
    weights.key = nothing(width, false);
    weights.value = nothing(width, true);
    for (int head = 0; head < shape.heads; ++head) {
        for (int channel = 0; channel < head_width; ++channel) {
            const std::int64_t out = head * head_width + channel;
            for (std::int64_t order = 0; order < depth_orders; ++order) {
                entry(weights.query, width, out, order) = depth_query(head, order, channel);
            }
            entry(weights.key, width, out, first_row) = -depth_lead;
            const std::int64_t of_class = depths + (channel + head) % depths;  // another in each head
            entry(weights.key, width, out, of_class) = 8;
            entry(weights.value, width, out, of_class) = 1;
        }
    }
    return layer;
}

// The input holds the tile of the row, the row in it, and signs: those of the row's code, then those of the
// key that it attends to.
LayerCase one_hot_layer(LayerShape shape) {
    constexpr std::int64_t tile_channel = 1;
    constexpr std::int64_t row_channel = 2;
    constexpr std::int64_t first_sign = 3;
    const std::int64_t width = shape.width();
    const std::int64_t keys = shape.context;
    // Channels of a head from which a code starts anew.
    std::int64_t bits = 1;
    while ((keys - 1) >> bits > 0) {
        ++bits;
    }
    LayerCase layer = integer_layer(shape);
    std::ranges::fill(layer.input, 0.0F);
    for (std::int64_t row = 0; row < keys; ++row) {
        const auto x = std::span(layer.input).subspan(index(row * width), index(width));
        x[tile_channel] = index_value(0, row, 0) - 1;
        x[row_channel] = index_value(0, row, 1) - 1;
        for (int bit = 0; bit < bits; ++bit) {
            x[index(first_sign + bit)] = code(row, keys, bit) > 0 ? 1.0F : -1.0F;
            x[index(first_sign + bits + bit)] = code(hot_key(row, keys), keys, bit) > 0 ? 1.0F : -1.0F;
        }
    }
    AttentionWeights& weights = layer.weights.attention;
    weights.query = nothing(width, true);
    weights.key = nothing(width, false);
    weights.value = nothing(width, true);
    for (int head = 0; head < shape.heads; ++head) {
        for (int channel = 0; channel < head_width; ++channel) {
            const std::int64_t out = head * head_width + channel;
            const float amplitude = std::abs(code(0, keys, channel));
            entry(weights.key, width, out, first_sign + channel % bits) = amplitude;
            entry(weights.query, width, out, first_sign + bits + channel % bits) = amplitude;
            weights.value.bias[index(out)] = index_value(head, 0, channel);
            if (channel % 4 < 2) {
                entry(weights.value, width, out, channel % 4 == 0 ? tile_channel : row_channel) = 1;
            }
        }
    }
    return layer;
}

}  // namespace

KnownLayer::KnownLayer(LayerCase layer) : layer_(std::move(layer)) {
    const AttentionWeights& weights = layer_.weights.attention;
    layer_.recorded[Op::query] = exact_projection(layer_.input, weights.query, layer_.shape);
    layer_.recorded[Op::key] = exact_projection(layer_.input, weights.key, layer_.shape);
    layer_.recorded[Op::value] = exact_projection(layer_.input, weights.value, layer_.shape);
    if (const auto context = layer_.recorded.find(Op::context); context != layer_.recorded.end()) {
        layer_.recorded[Op::output] = exact_projection(context->second, weights.output, layer_.shape);
    }
}

std::span<const float> KnownLayer::tensor(Op op) const {
    return op == Op::attention_norm ? layer_.input : layer_.recorded.at(op);
}

void KnownLayer::rows(Op op, datasets::Rows rows, std::span<float> out) const {
    const std::int64_t width = layer_.shape.width();
    const std::int64_t columns = rows.head < 0 ? width : head_width;
    const std::int64_t offset = std::max(rows.head, 0) * head_width;
    const std::span<const float> from = tensor(op);
    for (std::int64_t row = 0; row < rows.count; ++row) {
        std::copy_n(from.begin() + (rows.begin + row) * width + offset, columns, out.begin() + row * columns);
    }
}

std::vector<LogitMaxima> KnownLayer::largest_logits() const {
    const auto longest = [&](Op op, int head) {
        double out = 0;
        std::vector<float> row(index(head_width));
        for (std::int64_t i = 0; i < layer_.shape.context; ++i) {
            rows(op, {head, i, 1}, row);
            double square = 0;
            for (const float x : row) {
                square += double{x} * double{x};
            }
            out = std::max(out, std::sqrt(square));
        }
        return out;
    };
    std::vector<LogitMaxima> out;
    for (int head = 0; head < layer_.shape.heads; ++head) {
        const double most = longest(Op::query, head) * longest(Op::key, head) / 8;
        out.push_back({-most, most});
    }
    return out;
}

LayerCase integer_layer(LayerShape shape, std::int64_t terms) {
    const std::int64_t width = shape.width();
    LayerCase layer;
    layer.clip = "integers";
    layer.shape = shape;
    layer.input = integer_tensor(22, shape);
    layer.recorded[Op::context] = integer_tensor(21, shape);
    layer.weights.attention = {
        integer_linear(11, width, terms, true), integer_linear(12, width, terms, false),
        integer_linear(13, width, terms, true), integer_linear(14, width, terms, true)};
    return layer;
}

KnownLayer probe_layer(Probe probe, LayerShape shape) {
    if (shape.heads < 2) {
        throw std::invalid_argument("the codes of deep keys need two heads");
    }
    LayerCase layer;
    switch (probe) {
        case Probe::ones:
            layer = shifted_layer(shape, ShiftTo::below);
            make_ones(layer.weights.attention.value);
            break;
        case Probe::zero_keys:
            layer = integer_layer(shape);
            std::ranges::fill(layer.weights.attention.key.weight, 0.0F);
            break;
        case Probe::raised_keys:
            layer = shifted_layer(shape, ShiftTo::above);
            break;
        case Probe::deep_keys:
            layer = deep_layer(shape);
            break;
        case Probe::one_hot:
            layer = one_hot_layer(shape);
            break;
        case Probe::integers:
            // Few, so that 8 times a score stays below 2^8 as well.
            layer = integer_layer(shape, 2);
            break;
    }
    layer.clip = "probes";
    layer.layer = static_cast<int>(probe);
    layer.recorded.clear();
    return KnownLayer(std::move(layer));
}

}  // namespace harness
