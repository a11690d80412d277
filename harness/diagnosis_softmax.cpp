// Hypotheses about a softmax: which keys take part in it, how its logits are scaled, what is not rescaled.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/diagnosis_tile.hpp"
#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::head_width;
using datasets::Op;
using datasets::Rows;

// What the probabilities are multiplied by: the values, or, of probabilities alone, nothing.
struct Reader {
    const ErrorTile& tile;
    const JudgedBlock& block;
    std::vector<float> values;  // [key, 64], or empty

    Reader(const ErrorTile& of, const JudgedBlock& judged, std::int64_t keys) : tile(of), block(judged) {
        if (block.op == Op::context) {
            values.resize(index(keys * head_width));
            block.operands.rows(Op::value, {block.rows.head, 0, keys}, values);
        }
    }

    // The tile for weights [row, key] that a kernel divides by `sums` [row].
    [[nodiscard]] std::vector<double> result(const std::vector<double>& weights, std::int64_t keys,
                                             const std::vector<double>& sums) const {
        std::vector<double> out(tile.got.size());
        for (std::int64_t r = 0; r < tile.rows; ++r) {
            const double* row = weights.data() + r * keys;
            for (std::int64_t c = 0; c < tile.columns; ++c) {
                out[tile.at(r, c)] = values.empty() ? row[tile.first_column + c] / sums[index(r)] : 0;
            }
            for (std::int64_t k = 0; k < (values.empty() ? 0 : keys); ++k) {
                const double share = row[k] / sums[index(r)];
                for (std::int64_t c = 0; c < tile.columns; ++c) {
                    out[tile.at(r, c)] +=
                        share * double{values[index(k * head_width + tile.first_column + c)]};
                }
            }
        }
        return stored(block.arithmetic, std::move(out));
    }
};

// Keys [begin, end) take no part.
void suspect_missing_keys(Hypotheses& hypotheses, const Reader& reader, const SoftmaxRows& softmax,
                          std::int64_t begin, std::int64_t end) {
    if (end - begin == softmax.keys) {
        return;
    }
    std::vector<double> weights(softmax.logits.size());
    std::vector<double> sums;
    for (std::int64_t r = 0; r < reader.tile.rows; ++r) {
        // The largest logit may be among the missing.
        double largest = -std::numeric_limits<double>::infinity();
        const auto each_present = [&](const auto& visit) {
            for (std::int64_t k = 0; k < softmax.keys; ++k) {
                if (k < begin || k >= end) {
                    visit(index(r * softmax.keys + k));
                }
            }
        };
        each_present([&](std::size_t i) { largest = std::max(largest, softmax.logits[i]); });
        double sum = 0;
        each_present([&](std::size_t i) {
            weights[i] = std::exp(softmax.logits[i] - largest);
            sum += weights[i];
        });
        sums.push_back(sum);
    }
    hypotheses.add({Pattern::keys_missing,
                    fmt::format("keys {}-{} of {} take no part", begin, end - 1, softmax.keys),
                    reader.result(weights, softmax.keys, sums), 0});
}

// Which maximum a key tile is weighted by.
enum class Maximum : std::uint8_t { of_tile, so_far };

// Nothing is rescaled when a later tile of keys has a larger maximum: the sum, what it divides, or both.
void suspect_rescaling(Hypotheses& hypotheses, const Reader& reader, const SoftmaxRows& softmax,
                       Maximum kind) {
    const std::int64_t keys = softmax.keys;
    std::vector<double> weights(softmax.logits.size());
    std::vector<double> sums;
    for (std::int64_t r = 0; r < reader.tile.rows; ++r) {
        const std::span logits(softmax.logits.data() + r * keys, index(keys));
        double maximum = -std::numeric_limits<double>::infinity();
        double sum = 0;
        for (std::int64_t begin = 0; begin < keys; begin += datasets::block_rows) {
            const auto tile =
                logits.subspan(index(begin), index(std::min(datasets::block_rows, keys - begin)));
            const double of_tile = std::ranges::max(tile);
            maximum = kind == Maximum::of_tile ? of_tile : std::max(maximum, of_tile);
            for (std::size_t k = 0; k < tile.size(); ++k) {
                const double weight = std::exp(tile[k] - maximum);
                weights[index(r * keys + begin) + k] = weight;
                sum += weight;
            }
        }
        sums.push_back(sum);
    }
    const auto add = [&](std::string_view what, const std::vector<double>& numerators,
                         const std::vector<double>& denominators) {
        hypotheses.add({Pattern::rescale_missing,
                        fmt::format("{} not rescaled: every 64 keys are weighted by {}", what,
                                    kind == Maximum::of_tile ? "their own maximum" : "the maximum so far"),
                        reader.result(numerators, keys, denominators), 0});
    };
    add("sum and result are", weights, sums);
    add("the sum is", softmax.weights, sums);
    add("the result is", weights, softmax.sums);
}

}  // namespace

