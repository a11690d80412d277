#include "harness/drift.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace harness {
namespace {

std::span<const float> row_of(std::span<const float> tensor, std::size_t row, std::size_t width) {
    return tensor.subspan(row * width, width);
}

double squared_distance_from_column_means(std::span<const float> tensor, std::size_t width) {
    const std::size_t rows = tensor.size() / width;
    std::vector<double> mean(width);
    for (std::size_t row = 0; row < rows; ++row) {
        const auto values = row_of(tensor, row, width);
        for (std::size_t column = 0; column < width; ++column) {
            mean[column] += double{values[column]} / static_cast<double>(rows);
        }
    }
    double sum = 0;
    for (std::size_t row = 0; row < rows; ++row) {
        const auto values = row_of(tensor, row, width);
        for (std::size_t column = 0; column < width; ++column) {
            const double centred = double{values[column]} - mean[column];
            sum += centred * centred;
        }
    }
    return sum;
}

}  // namespace

Deviation deviation(std::span<const float> got, std::span<const float> golden, std::int64_t width) {
    const auto columns = static_cast<std::size_t>(width);
    if (width < 1 || golden.empty() || got.size() != golden.size() || golden.size() % columns != 0) {
        throw std::invalid_argument("streams of another size cannot be compared");
    }
    const std::size_t rows = golden.size() / columns;
    std::vector<double> errors(rows);
    std::vector<double> energies(rows);
    Deviation out;
    out.rows = static_cast<std::int64_t>(rows);
    double error = 0;
    double energy = 0;
    for (std::size_t row = 0; row < rows; ++row) {
        const auto a = row_of(got, row, columns);
        const auto b = row_of(golden, row, columns);
        for (std::size_t column = 0; column < columns; ++column) {
            const double difference = double{a[column]} - double{b[column]};
            errors[row] += difference * difference;
            energies[row] += double{b[column]} * double{b[column]};
            out.nonfinite += std::isfinite(a[column]) ? 0 : 1;
        }
        error += errors[row];
        energy += energies[row];
    }
    if (out.nonfinite > 0) {
        out.match_percent = out.relative_error = out.worst_row = std::numeric_limits<double>::quiet_NaN();
        return out;
    }
    const double centred = squared_distance_from_column_means(golden, columns);
    out.match_percent = 100 * (1 - error / centred);
    out.centred_energy = centred / energy;
    out.relative_error = std::sqrt(error / energy);
    const double mean_energy = energy / static_cast<double>(rows);
    for (std::size_t row = 0; row < rows; ++row) {
        const double ratio = std::sqrt(errors[row] / std::max(energies[row], mean_energy));
        if (ratio > out.worst_row) {
            out.worst_row = ratio;
            out.worst_row_index = static_cast<std::int64_t>(row);
        }
    }
    return out;
}

}  // namespace harness
