#include "reference/oracle.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "reference/extent.hpp"

namespace reference {
namespace {

using datasets::LayerCase;
using datasets::Op;
using datasets::Rows;
using datasets::Source;

// The oracle's own choice: a mix-up that it shared with the golden path would be invisible.
const datasets::Linear& weights_of(Op op, const datasets::BlockWeights& weights) {
    return op == Op::query    ? weights.attention.query
           : op == Op::key    ? weights.attention.key
           : op == Op::value  ? weights.attention.value
           : op == Op::output ? weights.attention.output
           : op == Op::fc1    ? weights.fc1
                              : weights.fc2;
}

std::vector<double> pull(const Source& upstream, Op op, Rows rows, std::int64_t columns) {
    std::vector<float> narrow(static_cast<std::size_t>(rows.count * columns));
    upstream.rows(op, rows, narrow);
    return {narrow.begin(), narrow.end()};
}

enum class Wants { value, value_and_magnitude };

// Where the results of one call go.
struct Results {
    std::span<double> value;
    std::span<double> magnitude;

    [[nodiscard]] Wants wants() const {
        return magnitude.empty() ? Wants::value : Wants::value_and_magnitude;
    }

    void set(std::int64_t index, double result, double scale_of_error) const {
        value[static_cast<std::size_t>(index)] = result;
        if (!magnitude.empty()) {
            magnitude[static_cast<std::size_t>(index)] = scale_of_error;
        }
    }
};

// The sum over k < depth, ascending, of left[k] right[j, k], and of the magnitudes, for `lanes` rows j of
// right side by side, so that their chains of additions overlap. Calls take(j, sum, magnitude).
template <std::size_t lanes, typename Right, typename Take>
void dot(const double* left, const Right* right, std::size_t depth, Wants wants, const Take& take) {
    std::array<double, lanes> sum{};
    std::array<double, lanes> magnitude{};
    const auto add = [&](const auto& each) {
        for (std::size_t k = 0; k < depth; ++k) {
            for (std::size_t j = 0; j < lanes; ++j) {
                each(j, left[k] * double{right[j * depth + k]});
            }
        }
    };
    if (wants == Wants::value) {
        add([&](std::size_t j, double product) { sum[j] += product; });
    } else {
        add([&](std::size_t j, double product) {
            sum[j] += product;
            magnitude[j] += std::abs(product);
        });
    }
    for (std::size_t j = 0; j < lanes; ++j) {
        take(static_cast<std::int64_t>(j), sum[j], magnitude[j]);
    }
}

template <typename Right, typename Take>
void dot_rows(const double* left, const Right* right, std::int64_t rows, std::int64_t depth, Wants wants,
              const Take& take) {
    constexpr std::int64_t lanes = 4;
    const auto length = static_cast<std::size_t>(depth);
    std::int64_t first = 0;
    const auto take_from_first = [&](std::int64_t j, double sum, double magnitude) {
        take(first + j, sum, magnitude);
    };
    for (; first + lanes <= rows; first += lanes) {
        dot<lanes>(left, right + first * depth, length, wants, take_from_first);
    }
    for (; first < rows; ++first) {
        dot<1>(left, right + first * depth, length, wants, take_from_first);
    }
}

void project(Op op, Rows rows, const LayerCase& layer, const Source& upstream, const Results& result) {
    const datasets::Linear& linear = weights_of(op, layer.weights);
    const std::int64_t width = op == Op::fc2 ? layer.shape.mlp_width() : layer.shape.width();
    const std::int64_t columns = columns_of(op, rows, layer.shape);
    const std::int64_t first = rows.head < 0 ? 0 : rows.head * std::int64_t{datasets::head_width};
    const Op input = datasets::info(op).inputs.front();
    const std::vector<double> left = pull(upstream, input, {-1, rows.begin, rows.count}, width);
    for (std::int64_t i = 0; i < rows.count; ++i) {
        const auto take = [&](std::int64_t j, double sum, double magnitude) {
            const double bias =
                linear.bias.empty() ? 0.0 : double{linear.bias[static_cast<std::size_t>(first + j)]};
            result.set(i * columns + j, sum + bias, magnitude + std::abs(bias));
        };
        dot_rows(left.data() + i * width, linear.weight.data() + first * width, columns, width,
                 result.wants(), take);
    }
}

void score(Rows rows, const LayerCase& layer, const Source& upstream, const Results& result) {
    const std::int64_t keys = layer.shape.context;
    const std::vector<double> query = pull(upstream, Op::query, rows, datasets::head_width);
    const std::vector<double> key = pull(upstream, Op::key, {rows.head, 0, keys}, datasets::head_width);
    for (std::int64_t i = 0; i < rows.count; ++i) {
        const auto take = [&](std::int64_t j, double sum, double magnitude) {
            result.set(i * keys + j, sum / 8, magnitude / 8);
        };
        dot_rows(query.data() + i * datasets::head_width, key.data(), keys, datasets::head_width,
                 result.wants(), take);
    }
}

void soften(Rows rows, const LayerCase& layer, const Source& upstream, const Results& result) {
    const std::int64_t keys = layer.shape.context;
    const std::vector<double> scores = pull(upstream, Op::scores, rows, keys);
    for (std::int64_t i = 0; i < rows.count; ++i) {
        const auto row = scores.begin() + i * keys;
        const double maximum = *std::max_element(row, row + keys);
        double sum = 0;
        for (std::int64_t j = 0; j < keys; ++j) {
            sum += std::exp(row[j] - maximum);
        }
        for (std::int64_t j = 0; j < keys; ++j) {
            result.set(i * keys + j, std::exp(row[j] - maximum) / sum, maximum - row[j]);
        }
    }
}

void mix(Rows rows, const LayerCase& layer, const Source& upstream, const Results& result) {
    const std::int64_t keys = layer.shape.context;
    const std::int64_t columns = columns_of(Op::context, rows, layer.shape);
    const int first = rows.head < 0 ? 0 : rows.head;
    const int last = rows.head < 0 ? layer.shape.heads - 1 : rows.head;
    for (int head = first; head <= last; ++head) {
        const std::vector<double> share =
            pull(upstream, Op::probabilities, {head, rows.begin, rows.count}, keys);
        const std::vector<double> values = pull(upstream, Op::value, {head, 0, keys}, datasets::head_width);
        for (std::int64_t i = 0; i < rows.count; ++i) {
            double sum[datasets::head_width] = {};
            double magnitude[datasets::head_width] = {};
            for (std::int64_t k = 0; k < keys; ++k) {
                for (std::int64_t j = 0; j < datasets::head_width; ++j) {
                    const double product = share[static_cast<std::size_t>(i * keys + k)] *
                                           values[static_cast<std::size_t>(k * datasets::head_width + j)];
                    sum[j] += product;
                    magnitude[j] += std::abs(product);
                }
            }
            for (std::int64_t j = 0; j < datasets::head_width; ++j) {
                const std::int64_t column = (head - first) * std::int64_t{datasets::head_width} + j;
                result.set(i * columns + column, sum[j], magnitude[j]);
            }
        }
    }
}

double gelu_of(double x) {
    // erfc, not 1 + erf: the latter loses every digit of the left tail.
    return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
}

void activate(const std::vector<double>& x, const Results& result) {
    for (std::size_t i = 0; i < x.size(); ++i) {
        result.set(static_cast<std::int64_t>(i), gelu_of(x[i]), std::abs(x[i]));
    }
}

void add(const std::vector<double>& a, const std::vector<double>& b, const Results& result) {
    for (std::size_t i = 0; i < a.size(); ++i) {
        result.set(static_cast<std::int64_t>(i), a[i] + b[i], std::abs(a[i]) + std::abs(b[i]));
    }
}

// Of rows as wide as the norm.
void normalise(const std::vector<double>& x, const datasets::Norm& norm, const Results& result) {
    const std::size_t width = norm.gain.size();
    for (std::size_t begin = 0; begin < x.size(); begin += width) {
        double mean = 0;
        for (std::size_t j = 0; j < width; ++j) {
            mean += x[begin + j];
        }
        mean /= static_cast<double>(width);
        double variance = 0;
        for (std::size_t j = 0; j < width; ++j) {
            variance += (x[begin + j] - mean) * (x[begin + j] - mean);
        }
        variance /= static_cast<double>(width);
        const double deviation = std::sqrt(variance + 1e-5);
        for (std::size_t j = 0; j < width; ++j) {
            const double gain{norm.gain[j]};
            const double bias{norm.bias[j]};
            result.set(
                static_cast<std::int64_t>(begin + j), (x[begin + j] - mean) / deviation * gain + bias,
                (std::abs(x[begin + j]) + std::abs(mean)) / deviation * std::abs(gain) + std::abs(bias));
        }
    }
}

// One convolution of the stem and what it reads.
struct Convolution {
    const datasets::Linear& linear;
    Op input;
    std::int64_t channels;  // of the input
    std::int64_t frames;    // of the input
    std::int64_t stride;
};

void convolve(Rows rows, const Convolution& conv, const Source& upstream, const Results& result) {
    const auto outputs = static_cast<std::int64_t>(conv.linear.weight.size()) / (3 * conv.channels);
    for (std::int64_t i = 0; i < rows.count; ++i) {
        const std::int64_t centre = (rows.begin + i) * conv.stride;
        const std::int64_t first = std::max<std::int64_t>(centre - 1, 0);
        const std::int64_t last = std::min(centre + 1, conv.frames - 1);
        const std::vector<double> x =
            pull(upstream, conv.input, {-1, first, last - first + 1}, conv.channels);
        for (std::int64_t out = 0; out < outputs; ++out) {
            double sum = 0;
            double magnitude = 0;
            for (std::int64_t frame = first; frame <= last; ++frame) {
                for (std::int64_t in = 0; in < conv.channels; ++in) {
                    const std::int64_t k = frame - centre + 1;
                    const double product =
                        x[static_cast<std::size_t>((frame - first) * conv.channels + in)] *
                        double{
                            conv.linear.weight[static_cast<std::size_t>((out * conv.channels + in) * 3 + k)]};
                    sum += product;
                    magnitude += std::abs(product);
                }
            }
            const double bias =
                conv.linear.bias.empty() ? 0.0 : double{conv.linear.bias[static_cast<std::size_t>(out)]};
            result.set(i * outputs + out, gelu_of(sum + bias), magnitude + std::abs(bias));
        }
    }
}

void require_size(std::size_t size, std::span<const double> value, std::span<const double> magnitude) {
    if (value.size() != size || (!magnitude.empty() && magnitude.size() != size)) {
        throw std::invalid_argument("the spans for oracle rows have another size than the rows");
    }
}

void refuse_piece(Op op, const char* piece) {
    throw std::invalid_argument(std::string(datasets::name(op)) + " is not an op of " + piece);
}

}  // namespace

void oracle_rows(Op op, Rows rows, const LayerCase& layer, const Source& upstream, std::span<double> value,
                 std::span<double> magnitude) {
    if (!datasets::layer_ops.contains(op)) {
        refuse_piece(op, "a layer");
    }
    if (!datasets::attention_ops.contains(op) && !is_whole(layer)) {
        refuse_piece(op, "a layer without norms and MLP");
    }
    require_size(elements_of(op, rows, layer.shape), value, magnitude);
    const Results result{value, magnitude};
    const auto whole_rows = [&](Op input) {
        return pull(upstream, input, rows, columns_of(input, rows, layer.shape));
    };
    switch (op) {
        case Op::attention_norm:
            return normalise(whole_rows(Op::embedding), layer.weights.attention_norm, result);
        case Op::scores:
            return score(rows, layer, upstream, result);
        case Op::probabilities:
            return soften(rows, layer, upstream, result);
        case Op::context:
            return mix(rows, layer, upstream, result);
        case Op::attention_residual:
            return add(whole_rows(Op::embedding), whole_rows(Op::output), result);
        case Op::mlp_norm:
            return normalise(whole_rows(Op::attention_residual), layer.weights.mlp_norm, result);
        case Op::gelu:
            return activate(whole_rows(Op::fc1), result);
        case Op::block:
            return add(whole_rows(Op::attention_residual), whole_rows(Op::fc2), result);
        default:
            return project(op, rows, layer, upstream, result);
    }
}

void oracle_rows(Op op, Rows rows, const datasets::StemCase& stem, const Source& upstream,
                 std::span<double> value, std::span<double> magnitude) {
    const datasets::StemShape& shape = stem.shape;
    if (!datasets::stem_ops.contains(op)) {
        refuse_piece(op, "the stem");
    }
    require_size(elements_of(op, rows, shape), value, magnitude);
    const Results result{value, magnitude};
    if (op == Op::conv1) {
        return convolve(rows, {stem.weights.conv1, Op::mel, shape.mels, shape.frames, 1}, upstream, result);
    }
    if (op == Op::conv2) {
        return convolve(rows, {stem.weights.conv2, Op::conv1, shape.width(), shape.frames, shape.stride},
                        upstream, result);
    }
    const auto first = stem.weights.positions.begin() + rows.begin * shape.width();
    add(pull(upstream, Op::conv2, rows, shape.width()), {first, first + rows.count * shape.width()}, result);
}

void oracle_rows(Op op, Rows rows, const datasets::EndCase& end, const Source& upstream,
                 std::span<double> value, std::span<double> magnitude) {
    if (op != Op::encoder) {
        refuse_piece(op, "the end of the encoder");
    }
    require_size(elements_of(op, rows, end.shape), value, magnitude);
    normalise(pull(upstream, Op::block, rows, end.shape.width()), end.norm, {value, magnitude});
}

}  // namespace reference
