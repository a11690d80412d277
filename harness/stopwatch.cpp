#include "harness/stopwatch.hpp"

#include <algorithm>
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

}  // namespace harness
