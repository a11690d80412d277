#include "harness/stopwatch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <stdexcept>

namespace harness {
namespace {

// r of `median_half_width`; 0 where there is none.
std::size_t median_rank(std::size_t count) {
    const double n = double(count);
    double outside = 0;
    std::size_t rank = 0;
    while (rank < count) {
        const double i = double(rank);
        outside += std::exp(std::lgamma(n + 1) - std::lgamma(i + 1) - std::lgamma(n - i + 1) -
                            n * std::numbers::ln2);
        if (2 * outside > 0.05) {
            break;
        }
        ++rank;
    }
    return rank;
}

// Medians of two parts of the samples, one over the other.
double ratio_of(const std::vector<double>& samples, auto in_first) {
    std::vector<double> first;
    std::vector<double> second;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        (in_first(i) ? first : second).push_back(samples[i]);
    }
    return first.empty() || second.empty() ? 1 : median(second) / median(first);
}

}  // namespace

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
    const std::size_t rank = median_rank(samples.size());
    if (rank == 0) {
        return std::numeric_limits<double>::infinity();
    }
    std::ranges::sort(samples);
    return (samples[samples.size() - rank] - samples[rank - 1]) / 2;
}

bool SampleControl::within_noise() const {
    return std::abs(odd_over_even - 1) <= noise && std::abs(second_over_first - 1) <= noise;
}

SampleControl control_of(const std::vector<double>& samples) {
    if (samples.size() < 2) {
        return {};
    }
    SampleControl out;
    out.odd_over_even = ratio_of(samples, [](std::size_t i) { return i % 2 == 0; });
    out.second_over_first = ratio_of(samples, [&](std::size_t i) { return i < samples.size() / 2; });
    // Two medians of half the samples each, whose deviations are normal: a median's error is
    // 1.253 sigma / sqrt(n), sigma 1.4826 MAD.
    const double sigma = 1.4826 * median_deviation(samples) / median(samples);
    out.noise = 1.96 * 1.253 * sigma * std::sqrt(4 / double(samples.size()));
    return out;
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
