#include "harness/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "harness/diagnosis_tile.hpp"
#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rounding;
using datasets::Rows;

constexpr std::array<std::string_view, 40> names{"unwritten",
                                                 "nonfinite",
                                                 "nonfinite_operand",
                                                 "not_repeated",
                                                 "zeros",
                                                 "constant",
                                                 "golden_copy",
                                                 "store_rounding",
                                                 "rows_shifted",
                                                 "columns_shifted",
                                                 "transposed_tile",
                                                 "blocked_layout",
                                                 "bias_missing",
                                                 "bias_doubled",
                                                 "norm_formula",
                                                 "scale",
                                                 "padding_unmasked",
                                                 "keys_missing",
                                                 "rescale_missing",
                                                 "k_slice_missing",
                                                 "k_slice_repeated",
                                                 "narrow_sums",
                                                 "operand_rounding",
                                                 "weights_transposed",
                                                 "operand_tile_transposed",
                                                 "operand_of_other_head",
                                                 "emitted_otherwise",
                                                 "head_swapped",
                                                 "stale_tile",
                                                 "misplaced_tile",
                                                 "rows_reordered",
                                                 "columns_reordered",
                                                 "elements_reordered",
                                                 "gain",
                                                 "row_gain",
                                                 "column_bias",
                                                 "inherited",
                                                 "declared_arithmetic",
                                                 "unrelated",
                                                 "unknown"};
static_assert(names.size() == static_cast<std::size_t>(Pattern::unknown) + 1);

// Elements of the tile that are outside their bound.
std::int64_t failing(const ErrorTile& tile) {
    std::int64_t count = 0;
    for (std::size_t i = 0; i < tile.got.size(); ++i) {
        count += outside(tile, i) ? 1 : 0;
    }
    return count;
}

void suspect_constants(Hypotheses& hypotheses, const ErrorTile& tile) {
    Prediction zeros{Pattern::zeros, "", tile.right, 0};
    std::int64_t first = tile.rows;
    std::int64_t last = 0;
    std::int64_t count = 0;
    for (std::int64_t row = 0; row < tile.rows; ++row) {
        for (std::int64_t column = 0; column < tile.columns; ++column) {
            const std::size_t i = tile.at(row, column);
            if (tile.got[i] == 0 && outside(tile, i)) {
                zeros.values[i] = 0;
                first = std::min(first, row);
                last = row;
                ++count;
            }
        }
    }
    zeros.text = fmt::format("{} of {} failing elements are exactly zero, rows {}-{} of the tile", count,
                             failing(tile), first, last);
    hypotheses.add(zeros);
    const auto [least, most] = std::ranges::minmax(tile.got);
    if (least == most && tile.got.size() > 1 && least != 0) {
        hypotheses.add({Pattern::constant, fmt::format("every element of the tile is {:.6g}", least),
                        std::vector<double>(tile.got.size(), least), 0});
    }
}

// All but 1 of 100 elements have the golden's bits, those that are zero left aside.
void suspect_golden(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block) {
    Prediction prediction{Pattern::golden_copy, "", tile.right, 0};
    std::int64_t same = 0;
    std::int64_t count = 0;
    for (std::int64_t row = 0; row < tile.rows; ++row) {
        for (std::int64_t column = 0; column < tile.columns; ++column) {
            const std::size_t i = tile.at(row, column);
            const float golden =
                block.golden[index(row * block.expected.columns + tile.first_column + column)];
            prediction.values[i] = golden;
            count += golden != 0 ? 1 : 0;
            same += golden != 0 && tile.got[i] == double{golden} ? 1 : 0;
        }
    }
    if (count > 0 && 100 * same >= 99 * count) {
        prediction.text = fmt::format(
            "{} of {} elements have the golden's own fp32 bits: computed on the CPU, or copied", same, count);
        hypotheses.add(prediction);
    }
}

