// The statistics behind a comparison of times: no assumption about how they are distributed.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace harness {

struct RankSum {
    double u = 0;  // pairs of which the first sample's value is the larger one; ties count half
    double p = 1;  // two-sided
};

// Mann-Whitney U of two samples. Exact (the distribution of U under equality counted out) where no two values
// are equal and there are at most `most_exact` of them; else the normal approximation with the variance
// corrected for ties and a continuity correction of 1/2 (Lehmann, Nonparametrics, 1975, sections 1.2, 1.4).
// p is 1 where a sample is empty.
RankSum mann_whitney(std::span<const double> first, std::span<const double> second);

// Beyond this the counts of the exact distribution could leave the integers that a double holds.
inline constexpr std::size_t most_exact = 50;

// The smallest p that samples of these sizes can have, which they have when they do not overlap.
double least_p(std::size_t first, std::size_t second);

// Adjusted by Holm (Scand. J. Statist. 6, 1979): rejecting where the adjusted p is at most alpha keeps the
// chance of one false rejection among all at most alpha, whatever depends on what. In the order given.
std::vector<double> holm(std::span<const double> p);

}  // namespace harness
