#include "harness/data_statistics.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;

using datasets::head_width;

// First rows of the blocks that are looked at: four, evenly spread.
std::vector<std::int64_t> sampled_blocks(const datasets::LayerShape& shape) {
    std::set<std::int64_t> blocks;
    const std::int64_t last = shape.blocks() - 1;
    for (const std::int64_t quarter : {0, 1, 2, 3}) {
        blocks.insert(last * quarter / 3);
    }
    std::vector<std::int64_t> out;
    for (const std::int64_t block : blocks) {
        out.push_back(block * datasets::block_rows);
    }
    return out;
}

std::int64_t rows_at(const datasets::LayerShape& shape, std::int64_t begin) {
    return std::min(datasets::block_rows, shape.context - begin);
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + std::ssize(values) / 2;
    std::ranges::nth_element(values, middle);
    return *middle;
}

double distance(std::span<const float> a, std::span<const float> b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        sum += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
    }
    return std::sqrt(sum);
}

double norm(std::span<const float> a) {
    double sum = 0;
    for (const float x : a) {
        sum += double{x} * double{x};
    }
    return std::sqrt(sum);
}

double over(double value, double scale) {
    return scale > 0 ? value / scale : 0.0;
}

// What one row of logits says. `keys`: its scores; `lse`: its log sum exp.
void add_row(HeadStatistics& out, std::span<const float> keys, double lse, double& entropy) {
    constexpr std::size_t tile = 64;
    const double top{*std::ranges::max_element(keys)};
    const double lowest{*std::ranges::min_element(keys)};
    out.lowest_logit = std::min(out.lowest_logit, lowest);
    out.widest_row = std::max(out.widest_row, top - lowest);
    double mean = 0;
    double square = 0;
    double mass = 0;  // of the tiles before
    double running = -std::numeric_limits<double>::infinity();
    for (std::size_t first = 0; first < keys.size(); first += tile) {
        const auto part = keys.subspan(first, std::min(tile, keys.size() - first));
        const double tile_top{*std::ranges::max_element(part)};
        if (first > 0 && tile_top > running) {
            out.rescaled_share =
                std::max(out.rescaled_share, std::min(1.0, mass * std::expm1(tile_top - running)));
        }
        running = std::max(running, tile_top);
        for (const float score : part) {
            const double p = std::exp(double{score} - lse);
            mass += p;
            mean += p * double{score};
            square += p * double{score} * double{score};
        }
    }
    entropy += lse - mean;
    constexpr double scale_error = 7;  // 8 s instead of s
    out.scale_share = std::max(out.scale_share, scale_error * std::sqrt(std::max(0.0, square - mean * mean)));
    out.last_key_share = std::max(out.last_key_share, std::exp(double{keys.back()} - lse));
}

// The largest of any channel. `values`: [key, 64].
double slope_of(std::span<const float> keys, double lse, std::span<const float> values) {
    double mean = 0;
    for (const float score : keys) {
        mean += std::exp(double{score} - lse) * double{score};
    }
    std::array<double, head_width> change{};
    std::array<double, head_width> terms{};
    for (std::size_t k = 0; k < keys.size(); ++k) {
        const double p = std::exp(double{keys[k]} - lse);
        const double slope = p * (double{keys[k]} - mean);
        const float* value = values.data() + k * head_width;
        for (std::size_t c = 0; c < head_width; ++c) {
            change[c] += slope * double{value[c]};
            terms[c] += p * std::abs(double{value[c]});
        }
    }
    double out = 0;
    for (std::size_t c = 0; c < head_width; ++c) {
        out = std::max(out, over(std::abs(change[c]), terms[c]));
    }
    return out;
}

// From the statistics of all rows.
void add_maxima(HeadStatistics& out, const reference::RowStatistics& statistics,
                const datasets::LayerShape& shape) {
    const std::size_t first = index(out.head * shape.context);
    const double padded = double(shape.blocks() * datasets::block_rows - shape.context);
    std::vector<double> top;
    out.highest_logit = -std::numeric_limits<double>::infinity();
    out.lowest_row_max = std::numeric_limits<double>::infinity();
    for (std::size_t i = first; i < first + index(shape.context); ++i) {
        const double m{statistics.max[i]};
        const double lse{statistics.log_sum_exp[i]};
        top.push_back(std::exp(m - lse));
        out.highest_logit = std::max(out.highest_logit, m);
        out.lowest_row_max = std::min(out.lowest_row_max, m);
        out.negative_rows += m < 0 ? 1 / double(shape.context) : 0;
        if (padded > 0) {
            out.padding_share = std::max(out.padding_share, 1 / (1 + std::exp(lse - std::log(padded))));
        }
    }
    out.median_top_probability = median(std::move(top));
}

// Rows of context of the sampled blocks, one behind the other.
std::vector<float> sampled_context(const reference::GoldenSource& golden, const datasets::LayerShape& shape,
                                   int head) {
    std::vector<float> out;
    for (const std::int64_t begin : sampled_blocks(shape)) {
        std::vector<float> block(index(rows_at(shape, begin) * head_width));
        golden.rows(Op::context, {head, begin, rows_at(shape, begin)}, block);
        out.insert(out.end(), block.begin(), block.end());
    }
    return out;
}

// Norm of the mean |v| of a head. `values`: [key, 64].
double value_scale(std::span<const float> values) {
    std::vector<float> mean(index(head_width), 0.0F);
    const auto keys = static_cast<float>(values.size() / index(head_width));
    for (std::size_t i = 0; i < values.size(); ++i) {
        mean[i % index(head_width)] += std::abs(values[i]) / keys;
    }
    return norm(mean);
}

