// Hypotheses about where results lie: shifted, transposed, or those of another tile, head or launch.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "harness/diagnosis_tile.hpp"
#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::Rows;

// The golden's tile and the candidate's differ by a few percent at most. What resembles it less only looks
// like it, as rows of silence look like each other.
constexpr double least_likeness = 0.97;

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

// The right tile, moved: element (row, column) is what belongs to (row - down, column - across).
void suspect_shift(Hypotheses& hypotheses, const ErrorTile& tile, std::int64_t down, std::int64_t across) {
    Prediction prediction{down != 0 ? Pattern::rows_shifted : Pattern::columns_shifted,
                          fmt::format("each {} holds what belongs {} {}", down != 0 ? "row" : "column",
                                      down + across > 0 ? "one before" : "one behind",
                                      down != 0 ? "in the rows" : "in the columns"),
                          std::vector<double>(tile.got.size(), nothing), 0};
    for (std::int64_t row = 0; row < tile.rows; ++row) {
        for (std::int64_t column = 0; column < tile.columns; ++column) {
            const std::int64_t from_row = row - down;
            const std::int64_t from_column = column - across;
            if (from_row >= 0 && from_row < tile.rows && from_column >= 0 && from_column < tile.columns) {
                prediction.values[tile.at(row, column)] = tile.right[tile.at(from_row, from_column)];
            }
        }
    }
    hypotheses.add(prediction);
}

void suspect_layout(Hypotheses& hypotheses, const ErrorTile& tile) {
    suspect_shift(hypotheses, tile, 1, 0);
    suspect_shift(hypotheses, tile, -1, 0);
    suspect_shift(hypotheses, tile, 0, 1);
    suspect_shift(hypotheses, tile, 0, -1);
    if (tile.rows != tile.columns) {
        return;
    }
    Prediction transposed{Pattern::transposed_tile, "the tile is the transpose of what it should be",
                          std::vector<double>(tile.got.size()), 0};
    for (std::int64_t row = 0; row < tile.rows; ++row) {
        for (std::int64_t column = 0; column < tile.columns; ++column) {
            transposed.values[tile.at(row, column)] = tile.right[tile.at(column, row)];
        }
    }
    hypotheses.add(transposed);
}

// Another tile of the op.
struct Place {
    int head = -1;
    std::int64_t row = 0;     // first row
    std::int64_t column = 0;  // first column
};

Prediction misplaced(const ErrorTile& tile, const JudgedBlock& block, const Scene& scene, Place from) {
    const bool whole_head = block.expected.columns == datasets::head_width;
    const Damage& damage = *scene.statistics.damage;
    const std::int64_t blocks_of_heads = std::int64_t(damage.heads.size()) * scene.shape.blocks();
    const bool heads_fail = damage.heads.size() > 1 && 10 * damage.blocks >= 9 * blocks_of_heads;
    const std::string which =
        fmt::format("{}tile ({}, {})", from.head >= 0 ? fmt::format("head {}, ", from.head) : "",
                    from.row / datasets::block_rows, from.column / datasets::block_rows);
    if (from.head != block.rows.head && from.row == block.rows.begin && from.column == tile.first_column &&
        heads_fail) {
        return {Pattern::head_swapped,
                fmt::format("what came is the golden's head {}, {} of its {} blocks and heads", from.head,
                            damage.blocks, blocks_of_heads),
                {},
                0};
    }
    const auto here = scene.locate(block.rows.head, block.rows.begin, tile.first_column);
    const auto there = scene.locate(from.head, from.row, from.column);
    if (here && there && there->launch < here->launch) {
        return {Pattern::stale_tile,
                fmt::format("what came is the golden's {}, which launch {} made: it is of launch {}", which,
                            there->launch, here->launch),
                {},
                0};
    }
    return {Pattern::misplaced_tile,
            fmt::format("what came is the golden's {}: exchanged or duplicated{}", which,
                        whole_head || !here ? "" : fmt::format(" by core {}", here->core)),
            {},
            0};
}

// Compares with every tile of a block of the golden that `rows` names.
void suspect_tiles_of(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                      const Scene& scene, Rows rows) {
    const std::int64_t width = block.expected.columns;
    std::vector<float> golden(index(rows.count * width));
    scene.golden.rows(block.op, rows, golden);
    for (std::int64_t column = 0; column < width; column += datasets::block_rows) {
        std::vector<double> values(tile.got.size(), nothing);
        for (std::int64_t row = 0; row < std::min(rows.count, tile.rows); ++row) {
            for (std::int64_t c = 0; c < std::min(tile.columns, width - column); ++c) {
                values[tile.at(row, c)] = stored(block.arithmetic, golden[index(row * width + column + c)]);
            }
        }
        if (explained(tile, {Pattern::misplaced_tile, "", values, 0}) < least_likeness) {
            continue;
        }
        const bool itself = rows == block.rows && column == tile.first_column;
        if (itself) {
            hypotheses.add({Pattern::emitted_otherwise,
                            "what came is the golden's own tile: the op read other rows than were emitted "
                            "before it, or rounded none of them",
                            values, 0});
            continue;
        }
        Prediction prediction = misplaced(tile, block, scene, {rows.head, rows.begin, column});
        prediction.values = std::move(values);
        hypotheses.add(prediction);
    }
}

// All tiles of the op; of square ops, which are made anew, those of the same head or the same rows.
void suspect_other_tiles(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                         const Scene& scene) {
    const bool square = datasets::info(block.op).form == datasets::Form::square;
    const int heads = block.rows.head < 0 ? 1 : scene.shape.heads;
    for (int head = 0; head < heads; ++head) {
        for (std::int64_t begin = 0; begin < scene.shape.context; begin += datasets::block_rows) {
            const Rows rows{block.rows.head < 0 ? -1 : head, begin,
                            std::min(datasets::block_rows, scene.shape.context - begin)};
            if (!square || rows.head == block.rows.head || begin == block.rows.begin) {
                suspect_tiles_of(hypotheses, tile, block, scene, rows);
            }
        }
    }
}

}  // namespace

void suspect_places(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                    const Scene& scene) {
    suspect_layout(hypotheses, tile);
    if (scene.statistics.damage) {
        suspect_other_tiles(hypotheses, tile, block, scene);
    }
}

}  // namespace harness
