// Hypotheses about the order of right results within the tile: rows or columns exchanged, the blocks of a
// vector unit not undone, or any other order.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "harness/diagnosis_tile.hpp"
#include "harness/index.hpp"

namespace harness {
namespace {

enum class Axis : std::uint8_t { rows, columns };

// Element `along` of line `line` of the tile.
std::size_t at(const ErrorTile& tile, Axis axis, std::int64_t line, std::int64_t along) {
    return axis == Axis::rows ? tile.at(line, along) : tile.at(along, line);
}

// Each line holds what belongs to the line that it resembles most: one number fitted per line that moved.
void suspect_lines(Hypotheses& hypotheses, const ErrorTile& tile, Axis axis) {
    const std::int64_t lines = axis == Axis::rows ? tile.rows : tile.columns;
    const std::int64_t length = axis == Axis::rows ? tile.columns : tile.rows;
    Prediction prediction{axis == Axis::rows ? Pattern::rows_reordered : Pattern::columns_reordered, "",
                          tile.right, 0};
    std::int64_t& moved = prediction.parameters;
    std::int64_t first = 0;
    std::int64_t first_from = 0;
    for (std::int64_t line = 0; line < lines; ++line) {
        const auto distance = [&](std::int64_t other) {
            double sum = 0;
            for (std::int64_t k = 0; k < length; ++k) {
                const double d = tile.got[at(tile, axis, line, k)] - tile.right[at(tile, axis, other, k)];
                sum += d * d;
            }
            return sum;
        };
        std::int64_t from = line;  // where others are as near
        double least = distance(line);
        for (std::int64_t other = 0; other < lines; ++other) {
            if (const double d = distance(other); d < least) {
                least = d;
                from = other;
            }
        }
        if (from == line) {
            continue;
        }
        if (moved++ == 0) {
            first = line;
            first_from = from;
        }
        for (std::int64_t k = 0; k < length; ++k) {
            prediction.values[at(tile, axis, line, k)] = tile.right[at(tile, axis, from, k)];
        }
    }
    const std::string_view name = axis == Axis::rows ? "row" : "column";
    prediction.text = fmt::format("{} of {} {}s hold what belongs to another, first {} {} that of {}", moved,
                                  lines, name, name, first, first_from);
    hypotheses.add(prediction);
}

// Blocks of a vector unit's products.
struct BlockShape {
    std::int64_t rows;
    std::int64_t columns;
};
constexpr std::array<BlockShape, 6> block_shapes{{{4, 4}, {4, 8}, {8, 4}, {8, 8}, {2, 8}, {16, 4}}};

// The place, row by row, in a tile of 64 x 64 of the element that belongs to (row, column), if blocks lie one
// behind the other.
std::int64_t blocked(BlockShape shape, Axis order, std::int64_t row, std::int64_t column) {
    constexpr std::int64_t side = datasets::block_rows;
    const std::int64_t down = row / shape.rows;
    const std::int64_t across = column / shape.columns;
    const std::int64_t block =
        order == Axis::rows ? down * (side / shape.columns) + across : across * (side / shape.rows) + down;
    return block * shape.rows * shape.columns + row % shape.rows * shape.columns + column % shape.columns;
}

// Of a ragged tile, what came from padding is not predicted.
void suspect_blocks(Hypotheses& hypotheses, const ErrorTile& tile, BlockShape shape, Axis order) {
    const std::string text =
        fmt::format("as blocks of {}x{}, {} by {}", shape.rows, shape.columns,
                    order == Axis::rows ? "row" : "column", order == Axis::rows ? "row" : "column");
    const std::vector<double> nothing(tile.got.size(), std::numeric_limits<double>::quiet_NaN());
    Prediction kept{Pattern::blocked_layout, "the tile lies " + text + ", not row by row", nothing, 0};
    Prediction undone{Pattern::blocked_layout, "the tile is row by row, but was read " + text, nothing, 0};
    for (std::int64_t row = 0; row < tile.rows; ++row) {
        for (std::int64_t column = 0; column < tile.columns; ++column) {
            const std::int64_t place = blocked(shape, order, row, column);
            const std::int64_t other_row = place / datasets::block_rows;
            const std::int64_t other_column = place % datasets::block_rows;
            if (other_row < tile.rows && other_column < tile.columns) {
                const std::size_t here = tile.at(row, column);
                const std::size_t there = tile.at(other_row, other_column);
                kept.values[there] = tile.right[here];
                undone.values[here] = tile.right[there];
            }
        }
    }
    hypotheses.add(kept);
    hypotheses.add(undone);
}

// The elements outside their bound hold each other's values: in the order of their size, all but 1 of 100 of
// what came lie within the bound of what is right.
void suspect_any_order(Hypotheses& hypotheses, const ErrorTile& tile) {
    std::vector<std::size_t> wrong;
    for (std::size_t i = 0; i < tile.got.size(); ++i) {
        if (outside(tile, i)) {
            wrong.push_back(i);
        }
    }
    const auto ranked = [&](const std::vector<double>& values) {
        std::vector<std::size_t> order = wrong;
        std::ranges::stable_sort(order, {}, [&](std::size_t i) { return values[i]; });
        return order;
    };
    const std::vector<std::size_t> came = ranked(tile.got);
    const std::vector<std::size_t> due = ranked(tile.right);
    Prediction prediction{Pattern::elements_reordered, "", tile.right, 0};
    std::int64_t same = 0;
    for (std::size_t rank = 0; rank < wrong.size(); ++rank) {
        const double value = tile.right[due[rank]];
        prediction.values[came[rank]] = value;
        same += std::abs(tile.got[came[rank]] - value) <= tile.bound[due[rank]] ? 1 : 0;
    }
    if (100 * same >= 99 * std::ssize(wrong)) {
        prediction.text =
            fmt::format("{} of {} wrong elements hold the right values of others", same, wrong.size());
        hypotheses.add(prediction);
    }
}

}  // namespace

void suspect_order(Hypotheses& hypotheses, const ErrorTile& tile) {
    for (const Axis axis : {Axis::rows, Axis::columns}) {
        suspect_lines(hypotheses, tile, axis);
        for (const BlockShape shape : block_shapes) {
            suspect_blocks(hypotheses, tile, shape, axis);
        }
    }
    suspect_any_order(hypotheses, tile);
}

}  // namespace harness
