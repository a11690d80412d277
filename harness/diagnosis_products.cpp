// Hypotheses about the products behind an element: what was left out of the sum, added twice, rounded
// otherwise or taken from elsewhere.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "datasets/op_weights.hpp"
#include "harness/diagnosis_tile.hpp"
#include "harness/index.hpp"
#include "harness/rounding_habit.hpp"

namespace harness {
namespace {

using datasets::head_width;
using datasets::LayerCase;
using datasets::Op;
using datasets::Rounding;
using datasets::Rows;
using datasets::Source;

constexpr std::int64_t vmac_width = 8;

// Both factors of a tile: result = (left right + bias) scale.
struct Factors {
    std::int64_t rows = 0;
    std::int64_t length = 0;
    std::int64_t columns = 0;
    std::vector<double> left;   // [row, k]
    std::vector<double> right;  // [k, column]
    std::vector<double> bias;   // [column], or empty
    double scale = 1;
};

std::vector<double> pulled(const Source& source, Op op, Rows rows, std::int64_t columns) {
    std::vector<float> narrow(index(rows.count * columns));
    source.rows(op, rows, narrow);
    return {narrow.begin(), narrow.end()};
}

// First column of the tile within the rows of all heads.
std::int64_t column_of(const ErrorTile& tile, const JudgedBlock& block) {
    return std::max(block.rows.head, 0) * std::int64_t{head_width} + tile.first_column;
}

Factors weight_factors(const ErrorTile& tile, const JudgedBlock& block, const LayerCase& layer,
                       const Source& operands, std::int64_t length) {
    const datasets::Linear& linear = *datasets::linear_of(layer.weights, block.op);
    Factors out{tile.rows, length, tile.columns, {}, std::vector<double>(index(length * tile.columns)), {}};
    out.left = pulled(operands, datasets::info(block.op).inputs.front(), {-1, block.rows.begin, tile.rows},
                      out.length);
    for (std::int64_t c = 0; c < tile.columns; ++c) {
        const std::int64_t row = column_of(tile, block) + c;
        for (std::int64_t k = 0; k < length; ++k) {
            out.right[index(k * tile.columns + c)] = linear.weight[index(row * length + k)];
        }
        if (!linear.bias.empty()) {
            out.bias.push_back(linear.bias[index(row)]);
        }
    }
    return out;
}

// Scores of one head's query with another's key, context of one head's probabilities with another's value.
Factors head_factors(const ErrorTile& tile, const JudgedBlock& block, const Scene& scene, int right_head) {
    const Rows rows{block.rows.head, block.rows.begin, tile.rows};
    if (block.op == Op::scores) {
        Factors out{tile.rows, head_width, tile.columns, {}, {}, {}, 0.125};
        out.left = pulled(block.operands, Op::query, rows, head_width);
        const auto keys =
            pulled(block.operands, Op::key, {right_head, tile.first_column, tile.columns}, head_width);
        out.right.resize(keys.size());
        for (std::int64_t c = 0; c < tile.columns; ++c) {
            for (std::int64_t k = 0; k < head_width; ++k) {
                out.right[index(k * tile.columns + c)] = keys[index(c * head_width + k)];
            }
        }
        return out;
    }
    const std::int64_t keys = scene.shape.context;
    Factors out{tile.rows, keys, tile.columns, {}, {}, {}};
    if (block.fused) {
        SoftmaxRows softmax = softmax_rows(block, scene, 1);
        out.left = std::move(softmax.weights);
        for (std::int64_t r = 0; r < tile.rows; ++r) {
            for (std::int64_t k = 0; k < keys; ++k) {
                out.left[index(r * keys + k)] /= softmax.sums[index(r)];
            }
        }
    } else {
        out.left = pulled(block.operands, Op::probabilities, rows, keys);
    }
    out.right = pulled(block.operands, Op::value, {right_head, 0, keys}, head_width);
    return out;
}

// One slice of the sum, without bias and scale.
std::vector<double> slice(const Factors& f, std::int64_t begin, std::int64_t end) {
    std::vector<double> out(index(f.rows * f.columns));
    for (std::int64_t r = 0; r < f.rows; ++r) {
        for (std::int64_t k = begin; k < end; ++k) {
            const double a = f.left[index(r * f.length + k)];
            for (std::int64_t c = 0; c < f.columns; ++c) {
                out[index(r * f.columns + c)] += a * f.right[index(k * f.columns + c)];
            }
        }
    }
    return out;
}

// The whole result, before the store.
std::vector<double> product(const Factors& f) {
    std::vector<double> out = slice(f, 0, f.length);
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = (out[i] + (f.bias.empty() ? 0 : f.bias[i % index(f.columns)])) * f.scale;
    }
    return out;
}

// `base` + `factor` x `part`, element by element.
std::vector<double> sum(std::vector<double> base, double factor, const std::vector<double>& part) {
    for (std::size_t i = 0; i < base.size(); ++i) {
        base[i] += factor * part[i];
    }
    return base;
}

void suspect_bias(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block, const Factors& f) {
    if (f.bias.empty()) {
        return;
    }
    std::vector<double> bias;
    for (std::int64_t r = 0; r < tile.rows; ++r) {
        bias.insert(bias.end(), f.bias.begin(), f.bias.end());
    }
    const double largest = std::ranges::max(f.bias, {}, [](double b) { return std::abs(b); });
    hypotheses.add({Pattern::bias_missing, fmt::format("the bias (largest {:.4g}) is missing", largest),
                    stored(block.arithmetic, sum(tile.expected, -1, bias)), 0});
    hypotheses.add({Pattern::bias_doubled, fmt::format("the bias (largest {:.4g}) came twice", largest),
                    stored(block.arithmetic, sum(tile.expected, 1, bias)), 0});
}

// Slices of `width` products: left out, or taken twice; and running sums kept as bf16 between them.
void suspect_slices(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block, const Factors& f,
                    std::int64_t width) {
    std::array<std::vector<double>, 2> running;
    running.fill(std::vector<double>(tile.got.size()));
    for (std::int64_t begin = 0; begin < f.length; begin += width) {
        const std::int64_t end = std::min(begin + width, f.length);
        const std::vector<double> part = slice(f, begin, end);
        const std::string which = fmt::format("products {}-{} of {}", begin, end - 1, f.length);
        hypotheses.add({Pattern::k_slice_missing, which + " are missing",
                        stored(block.arithmetic, sum(tile.expected, -f.scale, part)), 0});
        hypotheses.add({Pattern::k_slice_repeated, which + " came twice",
                        stored(block.arithmetic, sum(tile.expected, f.scale, part)), 0});
        for (const Rounding rounding : {Rounding::nearest_even, Rounding::floor}) {
            std::vector<double>& sums = running[rounding == Rounding::floor ? 1 : 0];
            for (std::size_t i = 0; i < sums.size(); ++i) {
                if (begin == 0 && !f.bias.empty()) {
                    sums[i] = f.bias[i % index(f.columns)];
                }
                sums[i] = datasets::round_to_bf16(static_cast<float>(sums[i] + part[i]), rounding);
            }
        }
    }
    for (std::size_t i = 0; i < running.size() && f.length > width; ++i) {
        std::ranges::for_each(running[i], [&](double& v) { v *= f.scale; });
        hypotheses.add({Pattern::narrow_sums,
                        fmt::format("the running sum is rounded to bf16 by {} every {} products",
                                    datasets::name(i == 0 ? Rounding::nearest_even : Rounding::floor), width),
                        stored(block.arithmetic, std::move(running[i])), 0});
    }
}

// Square tiles of the right factor, one at a time the other way round.
void suspect_operand_tiles(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                           const Factors& f) {
    const std::int64_t side = datasets::block_rows;
    for (std::int64_t begin = 0; f.columns == side && begin + side <= f.length; begin += side) {
        Factors turned = f;
        for (std::int64_t k = 0; k < side; ++k) {
            for (std::int64_t c = 0; c < side; ++c) {
                turned.right[index((begin + k) * side + c)] = f.right[index((begin + c) * side + k)];
            }
        }
        const std::vector<double> change =
            sum(slice(turned, begin, begin + side), -1, slice(f, begin, begin + side));
        hypotheses.add({Pattern::operand_tile_transposed,
                        fmt::format("the 64x64 tile {} of the right factor is transposed", begin / side),
                        stored(block.arithmetic, sum(tile.expected, f.scale, change)), 0});
    }
}

void suspect_operand_rounding(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                              const Scene& scene, const Factors& declared) {
    const Factors raw = weight_factors(tile, block, *scene.piece.layer, block.upstream, declared.length);
    const auto rounded = [](const Habit& habit, std::vector<double> values) {
        round_as(habit, values);
        return values;
    };
    const auto suspect = [&](const Habit& habit, std::string_view which, const Factors& factors) {
        hypotheses.add({Pattern::operand_rounding, fmt::format("{} {}", which, habit.name),
                        stored(block.arithmetic, product(factors)), 0});
    };
    for (const Habit& habit : habits) {
        if (is_declared(habit, block.arithmetic)) {
            continue;
        }
        Factors rows = declared;
        rows.left = rounded(habit, raw.left);
        suspect(habit, "rows are", rows);
        Factors weights = declared;
        weights.right = rounded(habit, raw.right);
        suspect(habit, "weights are", weights);
        if (!raw.bias.empty()) {
            Factors bias = declared;
            bias.bias = rounded(habit, raw.bias);
            suspect(habit, "the bias is", bias);
            weights.bias = bias.bias;
            suspect(habit, "weights and bias are", weights);
        }
        weights.left = rows.left;
        suspect(habit, raw.bias.empty() ? "rows and weights are" : "rows, weights and bias are", weights);
    }
}

void suspect_transposed_weights(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                                const Scene& scene, Factors f) {
    const std::vector<float>& weight = datasets::linear_of(scene.rounded.layer->weights, block.op)->weight;
    for (std::int64_t k = 0; k < f.length; ++k) {
        for (std::int64_t c = 0; c < f.columns; ++c) {
            f.right[index(k * f.columns + c)] =
                weight[index(k * (std::int64_t(weight.size()) / f.length) + column_of(tile, block) + c)];
        }
    }
    hypotheses.add({Pattern::weights_transposed, "weights are read as [in, out], they are [out, in]",
                    stored(block.arithmetic, product(f)), 0});
}

void suspect_other_heads(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                         const Scene& scene) {
    for (int head = 0; head < scene.shape.heads; ++head) {
        if (head != block.rows.head) {
            hypotheses.add(
                {Pattern::operand_of_other_head,
                 fmt::format("{} is that of head {}", block.op == Op::scores ? "key" : "value", head),
                 stored(block.arithmetic, product(head_factors(tile, block, scene, head))), 0});
        }
    }
}

}  // namespace

void suspect_products(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                      const Scene& scene) {
    if (scene.piece.layer == nullptr) {
        return;
    }
    const bool of_weights = datasets::linear_of(scene.rounded.layer->weights, block.op) != nullptr;
    if (!of_weights && block.op != Op::scores && block.op != Op::context) {
        return;
    }
    const std::int64_t length = datasets::info(block.op).reduction(scene.shape);
    const Factors f = of_weights ? weight_factors(tile, block, *scene.rounded.layer, block.operands, length)
                                 : head_factors(tile, block, scene, block.rows.head);
    suspect_bias(hypotheses, tile, block, f);
    suspect_slices(hypotheses, tile, block, f, datasets::block_rows);
    suspect_slices(hypotheses, tile, block, f, vmac_width);
    suspect_operand_tiles(hypotheses, tile, block, f);
    if (of_weights) {
        suspect_operand_rounding(hypotheses, tile, block, scene, f);
        suspect_transposed_weights(hypotheses, tile, block, scene, f);
    } else {
        suspect_other_heads(hypotheses, tile, block, scene);
    }
}

}  // namespace harness
