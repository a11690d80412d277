// For tests: measured times of runs as clocks of real machines give them.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "harness/time_change.hpp"

namespace harness {

// Log-normal, in relative standard deviations: of a run as a whole, of a row in it, of a sample; a share of
// samples that take up to twice as long, a share of runs that are slower by 10 to 30% as a whole, and a drift
// within a run. 1.7% between medians of runs with 3 samples: a laptop on mains, its power mode pinned.
struct Noise {
    double run = 0.01;
    double row = 0.007;
    double sample = 0.015;
    double odd_samples = 0.05;
    double odd_runs = 0.03;
    double drift = 0.02;
};

class SimulatedRuns {
public:
    SimulatedRuns(const Noise& noise, std::uint64_t seed) : noise_(noise), random_(seed) {}

    // The samples of every row of one run around level(row).
    template <typename Level>
    SamplesOfRuns next(std::size_t rows, int samples, Level level) {
        double run = spread(noise_.run);
        if (uniform_(random_) < noise_.odd_runs) {
            run *= 1.1 + 0.2 * uniform_(random_);
        }
        const double drift = noise_.drift * (uniform_(random_) - 0.5);
        SamplesOfRuns out(rows);
        for (std::size_t row = 0; row < rows; ++row) {
            const double center = run * spread(noise_.row) * level(row);
            for (int i = 0; i < samples; ++i) {
                double sample = center * spread(noise_.sample) * (1 + drift * i / samples);
                if (uniform_(random_) < noise_.odd_samples) {
                    sample *= 1 + uniform_(random_);
                }
                out[row].push_back(sample);
            }
        }
        return out;
    }

    double spread(double sigma) { return std::exp(sigma * normal_(random_)); }

private:
    Noise noise_;
    std::mt19937_64 random_;
    std::normal_distribution<> normal_;
    std::uniform_real_distribution<> uniform_;
};

}  // namespace harness
