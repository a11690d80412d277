// Repeated timing. Knows nothing of tensors: it takes a callable and reports medians.
#pragma once

#include <functional>
#include <vector>

namespace harness {

// Median; the mean of the middle two where the count is even. `samples` must not be empty.
double median(std::vector<double> samples);

// Median of the distances from the median.
double median_deviation(const std::vector<double>& samples);

// Half the width of a 95% interval of the median, from order statistics: the samples at ranks n/2 -+ 0.98
// sqrt(n). Infinite for fewer than six samples, of which no two ranks give 95%.
double median_half_width(std::vector<double> samples);

// Calls `once` for warm-up and then `repetitions` times; `once` returns a set of durations in seconds, always
// in the same order and number. Returns the samples per duration.
std::vector<std::vector<double>> repeat(int repetitions, const std::function<std::vector<double>()>& once);

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

// Calls `once` as `repeat` does, until the rule is met.
Measurement measure(const StopRule& rule, const std::function<std::vector<double>()>& once);

}  // namespace harness
