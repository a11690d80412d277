// Hypotheses about the order of right results within the tile: rows or columns exchanged, the blocks of a
// vector unit not undone, or any other order.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "harness/diagnosis_tile.hpp"
#include "harness/index.hpp"

namespace harness {
namespace {

enum class Axis : std::uint8_t { rows, columns };

// Element `along` of line `line` of the tile.
std::size_t at(const ErrorTile& tile, Axis axis, std::int64_t line, std::int64_t along) {
    return axis == Axis::rows ? tile.at(line, along) : tile.at(along, line);
}

// Each line holds what belongs to the line that it resembles most.
void suspect_lines(Hypotheses& hypotheses, const ErrorTile& tile, Axis axis) {
    const std::int64_t lines = axis == Axis::rows ? tile.rows : tile.columns;
    const std::int64_t length = axis == Axis::rows ? tile.columns : tile.rows;
    Prediction prediction{axis == Axis::rows ? Pattern::rows_reordered : Pattern::columns_reordered, "",
                          tile.right, 0};
    std::int64_t moved = 0;
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

// Where the element that belongs to (row, column) lies if blocks lie one behind the other.
std::size_t blocked(const ErrorTile& tile, BlockShape shape, Axis order, std::int64_t row,
                    std::int64_t column) {
    const std::int64_t down = row / shape.rows;
    const std::int64_t across = column / shape.columns;
    const std::int64_t block = order == Axis::rows ? down * (tile.columns / shape.columns) + across
                                                   : across * (tile.rows / shape.rows) + down;
    return index(block * shape.rows * shape.columns + row % shape.rows * shape.columns +
                 column % shape.columns);
}

void suspect_blocks(Hypotheses& hypotheses, const ErrorTile& tile, BlockShape shape, Axis order) {
    if (tile.rows % shape.rows != 0 || tile.columns % shape.columns != 0) {
        return;
    }
    const std::string text =
        fmt::format("as blocks of {}x{}, {} by {}", shape.rows, shape.columns,
                    order == Axis::rows ? "row" : "column", order == Axis::rows ? "row" : "column");
    Prediction kept{Pattern::blocked_layout, "the tile lies " + text + ", not row by row", tile.right, 0};
    Prediction undone{Pattern::blocked_layout, "the tile is row by row, but was read " + text, tile.right, 0};
    for (std::int64_t row = 0; row < tile.rows; ++row) {
        for (std::int64_t column = 0; column < tile.columns; ++column) {
            const std::size_t place = blocked(tile, shape, order, row, column);
            kept.values[place] = tile.right[tile.at(row, column)];
            undone.values[tile.at(row, column)] = tile.right[place];
        }
    }
    hypotheses.add(kept);
    hypotheses.add(undone);
}

// What came and what is right hold the same values: all but 1 of 100 lie within the bound of that of the same
// rank. (Values of one distribution are as alike only where they hardly differ at all.)
void suspect_any_order(Hypotheses& hypotheses, const ErrorTile& tile) {
    const auto ranked = [](const std::vector<double>& values) {
        std::vector<std::size_t> order(values.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::ranges::stable_sort(order, {}, [&](std::size_t i) { return values[i]; });
        return order;
    };
    const std::vector<std::size_t> came = ranked(tile.got);
    const std::vector<std::size_t> due = ranked(tile.right);
    Prediction prediction{Pattern::elements_reordered, "", tile.right, 0};
    std::int64_t same = 0;
    for (std::size_t rank = 0; rank < came.size(); ++rank) {
        const double value = tile.right[due[rank]];
        prediction.values[came[rank]] = value;
        same += std::abs(tile.got[came[rank]] - value) <= tile.bound[due[rank]] ? 1 : 0;
    }
    if (100 * same >= 99 * std::ssize(came)) {
        prediction.text = fmt::format("{} of {} values are right, in another order", same, came.size());
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
