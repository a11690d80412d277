#include "datasets/positions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace datasets {

std::vector<float> sinusoid_positions(std::int64_t rows, std::int64_t width) {
    if (rows < 0 || width < 4 || width % 2 != 0) {
        throw std::invalid_argument(
            fmt::format("no table of positions has {} rows of {} channels", rows, width));
    }
    const auto half = static_cast<std::size_t>(width / 2);
    std::vector<double> frequency(half);
    for (std::size_t index = 0; index < half; ++index) {
        frequency[index] =
            std::exp(-static_cast<double>(index) * std::log(10000.0) / static_cast<double>(half - 1));
    }
    std::vector<float> table(static_cast<std::size_t>(rows) * 2 * half);
    auto element = table.begin();
    for (std::int64_t row = 0; row < rows; ++row) {
        for (std::size_t index = 0; index < half; ++index) {
            const double angle = static_cast<double>(row) * frequency[index];
            element[static_cast<std::ptrdiff_t>(index)] = static_cast<float>(std::sin(angle));
            element[static_cast<std::ptrdiff_t>(half + index)] = static_cast<float>(std::cos(angle));
        }
        element += static_cast<std::ptrdiff_t>(width);
    }
    return table;
}

std::vector<float> positions_for(const EncoderWeights& weights, std::int64_t context) {
    const std::int64_t width = weights.width();
    if (context < 1) {
        throw std::invalid_argument(fmt::format("a context of {} rows has no positions", context));
    }
    const std::vector<float>& stored = weights.stem.positions;
    const auto wanted = static_cast<std::size_t>(context * width);
    if (wanted <= stored.size()) {
        return {stored.begin(), stored.begin() + static_cast<std::ptrdiff_t>(wanted)};
    }
    std::vector<float> table = sinusoid_positions(context, width);
    double distance = 0;
    for (std::size_t index = 0; index < stored.size(); ++index) {
        const double off =
            std::abs(static_cast<double>(stored[index]) - static_cast<double>(table[index]));
        distance = off <= distance ? distance : off;  // a NaN stays
    }
    if (!(distance <= position_tolerance)) {
        throw std::invalid_argument(fmt::format(
            "the table of positions of {} has {} rows and is not the published sinusoid (it is {:.3g} away), "
            "so "
            "that it cannot be continued to {} rows",
            weights.model_id, stored.size() / static_cast<std::size_t>(width), distance, context));
    }
    std::copy(stored.begin(), stored.end(), table.begin());
    return table;
}

}  // namespace datasets
