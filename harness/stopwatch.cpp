#include "harness/stopwatch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace harness {

double median(std::vector<double> samples) {
    if (samples.empty()) {
        throw std::invalid_argument("the median of no samples");
    }
    std::ranges::sort(samples);
    const std::size_t middle = samples.size() / 2;
    return samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
}

double median_deviation(const std::vector<double>& samples) {
    const double middle = median(samples);
    std::vector<double> distances;
    for (const double sample : samples) {
        distances.push_back(std::abs(sample - middle));
    }
    return median(distances);
}

double median_half_width(std::vector<double> samples) {
    const double count = double(samples.size());
    const double low = std::floor(count / 2 - 0.98 * std::sqrt(count));
    if (low < 1) {
        return std::numeric_limits<double>::infinity();
    }
    std::ranges::sort(samples);
    const auto rank = static_cast<std::size_t>(low) - 1;  // the same from either end
    return (samples[samples.size() - 1 - rank] - samples[rank]) / 2;
}

std::vector<std::vector<double>> repeat(int repetitions, const std::function<std::vector<double>()>& once) {
    std::vector<std::vector<double>> samples(once().size());
    for (int i = 0; i < repetitions; ++i) {
        const std::vector<double> durations = once();
        for (std::size_t d = 0; d < samples.size(); ++d) {
            samples[d].push_back(durations.at(d));
        }
    }
    return samples;
}

Measurement measure(const StopRule& rule, const std::function<std::vector<double>()>& once) {
    Measurement out;
    out.samples.resize(once().size());
    std::vector<double> sums;
    double spent = 0;
    while (static_cast<int>(sums.size()) < rule.most) {
        const std::vector<double> durations = once();
        double sum = 0;
        for (std::size_t d = 0; d < out.samples.size(); ++d) {
            out.samples[d].push_back(durations.at(d));
            sum += durations[d];
        }
        sums.push_back(sum);
        spent += sum;
        if (static_cast<int>(sums.size()) < rule.least) {
            continue;
        }
        out.settled = median_half_width(sums) <= rule.relative * median(sums);
        if (out.settled || spent >= rule.seconds) {
            break;
        }
    }
    return out;
}

}  // namespace harness
