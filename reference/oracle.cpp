#include "reference/oracle.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "reference/attention_rows.hpp"

namespace reference {
namespace {

using datasets::LayerCase;
using datasets::Op;
using datasets::Rows;
using datasets::Source;

// The oracle's own choice: a mix-up that it shared with the golden path would be invisible.
const datasets::Linear& weights_of(Op op, const datasets::AttentionWeights& weights) {
    return op == Op::query   ? weights.query
           : op == Op::key   ? weights.key
           : op == Op::value ? weights.value
                             : weights.output;
}

std::vector<double> pull(const Source& upstream, Op op, Rows rows, std::int64_t columns) {
    std::vector<float> narrow(static_cast<std::size_t>(rows.count * columns));
    upstream.rows(op, rows, narrow);
    return {narrow.begin(), narrow.end()};
}

// Where the results of one call go.
struct Result {
    std::span<double> value;
    std::span<double> magnitude;

    void set(std::int64_t index, double result, double scale_of_error) const {
        value[static_cast<std::size_t>(index)] = result;
        if (!magnitude.empty()) {
            magnitude[static_cast<std::size_t>(index)] = scale_of_error;
        }
    }
};

void project(Op op, Rows rows, const LayerCase& layer, const Source& upstream, const Result& result) {
    const datasets::Linear& linear = weights_of(op, layer.weights.attention);
    const std::int64_t width = layer.shape.width();
    const std::int64_t columns = columns_of(op, rows, layer.shape);
    const std::int64_t first = rows.head < 0 ? 0 : rows.head * std::int64_t{datasets::head_width};
    const Op input = datasets::info(op).inputs.front();
    const std::vector<double> left = pull(upstream, input, {-1, rows.begin, rows.count}, width);
    for (std::int64_t i = 0; i < rows.count; ++i) {
        const double* row = left.data() + i * width;
        for (std::int64_t j = 0; j < columns; ++j) {
            const float* weight = linear.weight.data() + (first + j) * width;
            double sum = 0;
            double magnitude = 0;
            for (std::int64_t k = 0; k < width; ++k) {
                const double product = row[k] * double{weight[k]};
                sum += product;
                magnitude += std::abs(product);
            }
            const double bias =
                linear.bias.empty() ? 0.0 : double{linear.bias[static_cast<std::size_t>(first + j)]};
            result.set(i * columns + j, sum + bias, magnitude + std::abs(bias));
        }
    }
}

void score(Rows rows, const LayerCase& layer, const Source& upstream, const Result& result) {
    const std::int64_t keys = layer.shape.context;
    const std::vector<double> query = pull(upstream, Op::query, rows, datasets::head_width);
    const std::vector<double> key = pull(upstream, Op::key, {rows.head, 0, keys}, datasets::head_width);
    for (std::int64_t i = 0; i < rows.count; ++i) {
        for (std::int64_t j = 0; j < keys; ++j) {
            double sum = 0;
            double magnitude = 0;
            for (std::int64_t k = 0; k < datasets::head_width; ++k) {
                const double product = query[static_cast<std::size_t>(i * datasets::head_width + k)] *
                                       key[static_cast<std::size_t>(j * datasets::head_width + k)];
                sum += product;
                magnitude += std::abs(product);
            }
            result.set(i * keys + j, sum / 8, magnitude / 8);
        }
    }
}

void normalise(Rows rows, const LayerCase& layer, const Source& upstream, const Result& result) {
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

void mix(Rows rows, const LayerCase& layer, const Source& upstream, const Result& result) {
    const std::int64_t keys = layer.shape.context;
    const std::int64_t columns = columns_of(Op::context, rows, layer.shape);
    const int first = rows.head < 0 ? 0 : rows.head;
    const int last = rows.head < 0 ? layer.shape.heads - 1 : rows.head;
    for (int head = first; head <= last; ++head) {
        const std::vector<double> share =
            pull(upstream, Op::probabilities, {head, rows.begin, rows.count}, keys);
        const std::vector<double> values = pull(upstream, Op::value, {head, 0, keys}, datasets::head_width);
        for (std::int64_t i = 0; i < rows.count; ++i) {
            for (std::int64_t j = 0; j < datasets::head_width; ++j) {
                double sum = 0;
                double magnitude = 0;
                for (std::int64_t k = 0; k < keys; ++k) {
                    const double product = share[static_cast<std::size_t>(i * keys + k)] *
                                           values[static_cast<std::size_t>(k * datasets::head_width + j)];
                    sum += product;
                    magnitude += std::abs(product);
                }
                const std::int64_t column = (head - first) * std::int64_t{datasets::head_width} + j;
                result.set(i * columns + column, sum, magnitude);
            }
        }
    }
}

}  // namespace

void oracle_rows(Op op, Rows rows, const LayerCase& layer, const Source& upstream, std::span<double> value,
                 std::span<double> magnitude) {
    const std::size_t size = elements_of(op, rows, layer.shape);
    if (value.size() != size || (!magnitude.empty() && magnitude.size() != size)) {
        throw std::invalid_argument("the spans for oracle rows have another size than the rows");
    }
    const Result result{value, magnitude};
    switch (op) {
        case Op::scores:
            return score(rows, layer, upstream, result);
        case Op::probabilities:
            return normalise(rows, layer, upstream, result);
        case Op::context:
            return mix(rows, layer, upstream, result);
        default:
            return project(op, rows, layer, upstream, result);
    }
}

}  // namespace reference