SoftmaxRows softmax_rows(const JudgedBlock& block, const Scene& scene, double logit_factor) {
    SoftmaxRows out;
    out.keys = scene.shape.context;
    const std::int64_t rows = block.rows.count;
    if (block.fused) {
        std::vector<float> query(index(rows * head_width));
        std::vector<float> key(index(out.keys * head_width));
        block.operands.rows(Op::query, block.rows, query);
        block.operands.rows(Op::key, {block.rows.head, 0, out.keys}, key);
        out.logits.resize(index(rows * out.keys));
        for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t k = 0; k < out.keys; ++k) {
                double sum = 0;
                for (std::int64_t d = 0; d < head_width; ++d) {
                    sum += double{query[index(r * head_width + d)]} * double{key[index(k * head_width + d)]};
                }
                out.logits[index(r * out.keys + k)] = sum / 8;
            }
        }
    } else {
        std::vector<float> scores(index(rows * out.keys));
        block.operands.rows(Op::scores, block.rows, scores);
        out.logits.assign(scores.begin(), scores.end());
    }
    out.weights = out.logits;
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::span row(out.weights.data() + r * out.keys, index(out.keys));
        std::ranges::for_each(row, [&](double& v) { v *= logit_factor; });
        const double largest = std::ranges::max(row);
        double sum = 0;
        for (double& value : row) {
            value = std::exp(value - largest);
            sum += value;
        }
        out.largest.push_back(largest);
        out.sums.push_back(sum);
    }
    return out;
}

void suspect_softmax(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                     const Scene& scene) {
    if (block.op != Op::probabilities && !(block.op == Op::context && block.fused)) {
        return;
    }
    const std::int64_t side = datasets::block_rows;
    const SoftmaxRows softmax = softmax_rows(block, scene, 1);
    const Reader reader(tile, block, softmax.keys);
    const std::int64_t pads = (softmax.keys + side - 1) / side * side - softmax.keys;
    if (pads > 0) {
        std::vector<double> weights = softmax.weights;
        std::vector<double> sums = softmax.sums;
        double share = 0;
        for (std::int64_t r = 0; r < tile.rows; ++r) {
            // A padded key is zero, and so is its logit, which may be the largest.
            const double largest = std::max(softmax.largest[index(r)], 0.0);
            const double shift = std::exp(softmax.largest[index(r)] - largest);
            const double pad = std::exp(-largest);
            for (std::int64_t k = 0; k < softmax.keys; ++k) {
                weights[index(r * softmax.keys + k)] *= shift;
            }
            sums[index(r)] = sums[index(r)] * shift + static_cast<double>(pads) * pad;
            share = std::max(share, static_cast<double>(pads) * pad / sums[index(r)]);
        }
        hypotheses.add(
            {Pattern::padding_unmasked,
             fmt::format("the {} padded keys take part, up to {:.3g} of a row's probability", pads, share),
             reader.result(weights, softmax.keys, sums), 0});
    }
    suspect_missing_keys(hypotheses, reader, softmax, softmax.keys - 1, softmax.keys);
    for (std::int64_t begin = 0; softmax.keys > side && begin < softmax.keys; begin += side) {
        suspect_missing_keys(hypotheses, reader, softmax, begin, std::min(begin + side, softmax.keys));
    }
    for (const Maximum kind : {Maximum::of_tile, Maximum::so_far}) {
        suspect_rescaling(hypotheses, reader, softmax, kind);
    }
    for (const double factor : {8.0, 0.125}) {
        const SoftmaxRows other = softmax_rows(block, scene, factor);
        hypotheses.add({Pattern::scale,
                        fmt::format("the logits are {} times what they should be: the scale 1/8 {}", factor,
                                    factor > 1 ? "is missing" : "was applied twice"),
                        reader.result(other.weights, other.keys, other.sums), 0});
    }
}

}  // namespace harness
