// `harness validate-model`: the time model beside times that were measured on silicon.
#include <fmt/format.h>

#include <map>
#include <set>

#include "harness/commands/commands.hpp"
#include "npu_impl/model_validation.hpp"

namespace harness {
namespace {

using npu_impl::ModelFit;
using npu_impl::ModelValidation;
using npu_impl::ValidatedTiming;

std::string time_text(double seconds) {
    return seconds < 1e-3 ? fmt::format("{:.1f} us", seconds * 1e6)
           : seconds < 1  ? fmt::format("{:.3f} ms", seconds * 1e3)
                          : fmt::format("{:.2f} s", seconds);
}

std::string case_of(const npu_impl::PublishedTiming& row) {
    return row.shape ? fmt::format("{}x{}x{} {}", row.shape->rows, row.shape->reduction, row.shape->columns,
                                   row.dtype_out)
                     : row.conditions;
}

std::string standing(const ValidatedTiming& row) {
    if (row.prediction.counts && row.ratio) {
        return fmt::format("bound by {}", row.prediction.cost.bounds.limiting());
    }
    return row.timing.equals_parameter.empty() ? "not predicted"
                                               : "parameter: " + row.timing.equals_parameter;
}

void print_rows(const ModelValidation& validation) {
    const double factor = validation.interval_factor();
    fmt::print("{:<8} {:>4} {:<25} {:>11} {:>11} {:>6}  {:<23} {}\n", "device", "line", "case", "predicted",
               "published", "ratio", "90% interval", "standing");
    for (const ValidatedTiming& row : validation.rows) {
        const bool predicted = row.prediction.seconds.has_value();
        const double seconds = row.prediction.seconds.value_or(0);
        const bool interval = row.prediction.counts && row.ratio;
        fmt::print("{:<8.8} {:>4} {:<25.25} {:>11} {:>11} {:>6}  {:<23} {}\n", row.timing.device,
                   row.timing.line, case_of(row.timing), predicted ? time_text(seconds) : "-",
                   row.measured_seconds ? time_text(*row.measured_seconds) : "-",
                   row.ratio ? fmt::format("{:.3f}", *row.ratio) : "-",
                   interval
                       ? fmt::format("{} .. {}", time_text(seconds / factor), time_text(seconds * factor))
                       : "-",
                   standing(row));
        fmt::print("              {}; {}\n", row.prediction.read_as, row.timing.source);
    }
}

// The numbers that the predictions of these rows rest on most, once for each device.
void print_parameters(const ModelValidation& validation) {
    const std::set<std::string> global{"call",       "python_call", "task",   "dram_read",
                                       "dram_write", "dram_total",  "stream", "rate of peano"};
    std::set<std::string> done;
    for (const ValidatedTiming& row : validation.rows) {
        const npu_impl::DeviceSpec* spec = npu_impl::find_device_spec(row.timing.device);
        if (spec == nullptr || !row.prediction.counts || !done.insert(spec->name).second) {
            continue;
        }
        fmt::print("\n{} ({}; the clock is the row's where it has one)\n", spec->name, spec->product);
        for (const npu_impl::SourcedNumber& number : spec->sources) {
            if (global.contains(number.field)) {
                fmt::print("  {:<14} {:>8} {:<10} {}\n", number.field, number.value, number.unit,
                           number.source);
            }
        }
    }
}

void print_summary(const ModelValidation& validation, std::size_t free_parameters) {
    fmt::print("\n{} rows, {} count: median error {:.1f}%, worst {:.1f}%; free parameters: {}\n",
               validation.rows.size(), validation.counted, 100 * validation.median_error,
               100 * validation.worst_error, free_parameters);
}

void print_fit(const ModelFit& fit) {
    fmt::print("\nfit of one factor per group, the same for all devices, to the rows that count\n");
    for (const npu_impl::FittedScale& factor : fit.factors) {
        fmt::print("  {:<20} {}\n", factor.name,
                   factor.low ? fmt::format(
                                    "x {:.3f}, 90% interval {:.3f} .. {:.3f}{}", factor.factor, *factor.low,
                                    *factor.high,
                                    *factor.low <= 1 && 1 <= *factor.high ? ": the specification stands" : "")
                              : "no row depends on it: as specified");
    }
    print_summary(fit.validation, fit.free_parameters);
    fmt::print("leave-one-out error of the fit: median {:.1f}%, worst {:.1f}%\n",
               100 * fit.left_out_median_error, 100 * fit.left_out_worst_error);
}

}  // namespace

ExitCode run(const ValidateModelOptions& options, const std::string&) {
    const std::vector<npu_impl::PublishedTiming> timings =
        options.timings.empty() ? npu_impl::published_timings() : npu_impl::read_timings(options.timings);
    const ModelValidation validation = npu_impl::validate_model(timings);
    if (options.common.quiet) {
        return ExitCode::passed;
    }
    print_rows(validation);
    print_parameters(validation);
    print_summary(validation, 0);
    fmt::print(
        "nothing is fitted, so that leaving a row out changes no other: its leave-one-out error is its "
        "error\n");
    if (validation.counted > 0) {
        fmt::print("90% interval of a prediction: a factor of {:.2f} either way, for products like these\n",
                   validation.interval_factor());
    }
    fmt::print(
        "left out by the model: stalls inside a core, what norms, GELU and softmax do beside VMACs, DRAM\n"
        "pages, other work on the machine, and what the host packs or adds up\n");
    if (options.fit) {
        print_fit(npu_impl::fit_model(timings));
    }
    return ExitCode::passed;
}

}  // namespace harness