void add_differences(HeadStatistics& out, const reference::GoldenSource& golden,
                     const datasets::LayerShape& shape, std::span<const float> values) {
    const double scale = value_scale(values);
    const std::vector<float> rows = sampled_context(golden, shape, out.head);
    const std::vector<float> next = sampled_context(golden, shape, (out.head + 1) % shape.heads);
    const auto row = [&](std::int64_t i) {
        return std::span(rows).subspan(index(i * head_width), index(head_width));
    };
    out.neighbours = out.blocks = std::numeric_limits<double>::infinity();
    std::int64_t first = 0;
    for (const std::int64_t begin : sampled_blocks(shape)) {
        const std::int64_t count = rows_at(shape, begin);
        double adjacent = 0;
        double before = 0;
        for (std::int64_t i = first; i < first + count; ++i) {
            adjacent = std::max(adjacent, i > first ? distance(row(i), row(i - 1)) : 0.0);
            before = std::max(before, first > 0 ? distance(row(i), row(i - datasets::block_rows)) : 0.0);
            out.next_head = std::max(
                out.next_head,
                over(distance(row(i), std::span(next).subspan(index(i * head_width), index(head_width))),
                     scale));
        }
        out.neighbours = count > 1 ? std::min(out.neighbours, over(adjacent, scale)) : out.neighbours;
        out.blocks = first > 0 ? std::min(out.blocks, over(before, scale)) : out.blocks;
        first += count;
    }
    // A lone row, or block, has nobody to be exchanged with.
    out.neighbours = std::isinf(out.neighbours) ? 0 : out.neighbours;
    out.blocks = std::isinf(out.blocks) ? 0 : out.blocks;
}

HeadStatistics head_statistics(int head, const datasets::LayerShape& shape,
                               const reference::GoldenSource& golden) {
    HeadStatistics out;
    out.head = head;
    add_maxima(out, golden.row_statistics(), shape);
    double entropy = 0;
    std::int64_t rows = 0;
    std::vector<float> scores;
    std::vector<float> values(index(shape.context * head_width));
    golden.rows(Op::value, {head, 0, shape.context}, values);
    for (const std::int64_t begin : sampled_blocks(shape)) {
        const Rows block{head, begin, rows_at(shape, begin)};
        scores.resize(index(block.count * shape.context));
        golden.rows(Op::scores, block, scores);
        for (std::int64_t row = 0; row < block.count; ++row, ++rows) {
            const double lse{golden.row_statistics().log_sum_exp[index(head * shape.context + begin + row)]};
            const auto keys = std::span(scores).subspan(index(row * shape.context), index(shape.context));
            add_row(out, keys, lse, entropy);
            if (row % 8 == 0) {
                out.scale_slope = std::max(out.scale_slope, slope_of(keys, lse, values));
            }
        }
    }
    out.effective_keys = std::exp(entropy / double(rows));
    add_differences(out, golden, shape, values);
    return out;
}

void add_channels(LayerStatistics& out, std::span<const float> input, const datasets::LayerShape& shape) {
    std::vector<double> squares(index(shape.width()), 0.0);
    for (std::size_t i = 0; i < input.size(); ++i) {
        squares[i % squares.size()] += double{input[i]} * double{input[i]};
    }
    const double middle = median(squares);
    constexpr double outlier = 36;  // 6 squared
    for (const double square : squares) {
        out.outlier_channels += square > outlier * middle ? 1 : 0;
    }
    out.largest_channel = std::sqrt(over(std::ranges::max(squares), middle));
    const auto row = [&](std::int64_t i) {
        return input.subspan(index(i * shape.width()), index(shape.width()));
    };
    for (std::int64_t i = 0; i < shape.context / 2; ++i) {
        out.mirrored_rows =
            std::max(out.mirrored_rows, over(distance(row(i), row(shape.context - 1 - i)), norm(row(i))));
    }
}

double largest_bias_share(const reference::GoldenSource& golden, Op op, const std::vector<float>& bias) {
    const std::span<const float> result = golden.tensor(op);
    double out = 0;
    for (std::size_t i = 0; i < result.size(); ++i) {
        out = std::max(out, over(std::abs(double{bias[i % bias.size()]}), std::abs(double{result[i]})));
    }
    return out;
}

}  // namespace

LayerStatistics statistics_of(const datasets::LayerCase& layer, const reference::GoldenSource& golden) {
    LayerStatistics out;
    out.clip = layer.clip;
    out.layer = layer.layer;
    out.heads.resize(index(layer.shape.heads));
    tbb::parallel_for(0, layer.shape.heads,
                      [&](int head) { out.heads[index(head)] = head_statistics(head, layer.shape, golden); });
    add_channels(out, golden.tensor(Op::attention_norm), layer.shape);
    const datasets::AttentionWeights& weights = layer.weights.attention;
    out.smallest_bias = std::numeric_limits<double>::infinity();
    for (const auto& [op, linear] :
         {std::pair{Op::query, &weights.query}, {Op::value, &weights.value}, {Op::output, &weights.output}}) {
        if (!linear->bias.empty()) {
            out.smallest_bias = std::min(out.smallest_bias, largest_bias_share(golden, op, linear->bias));
        }
    }
    out.smallest_bias = std::isinf(out.smallest_bias) ? 0 : out.smallest_bias;
    return out;
}

}  // namespace harness
