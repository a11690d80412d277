// Repeated timing. Knows nothing of tensors: it takes a callable and reports medians.
#pragma once

#include <functional>
#include <vector>

namespace harness {

// Median; the mean of the middle two where the count is even. `samples` must not be empty.
double median(std::vector<double> samples);

// Calls `once` for warm-up and then `repetitions` times; `once` returns a set of durations in seconds, always
// in the same order and number. Returns the samples per duration.
std::vector<std::vector<double>> repeat(int repetitions, const std::function<std::vector<double>()>& once);

}  // namespace harness
