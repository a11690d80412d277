#include "harness/error_collector.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "harness/index.hpp"

namespace harness {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t headed_cell_columns = 8;

// Bin of a positive number by log2.
std::size_t exponent_bin(double value, int first_exponent, int bins) {
    const int exponent = value > 0 ? std::ilogb(value) : first_exponent;
    return static_cast<std::size_t>(std::clamp(exponent - first_exponent, 0, bins - 1));
}

}  // namespace

ErrorCollector::ErrorCollector(datasets::Op op, const datasets::LayerShape& shape, int only_head) : op_(op) {
    const bool headed = datasets::has_heads(op);
    const std::int64_t width = datasets::row_width(op, shape);
    picture_.op = op;
    picture_.cell_columns = width == datasets::head_width ? headed_cell_columns : datasets::block_rows;
    first_head_ = headed ? std::max(only_head, 0) : -1;
    const int heads = headed && only_head < 0 ? shape.heads : 1;
    for (int head = 0; head < heads; ++head) {
        ErrorMap& map = picture_.maps.emplace_back();
        map.head = headed ? first_head_ + head : -1;
        map.rows = shape.blocks();
        map.columns = (width + picture_.cell_columns - 1) / picture_.cell_columns;
        map.cells.resize(index(map.rows * map.columns));
    }
}

void ErrorCollector::add_element(Sums& sums, double got, double expected, double bound, double& cell) const {
    const double error = got - expected;
    const double ratio = error == 0 ? 0 : error / bound;
    // What reads a NaN or an infinity is due to be one.
    if (!std::isfinite(got) || !std::isfinite(expected) || std::isnan(ratio)) {
        cell = infinity;
        ++sums.ratios.back();
        return;
    }
    cell = std::max(cell, std::abs(ratio));
    const double size = std::abs(ratio);
    // Bin 0 holds everything below; 2^first_exponent begins bin 1.
    const std::size_t bin = size < std::ldexp(1.0, ratio_first_exponent)
                                ? 0
                                : 1 + exponent_bin(size, ratio_first_exponent, ratio_bins - 2);
    ++sums.ratios[bin];
    constexpr int middle = signed_bins / 2;
    const double step = std::clamp(std::round(ratio / signed_step), -double{middle}, double{middle});
    ++sums.scatter[static_cast<std::size_t>(middle + static_cast<int>(step))]
                  [exponent_bin(std::abs(expected), magnitude_first_exponent, magnitude_bins)];
}

void ErrorCollector::add_predicted(const JudgedBlock& block, const Predicted& predicted) {
    std::array<std::int64_t, z_bins> counts{};
    std::size_t at = 0;
    for (std::int64_t row = 0; row < block.rows.count; ++row) {
        for (const float got : block.got.row(row)) {
            const double error = double{got} - double{block.golden[at]};
            const double z = (error - double{predicted.mean[at]}) / double{predicted.sigma[at]};
            ++at;
            if (std::isfinite(got) && !std::isnan(z)) {
                const double step = std::floor((z - z_first) / z_step) + 1;
                ++counts[static_cast<std::size_t>(std::clamp(step, 0.0, double{z_bins - 1}))];
            }
        }
    }
    const std::scoped_lock lock(mutex_);
    if (!picture_.z) {
        picture_.z.emplace();
    }
    for (std::size_t i = 0; i < counts.size(); ++i) {
        (*picture_.z)[i] += counts[i];
    }
}

void ErrorCollector::add(const JudgedBlock& block, const Predicted* predicted) {
    if (block.op != op_) {
        return;
    }
    if (predicted != nullptr) {
        add_predicted(block, *predicted);
    }
    ErrorMap& map = picture_.maps[index(std::max(block.rows.head - first_head_, 0))];
    const std::int64_t columns = block.expected.columns;
    Sums sums;
    sums.cells.resize(index(map.columns));
    for (std::int64_t row = 0; row < block.rows.count; ++row) {
        const auto got = block.got.row(row);
        RowError line{block.rows.head, block.rows.begin + row, 0, 0};
        double error = 0;
        double energy = 0;
        for (std::int64_t column = 0; column < columns; ++column) {
            const std::size_t at = index(row * columns + column);
            const double value{got[index(column)]};
            double cell = 0;
            add_element(sums, value, block.expected.value[at], block.expected.bound[at], cell);
            double& whole = sums.cells[index(column / picture_.cell_columns)];
            whole = std::max(whole, cell);
            line.rho = std::max(line.rho, cell);
            const double golden{block.golden[at]};
            error += (value - golden) * (value - golden);
            energy += golden * golden;
        }
        line.relative_error = energy > 0 ? std::sqrt(error / energy) : (error > 0 ? infinity : 0);
        sums.rows.push_back(
            std::isnan(line.relative_error) ? RowError{line.head, line.row, infinity, line.rho} : line);
    }
    const std::scoped_lock lock(mutex_);
    std::ranges::copy(sums.cells, map.cells.begin() + block.rows.block() * map.columns);
    rows_.insert(rows_.end(), sums.rows.begin(), sums.rows.end());
    for (std::size_t i = 0; i < sums.ratios.size(); ++i) {
        picture_.ratios[i] += sums.ratios[i];
    }
    for (std::size_t i = 0; i < sums.scatter.size(); ++i) {
        for (std::size_t j = 0; j < sums.scatter[i].size(); ++j) {
            picture_.scatter[i][j] += sums.scatter[i][j];
        }
    }
}

ErrorPicture ErrorCollector::finish(std::size_t worst_rows) const {
    ErrorPicture out = picture_;
    out.worst_rows = rows_;
    std::ranges::sort(out.worst_rows, [](const RowError& a, const RowError& b) {
        return std::tuple(-a.relative_error, a.head, a.row) < std::tuple(-b.relative_error, b.head, b.row);
    });
    out.worst_rows.resize(std::min(worst_rows, out.worst_rows.size()));
    return out;
}

}  // namespace harness
