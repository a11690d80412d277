#include "npu_impl/model_validation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace npu_impl {
namespace {

struct ScaleGroup {
    std::string_view name;
    double ModelScales::*factor;
};

constexpr std::array groups{
    ScaleGroup{"DRAM bandwidth", &ModelScales::dram},
    ScaleGroup{"cost of a call", &ModelScales::launch},
    ScaleGroup{"cost of a DMA task", &ModelScales::task},
    ScaleGroup{"rate of kernels", &ModelScales::kernel},
};
constexpr std::size_t group_count = groups.size();

// Logarithm of each group's factor.
using Point = std::array<double, group_count>;

ModelScales scales_at(const Point& point) {
    ModelScales scales;
    for (std::size_t i = 0; i < group_count; ++i) {
        scales.*groups[i].factor = std::exp(point[i]);
    }
    return scales;
}

// Student's t: 95% of the distribution lie below (Abramowitz and Stegun, table 26.10; beyond 20 degrees of
// freedom their expansion 26.7.5).
double student(std::size_t degrees) {
    constexpr std::array table{6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812,
                               1.796, 1.782, 1.771, 1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725};
    if (degrees == 0) {
        return std::numeric_limits<double>::infinity();
    }
    constexpr double normal = 1.6449;
    return degrees <= table.size() ? table[degrees - 1]
                                   : normal + (normal * normal * normal + normal) / (4 * double(degrees));
}

double median_of(std::vector<double> values) {
    if (values.empty()) {
        return 0;
    }
    std::ranges::sort(values);
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::vector<PublishedTiming> counted(std::span<const PublishedTiming> timings) {
    std::vector<PublishedTiming> out;
    for (const PublishedTiming& timing : timings) {
        if (predict(timing, {}).counts && timing.measured_seconds()) {
            out.push_back(timing);
        }
    }
    return out;
}

std::vector<double> log_ratios(std::span<const PublishedTiming> timings, const Point& point) {
    std::vector<double> out;
    for (const PublishedTiming& timing : timings) {
        out.push_back(
            std::log(predict(timing, scales_at(point)).seconds.value() / timing.measured_seconds().value()));
    }
    return out;
}

// Derivatives of the logarithms of the predictions, [group][row], by central differences of 4%.
std::array<std::vector<double>, group_count> slopes(std::span<const PublishedTiming> timings,
                                                    const Point& point) {
    constexpr double step = 0.04;
    std::array<std::vector<double>, group_count> out;
    for (std::size_t group = 0; group < group_count; ++group) {
        Point above = point;
        Point below = point;
        above[group] += step;
        below[group] -= step;
        const std::vector<double> high = log_ratios(timings, above);
        out[group] = log_ratios(timings, below);
        for (std::size_t row = 0; row < high.size(); ++row) {
            out[group][row] = (high[row] - out[group][row]) / (2 * step);
        }
    }
    return out;
}

using Matrix = std::array<std::array<double, group_count>, group_count>;

// Inverse of a symmetric, positive definite matrix by Gauss-Jordan elimination.
Matrix inverse(Matrix a) {
    Matrix out{};
    for (std::size_t i = 0; i < group_count; ++i) {
        out[i][i] = 1;
    }
    for (std::size_t i = 0; i < group_count; ++i) {
        const double pivot = a[i][i];
        for (std::size_t j = 0; j < group_count; ++j) {
            a[i][j] /= pivot;
            out[i][j] /= pivot;
        }
        for (std::size_t other = 0; other < group_count; ++other) {
            const double factor = other == i ? 0 : a[other][i];
            for (std::size_t j = 0; j < group_count; ++j) {
                a[other][j] -= factor * a[i][j];
                out[other][j] -= factor * out[i][j];
            }
        }
    }
    return out;
}

struct Solution {
    Point point{};
    std::array<bool, group_count> free{};
    Matrix covariance{};  // for residuals of variance 1
};

// What a specification says of a group counts as much as this part of a row that depends on nothing else:
// little, but enough to hold what the rows cannot tell apart.
constexpr double weight_of_the_specification = 0.02;

// The normal matrix of the free groups; 1 on the diagonal of the others.
Matrix normal_matrix(const std::array<std::vector<double>, group_count>& slope,
                     const std::array<bool, group_count>& free) {
    Matrix out{};
    for (std::size_t i = 0; i < group_count; ++i) {
        for (std::size_t j = 0; j < group_count; ++j) {
            for (std::size_t row = 0; free[i] && free[j] && row < slope[i].size(); ++row) {
                out[i][j] += slope[i][row] * slope[j][row];
            }
        }
        out[i][i] += free[i] ? weight_of_the_specification : 1;
    }
    return out;
}

double objective(std::span<const PublishedTiming> timings, const Point& point) {
    double sum = 0;
    for (const double residual : log_ratios(timings, point)) {
        sum += residual * residual;
    }
    for (const double value : point) {
        sum += weight_of_the_specification * value * value;
    }
    return sum;
}

std::array<bool, group_count> depended_on(const std::array<std::vector<double>, group_count>& slope) {
    constexpr double depends = 0.02;  // root of the sum of squared slopes
    std::array<bool, group_count> out{};
    for (std::size_t i = 0; i < group_count; ++i) {
        double sum = 0;
        for (const double value : slope[i]) {
            sum += value * value;
        }
        out[i] = std::sqrt(sum) > depends;
    }
    return out;
}

// The Gauss-Newton step of the free groups, each by at most a factor of 1.5.
Point newton_step(const Solution& at, const std::array<std::vector<double>, group_count>& slope,
                  const std::vector<double>& residual) {
    Point gradient{};
    for (std::size_t i = 0; i < group_count; ++i) {
        gradient[i] = at.free[i] ? weight_of_the_specification * at.point[i] : 0;
        for (std::size_t row = 0; at.free[i] && row < residual.size(); ++row) {
            gradient[i] += slope[i][row] * residual[row];
        }
    }
    Point step{};
    for (std::size_t i = 0; i < group_count; ++i) {
        for (std::size_t j = 0; at.free[i] && j < group_count; ++j) {
            step[i] -= at.covariance[i][j] * gradient[j];
        }
        step[i] = std::clamp(step[i], -std::log(1.5), std::log(1.5));
    }
    return step;
}

// Gauss-Newton that halves a step until it helps; each group stays within a factor of 4.
Solution solve(std::span<const PublishedTiming> timings) {
    Solution out;
    double now = objective(timings, out.point);
    for (int iteration = 0; iteration < 10; ++iteration) {
        const auto slope = slopes(timings, out.point);
        if (iteration == 0) {
            out.free = depended_on(slope);
        }
        out.covariance = inverse(normal_matrix(slope, out.free));
        const Point step = newton_step(out, slope, log_ratios(timings, out.point));
        bool better = false;
        for (double part = 1; part > 0.05 && !better; part /= 2) {
            Point next = out.point;
            for (std::size_t i = 0; i < group_count; ++i) {
                next[i] = std::clamp(next[i] + part * step[i], -std::log(4.0), std::log(4.0));
            }
            if (const double value = objective(timings, next); value < now * (1 - 1e-6)) {
                better = true;
                now = value;
                out.point = next;
            }
        }
        if (!better) {
            break;
        }
    }
    return out;
}

}  // namespace

double ModelValidation::interval_factor() const {
    if (counted == 0) {
        return std::numeric_limits<double>::infinity();
    }
    return std::exp(student(counted) * rms_log_ratio * std::sqrt(1 + 1 / double(counted)));
}

ModelValidation validate_model(std::span<const PublishedTiming> timings, const ModelScales& scales) {
    ModelValidation out;
    std::vector<double> errors;
    double squares = 0;
    for (const PublishedTiming& timing : timings) {
        ValidatedTiming row{timing, predict(timing, scales), timing.measured_seconds(), {}};
        if (!row.measured_seconds && row.timing.gflops) {
            row.prediction.counts = false;
        }
        if (row.prediction.seconds && row.measured_seconds) {
            row.ratio = *row.prediction.seconds / *row.measured_seconds;
        }
        if (row.ratio && row.prediction.counts) {
            errors.push_back(std::abs(*row.ratio - 1));
            squares += std::log(*row.ratio) * std::log(*row.ratio);
        }
        out.rows.push_back(std::move(row));
    }
    out.counted = errors.size();
    out.median_error = median_of(errors);
    out.worst_error = errors.empty() ? 0 : std::ranges::max(errors);
    out.rms_log_ratio = errors.empty() ? 0 : std::sqrt(squares / double(errors.size()));
    return out;
}

const ModelValidation& published_validation() {
    static const ModelValidation validation = validate_model(published_timings());
    return validation;
}

ModelFit fit_model(std::span<const PublishedTiming> timings) {
    const std::vector<PublishedTiming> rows = counted(timings);
    const Solution solution = solve(rows);
    ModelFit fit;
    fit.free_parameters = static_cast<std::size_t>(std::ranges::count(solution.free, true));
    if (rows.size() <= fit.free_parameters) {
        throw std::invalid_argument(fmt::format("a fit of {} parameters needs more rows than {} that count",
                                                fit.free_parameters, rows.size()));
    }
    fit.scales = scales_at(solution.point);
    fit.validation = validate_model(timings, fit.scales);
    const std::size_t degrees = rows.size() - fit.free_parameters;
    const double variance =
        fit.validation.rms_log_ratio * fit.validation.rms_log_ratio * double(rows.size()) / double(degrees);
    for (std::size_t i = 0; i < group_count; ++i) {
        FittedScale factor{groups[i].name, std::exp(solution.point[i]), {}, {}};
        if (solution.free[i]) {
            const double half = student(degrees) * std::sqrt(variance * solution.covariance[i][i]);
            factor.low = factor.factor * std::exp(-half);
            factor.high = factor.factor * std::exp(half);
        }
        fit.factors.push_back(factor);
    }
    std::vector<double> errors;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::vector<PublishedTiming> others = rows;
        others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
        const std::array one{rows[i]};
        errors.push_back(std::abs(std::expm1(log_ratios(one, solve(others).point).front())));
    }
    fit.left_out_median_error = median_of(errors);
    fit.left_out_worst_error = std::ranges::max(errors);
    return fit;
}

}  // namespace npu_impl