void suspect_store(Hypotheses& hypotheses, const ErrorTile& tile, const datasets::Arithmetic& declared) {
    for (const Rounding rounding : {Rounding::nearest_even, Rounding::toward_zero, Rounding::floor}) {
        datasets::Arithmetic other = declared;
        other.store = datasets::DType::bf16;
        other.store_rounding = rounding;
        if (declared.store == datasets::DType::bf16 && declared.store_rounding == rounding) {
            continue;
        }
        Prediction prediction{Pattern::store_rounding, "", stored(other, tile.expected), 0};
        std::int64_t same = 0;
        for (std::size_t i = 0; i < tile.got.size(); ++i) {
            same += tile.got[i] == prediction.values[i] ? 1 : 0;
        }
        prediction.text = fmt::format("{} of {} elements are the fp64 result stored as bf16 by {}", same,
                                      tile.got.size(), datasets::name(rounding));
        hypotheses.add(prediction);
    }
    if (declared.store == datasets::DType::bf16) {
        datasets::Arithmetic wide = declared;
        wide.store = datasets::DType::f32;
        hypotheses.add({Pattern::store_rounding, "the results are stored as fp32 where bf16 is declared",
                        stored(wide, tile.expected), 0});
    }
}

void suspect_gain(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block) {
    double product = 0;
    double energy = 0;
    for (std::size_t i = 0; i < tile.got.size(); ++i) {
        product += tile.got[i] * tile.right[i];
        energy += tile.right[i] * tile.right[i];
    }
    const double factor = energy > 0 ? product / energy : 0;
    const bool eightfold = std::abs(factor - 8) < 0.08 || std::abs(factor - 0.125) < 0.00125;
    Prediction prediction{eightfold && block.op == Op::scores ? Pattern::scale : Pattern::gain,
                          fmt::format("the tile is {:.5g} times what it should be", factor), tile.expected,
                          1};
    if (prediction.pattern == Pattern::scale) {
        prediction.text += factor > 1 ? ": the scale 1/8 is missing" : ": the scale 1/8 was applied twice";
    }
    std::ranges::for_each(prediction.values, [&](double& v) { v = stored(block.arithmetic, factor * v); });
    hypotheses.add(prediction);
}

// One constant per column, or one factor per row.
void suspect_fits(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block) {
    Prediction columns{Pattern::column_bias, "", tile.expected, tile.columns};
    double largest = 0;
    for (std::int64_t c = 0; c < tile.columns; ++c) {
        double sum = 0;
        for (std::int64_t r = 0; r < tile.rows; ++r) {
            sum += tile.got[tile.at(r, c)] - tile.expected[tile.at(r, c)];
        }
        const double mean = sum / static_cast<double>(tile.rows);
        largest = std::abs(mean) > std::abs(largest) ? mean : largest;
        for (std::int64_t r = 0; r < tile.rows; ++r) {
            columns.values[tile.at(r, c)] = stored(block.arithmetic, columns.values[tile.at(r, c)] + mean);
        }
    }
    columns.text = fmt::format("each column is off by a constant, the largest {:.4g}", largest);
    hypotheses.add(columns);
    Prediction rows{Pattern::row_gain, "", tile.expected, tile.rows};
    double least = std::numeric_limits<double>::infinity();
    double most = -least;
    for (std::int64_t r = 0; r < tile.rows; ++r) {
        double product = 0;
        double energy = 0;
        for (std::int64_t c = 0; c < tile.columns; ++c) {
            product += tile.got[tile.at(r, c)] * tile.right[tile.at(r, c)];
            energy += tile.right[tile.at(r, c)] * tile.right[tile.at(r, c)];
        }
        const double factor = energy > 0 ? product / energy : 1;
        least = std::min(least, factor);
        most = std::max(most, factor);
        for (std::int64_t c = 0; c < tile.columns; ++c) {
            rows.values[tile.at(r, c)] = stored(block.arithmetic, factor * rows.values[tile.at(r, c)]);
        }
    }
    rows.text = fmt::format("each row is off by a factor, {:.4g} to {:.4g}", least, most);
    hypotheses.add(rows);
}

// Correlation of what came with what was expected, each less its mean.
double correlation(const ErrorTile& tile) {
    const auto mean = [](const std::vector<double>& values) {
        double sum = 0;
        for (const double value : values) {
            sum += value;
        }
        return sum / static_cast<double>(values.size());
    };
    const double a = mean(tile.got);
    const double b = mean(tile.right);
    double product = 0;
    double first = 0;
    double second = 0;
    for (std::size_t i = 0; i < tile.got.size(); ++i) {
        product += (tile.got[i] - a) * (tile.right[i] - b);
        first += (tile.got[i] - a) * (tile.got[i] - a);
        second += (tile.right[i] - b) * (tile.right[i] - b);
    }
    return first > 0 && second > 0 ? product / std::sqrt(first * second) : 0;
}

