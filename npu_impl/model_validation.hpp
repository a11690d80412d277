// How far the time model is from silicon: predictions beside published times, the error, and what a fit of
// the model's few groups of numbers to somebody's own rows would change.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "npu_impl/published_timing.hpp"

namespace npu_impl {

struct ValidatedTiming {
    PublishedTiming timing;
    TimingPrediction prediction;
    std::optional<double> measured_seconds;
    std::optional<double> ratio;  // predicted / published
};

// Errors are |predicted / published - 1|, over the rows that count.
struct ModelValidation {
    std::vector<ValidatedTiming> rows;
    std::size_t counted = 0;
    double median_error = 0;
    double worst_error = 0;
    double rms_log_ratio = 0;

    // A published time lies, 9 times in 10, between predicted / factor and predicted * factor, if its case
    // is like those counted. Student's t with as many degrees of freedom as rows: nothing was fitted to
    // them. Infinite where nothing counted.
    [[nodiscard]] double interval_factor() const;
};

ModelValidation validate_model(std::span<const PublishedTiming> timings, const ModelScales& scales = {});

// Of the rows of this build, with nothing fitted. Computed once.
const ModelValidation& published_validation();

// One group of numbers after a fit. The interval, 90%, is that of a linear model in the logarithms; absent
// where no row depends on the group, which then stays as it is.
struct FittedScale {
    std::string_view name;
    double factor = 1;
    std::optional<double> low;
    std::optional<double> high;
};

struct ModelFit {
    ModelScales scales;
    std::vector<FittedScale> factors;
    std::size_t free_parameters = 0;  // that some row depends on
    ModelValidation validation;       // with the fitted scales, in sample
    // Each counted row predicted by a fit to the others.
    double left_out_median_error = 0;
    double left_out_worst_error = 0;
};

// Least squares of the logarithms over the rows that count, every group within a factor of 4. Throws
// std::invalid_argument where there are not more such rows than free parameters.
ModelFit fit_model(std::span<const PublishedTiming> timings);

}  // namespace npu_impl
