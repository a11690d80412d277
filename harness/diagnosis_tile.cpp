#include "harness/diagnosis_tile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace harness {
namespace {

// Two hypotheses are equally good where what they leave unexplained differs by no more than this.
constexpr double tie_ratio = 2;
constexpr double tie_share = 0.005;

// What is fitted to the error lessens any error. It is believed where it leaves so many elements within twice
// their bound, once for its own rounding and once for the kernel's; the bound of what grew grew with it.
constexpr double least_settled = 0.9;

bool settles(const ErrorTile& tile, const Prediction& prediction) {
    double count = 0;
    for (std::size_t i = 0; i < tile.got.size(); ++i) {
        const double predicted = prediction.values[i];
        const double growth = std::max(1.0, std::abs(predicted) / std::abs(tile.expected[i]));
        count += std::abs(tile.got[i] - predicted) <= 2 * growth * tile.bound[i] ? 1 : 0;
    }
    return count >= least_settled * static_cast<double>(tile.got.size());
}

}  // namespace

bool outside(const ErrorTile& tile, std::size_t i) {
    return !(std::abs(tile.got[i] - tile.expected[i]) <= tile.bound[i]);
}

double stored(const datasets::Arithmetic& arithmetic, double value) {
    const auto narrow = static_cast<float>(value);
    return arithmetic.store == datasets::DType::f32
               ? narrow
               : datasets::round_to_bf16(narrow, arithmetic.store_rounding);
}

std::vector<double> stored(const datasets::Arithmetic& arithmetic, std::vector<double> values) {
    for (double& value : values) {
        value = stored(arithmetic, value);
    }
    return values;
}

ErrorTile error_tile(const JudgedBlock& block, std::int64_t first_column) {
    ErrorTile tile;
    tile.rows = block.rows.count;
    tile.columns = std::min<std::int64_t>(datasets::block_rows, block.expected.columns - first_column);
    tile.first_column = first_column;
    for (std::int64_t row = 0; row < tile.rows; ++row) {
        const auto came = block.got.row(row);
        for (std::int64_t column = 0; column < tile.columns; ++column) {
            const auto in_row = static_cast<std::size_t>(first_column + column);
            const auto in_block = static_cast<std::size_t>(row * block.expected.columns) + in_row;
            tile.got.push_back(came[in_row]);
            tile.expected.push_back(block.expected.value[in_block]);
            tile.bound.push_back(block.expected.bound[in_block]);
        }
    }
    tile.right = stored(block.arithmetic, tile.expected);
    return tile;
}

std::vector<OperandRows> operand_rows(const JudgedBlock& block, const datasets::LayerShape& shape) {
    std::vector<datasets::Op> inputs(datasets::info(block.op).inputs.begin(),
                                     datasets::info(block.op).inputs.end());
    if (block.fused) {
        inputs = {datasets::Op::query, datasets::Op::key, datasets::Op::value};
    }
    std::vector<OperandRows> out;
    for (const datasets::Op op : inputs) {
        const bool headed = datasets::has_heads(op);
        const bool whole = op == datasets::Op::key || op == datasets::Op::value;
        const datasets::Rows rows{headed ? block.rows.head : -1, whole ? 0 : block.rows.begin,
                                  whole ? shape.context : block.rows.count};
        const std::int64_t columns = headed && rows.head < 0 ? shape.width() : datasets::row_width(op, shape);
        out.push_back({op, rows, columns});
    }
    return out;
}

double explained(const ErrorTile& tile, const Prediction& prediction) {
    double error = 0;
    double left = 0;
    double count = 0;
    for (std::size_t i = 0; i < tile.got.size(); ++i) {
        const double predicted = prediction.values[i];
        if (std::isnan(predicted)) {
            continue;
        }
        error += (tile.got[i] - tile.right[i]) * (tile.got[i] - tile.right[i]);
        left += (tile.got[i] - predicted) * (tile.got[i] - predicted);
        ++count;
    }
    // What speaks of a few elements explains nothing.
    if (2 * count < static_cast<double>(tile.got.size())) {
        return 0;
    }
    const double freedom = count - static_cast<double>(prediction.parameters);
    if (!(error > 0) || !(freedom > 0)) {
        return 0;
    }
    return 1 - left / freedom / (error / count);
}

void Hypotheses::add(const Prediction& prediction) {
    const Tried tried{prediction.pattern, prediction.text, explained(tile_, prediction),
                      prediction.parameters == 0 || settles(tile_, prediction)};
    const auto known = std::ranges::find(tried_, prediction.pattern, &Tried::pattern);
    if (known == tried_.end()) {
        tried_.push_back(tried);
    } else if (tried.explained > known->explained) {
        *known = tried;
    }
}

Diagnosis Hypotheses::best() const {
    const Tried* most = nullptr;
    const Tried* believed = nullptr;
    for (const Tried& tried : tried_) {
        if (most == nullptr || tried.explained > most->explained) {
            most = &tried;
        }
        if (tried.believed && (believed == nullptr || tried.explained > believed->explained)) {
            believed = &tried;
        }
    }
    if (most == nullptr || !(most->explained > 0)) {
        return {Pattern::unknown, 0, "no known pattern explains any of the error", 0, 0};
    }
    if (believed == nullptr || believed->explained < least_explained) {
        return {
            Pattern::unknown, most->explained,
            fmt::format("no known pattern (largest: {}, {:.0f}% of the error{})", name(most->pattern),
                        100 * most->explained, most->believed ? "" : ", but what it leaves is no rounding"),
            0, 0};
    }
    const Tried* chosen = believed;
    for (const Tried& tried : tried_) {
        const bool as_good = 1 - tried.explained <= tie_ratio * (1 - believed->explained) + tie_share;
        if (tried.believed && as_good && tried.pattern < chosen->pattern) {
            chosen = &tried;
        }
    }
    return {chosen->pattern, chosen->explained,
            fmt::format("{} ({:.1f}% of the error)", chosen->text, 100 * chosen->explained), 0, 0};
}

}  // namespace harness
