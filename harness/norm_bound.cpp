#include "harness/norm_bound.hpp"

#include <algorithm>
#include <cmath>

#include "harness/bounds.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;

constexpr double epsilon = 1e-5;
constexpr double unit = 0x1p-24;
constexpr double root_error = 0x1p-22;
// Sums of squares and products flush below this; far below anything that the store could show.
constexpr double flush = 0x1p-126;

constexpr double lanes = 16;
constexpr double folds = 4;

// Relative errors of the operations of one row, as named in the header.
struct Law {
    double sum;         // S
    double alignment;   // a
    double squares;     // Q
    double product;     // P
    double fused_bias;  // F
};

Law law_of(const Arithmetic& arithmetic, double columns) {
    const double sum = gamma(roundings_of_mean(arithmetic, columns));
    if (arithmetic.accumulation != datasets::Accumulation::vmac_f32) {
        return {sum, 0, gamma(columns + 2), unit, gamma(2)};
    }
    constexpr double left_out = 0x1p-22;
    const double steps = std::ceil(columns / lanes);
    return {sum, unit, gamma(2 * 6 * steps) + left_out + gamma(2 * folds), left_out + 6 * 0x1p-23,
            3 * 0x1p-23};
}

// What the errors of all elements of a row share.
struct RowErrors {
    double mean = 0;
    double mean_error = 0;     // M
    double inverse = 0;        // y
    double inverse_error = 0;  // R
};

// e: how far x - mean errs beyond the error of the mean itself.
double difference_error(const Law& law, const RowErrors& row, double x) {
    return law.alignment * std::max(std::abs(x), std::abs(row.mean) + row.mean_error) +
           unit * (std::abs(x - row.mean) + row.mean_error);
}

RowErrors row_errors(std::span<const float> x, const Law& law) {
    const auto count = static_cast<double>(x.size());
    RowErrors row;
    double magnitude = 0;
    for (const float element : x) {
        row.mean += double{element} / count;
        magnitude += std::abs(double{element}) / count;
    }
    row.mean_error = (law.sum + 2 * unit) * magnitude;
    double variance = 0;
    double cross = 0;   // 2 mean(|d| e)
    double shifts = 0;  // mean (M + e)^2
    for (const float element : x) {
        const double d = double{element} - row.mean;
        const double error = difference_error(law, row, double{element});
        variance += d * d / count;
        cross += 2 * std::abs(d) * error / count;
        shifts += (row.mean_error + error) * (row.mean_error + error) / count;
    }
    const double shifted = variance + epsilon;
    const double rounding = law.squares * (variance + cross + shifts) / shifted + 3 * unit;
    const double down = cross / shifted + rounding;
    const double up = (cross + shifts) / shifted + rounding;
    row.inverse = 1 / std::sqrt(shifted);
    // Sums of squares are not negative, so that 1e-5, but for its roundings, always remains.
    const double remaining = std::max(1 - down, epsilon / shifted * (1 - 4 * unit));
    const double grown = (1 + root_error) / std::sqrt(remaining) - 1;
    const double shrunk = 1 - (1 - root_error) / std::sqrt(1 + up);
    row.inverse_error = std::max(grown, shrunk);
    return row;
}

}  // namespace

double roundings_of_mean(const Arithmetic& arithmetic, double columns) {
    return arithmetic.accumulation == datasets::Accumulation::vmac_f32
               ? 2 * (std::ceil(columns / lanes) + folds)
               : columns;
}

void norm_errors(std::span<const float> x, const datasets::Norm& norm, const Arithmetic& arithmetic,
                 std::span<double> errors) {
    const Law law = law_of(arithmetic, static_cast<double>(x.size()));
    const RowErrors row = row_errors(x, law);
    const double factor = (1 + row.inverse_error) * (1 + law.product);
    for (std::size_t j = 0; j < x.size(); ++j) {
        const double n = std::abs(double{x[j]} - row.mean) * row.inverse;
        const double shift = row.mean_error + difference_error(law, row, double{x[j]});
        const double n_error = n * (factor - 1) + (shift + flush) * row.inverse * factor;
        const double gain = std::abs(double{norm.gain[j]});
        errors[j] = gain * n_error +
                    law.fused_bias * (std::abs(double{norm.bias[j]}) + gain * (n + n_error)) +
                    flush * (8 + 8 * gain);
    }
}

}  // namespace harness
