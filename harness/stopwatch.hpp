// Repeated timing. Knows nothing of tensors: it takes a callable and reports medians.
#pragma once

#include <functional>
#include <vector>

namespace harness {

// Median; the mean of the middle two where the count is even. `samples` must not be empty.
double median(std::vector<double> samples);

// Median of the distances from the median.
double median_deviation(const std::vector<double>& samples);

// Half the width of a 95% interval of the median, from order statistics: the r-th sample from either end,
// with the largest r for which a median lies outside by a chance of 2 sum_{i < r} C(n, i) / 2^n <= 5%.
// Infinite for fewer than six samples, of which not even the smallest and the largest give 95%.
double median_half_width(std::vector<double> samples);

// A/A control of samples of the same work, in the order in which they were taken: those of odd and of even
// number differ by noise alone; the second half against the first shows drift of the clock, and what else
// ran.
struct SampleControl {
    double odd_over_even = 1;  // ratios of medians; 1 where there are fewer than two samples
    double second_over_first = 1;
    double noise = 0;  // half the width of a 95% interval of either ratio, about 1

    [[nodiscard]] bool within_noise() const;
};

SampleControl control_of(const std::vector<double>& samples);

// When enough was measured: not before `least` samples; then as soon as the median of the sums of a sample is
// known to `relative`, and in any case with `most` samples or once `seconds` have been measured.
struct StopRule {
    int least = 10;
    int most = 200;
    double relative = 0.01;
    double seconds = 30;
};

struct Measurement {
    std::vector<std::vector<double>> samples;  // per duration
    bool settled = false;                      // the median is known to `relative`
};

// Calls `once` to warm up and then until the rule is met; `once` returns a set of durations in seconds,
// always in the same order and number.
Measurement measure(const StopRule& rule, const std::function<std::vector<double>()>& once);

}  // namespace harness