Diagnosis finite_diagnosis(const JudgedBlock& block, const ErrorTile& tile, const Scene& scene) {
    Hypotheses hypotheses(tile);
    suspect_constants(hypotheses, tile);
    suspect_golden(hypotheses, tile, block);
    suspect_store(hypotheses, tile, block.arithmetic);
    suspect_places(hypotheses, tile, block, scene);
    suspect_order(hypotheses, tile);
    suspect_norm(hypotheses, tile, block, scene);
    suspect_products(hypotheses, tile, block, scene);
    suspect_softmax(hypotheses, tile, block, scene);
    suspect_gain(hypotheses, tile, block);
    suspect_fits(hypotheses, tile, block);
    Diagnosis out = hypotheses.best();
    const double likeness = correlation(tile);
    if (out.pattern == Pattern::unknown && std::abs(likeness) < 0.2 && tile.got.size() > 64) {
        out = {Pattern::unrelated, 0,
               fmt::format("what came resembles nothing known (correlation {:.3f}): other weights, another "
                           "layer or clip, or garbage",
                           likeness),
               0, 0};
    }
    return out;
}

// The first operand of the block that is not finite, as its name; empty where there is none.
std::string nonfinite_operand(const JudgedBlock& block, const Scene& scene) {
    for (const OperandRows& operand : operand_rows(block, scene.shape)) {
        std::vector<float> values(index(operand.rows.count * operand.columns));
        block.operands.rows(operand.op, operand.rows, values);
        const auto bad = std::ranges::count_if(values, [](float v) { return !std::isfinite(v); });
        if (bad > 0) {
            return fmt::format("it reads {} elements of {} that are NaN or infinite", bad,
                               datasets::name(operand.op));
        }
    }
    return {};
}

Diagnosis nonfinite_diagnosis(const JudgedBlock& block, const Scene& scene) {
    const OpStatistics& s = scene.statistics;
    // First: a NaN that was read comes out with the same bits as the poison.
    if (std::string source = nonfinite_operand(block, scene); !source.empty()) {
        return {Pattern::nonfinite_operand, 1, std::move(source), 0, 0};
    }
    if (s.poisoned > 0) {
        return {Pattern::unwritten, 1,
                fmt::format("{} elements still hold what the buffer was filled with before the launch, {} of "
                            "{} blocks",
                            s.poisoned, s.damage ? s.damage->blocks : 0, s.blocks_expected),
                0, 0};
    }
    return {Pattern::nonfinite, 1,
            fmt::format("{} elements are NaN or infinite, and no operand is: the op itself makes them",
                        s.nonfinite),
            0, 0};
}

}  // namespace

std::string_view name(Pattern pattern) {
    return names[static_cast<std::size_t>(pattern)];
}

std::optional<Pattern> parse_pattern(std::string_view text) {
    const auto found = std::ranges::find(names, text);
    return found == names.end() ? std::nullopt : std::optional(Pattern(found - names.begin()));
}

std::optional<Diagnosis> diagnose(const JudgedBlock& block, const Scene& scene) {
    std::int64_t column = 0;
    if (const auto& damage = scene.statistics.damage) {
        column = damage->worst.column / datasets::block_rows * datasets::block_rows;
    }
    const ErrorTile tile = error_tile(block, column);
    Diagnosis out;
    const auto broken = [](double v) { return !std::isfinite(v); };
    // What is due is not finite where an operand is not, whatever came.
    if (std::ranges::any_of(tile.got, broken) || std::ranges::any_of(tile.expected, broken)) {
        out = nonfinite_diagnosis(block, scene);
    } else if (scene.statistics.outside > 0 && failing(tile) == 0) {
        out = {Pattern::not_repeated, 1, "run again, the same tile is right: the fault comes and goes", 0, 0};
    } else if (scene.statistics.outside == 0) {
        // Every element is within its bound: all that may be wrong is how it was rounded.
        Hypotheses hypotheses(tile);
        suspect_store(hypotheses, tile, block.arithmetic);
        out = hypotheses.best();
        if (out.pattern == Pattern::unknown) {
            return std::nullopt;
        }
    } else {
        out = finite_diagnosis(block, tile, scene);
    }
    out.tile_row = block.rows.block();
    out.tile_column = column / datasets::block_rows;
    return out;
}

}  // namespace harness
