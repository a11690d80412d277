// Whether measured times changed from one build to another: the statistics of the regression check.
//
// A row is slower (or faster) only if all of this holds, and ambiguous where some of it does:
//   beyond       the ratio of medians leaves 1 by more than max(least_effect, 2 x the A/A spread of the row)
//   significant  a two-sided Mann-Whitney test on all samples, Holm-corrected over all rows, at alpha
//   reproduced   three or more runs of the candidate (one may be odd), of which the earlier and the later
//                half are each beyond, and lie no further apart than three standard errors
// Samples of one run are alike and runs are not, so that a rank test of samples alone would call every warm
// night a regression. The A/A spread of a row says what runs differ by: with as many runs, the ratio of two
// equal builds stays within it in 19 of 20 cases. It is 1.96 standard errors, 1.25 sigma sqrt(1/n + 1/m) each
// for medians of n and m runs, with sigma from the median of the relative differences between any two runs of
// one build (0.954 sigma), so that one odd night among several does not count; but no less than the median of
// that over all rows, since two runs may agree by chance.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace harness {

// Samples of one row, run by run.
using SamplesOfRuns = std::vector<std::vector<double>>;

// Of each run that has samples.
std::vector<double> medians_of(const SamplesOfRuns& runs);

struct TimeRow {
    SamplesOfRuns baseline;
    SamplesOfRuns candidate;
};

enum class TimeVerdict : std::uint8_t { same, faster, slower, ambiguous, no_data };

struct TimeChange {
    TimeVerdict verdict = TimeVerdict::no_data;
    std::string reason;            // of what is ambiguous, or lacks data
    double baseline = 0;           // median of the runs' medians
    double candidate = 0;          // the same
    double ratio = 0;              // candidate over baseline
    std::optional<double> spread;  // A/A, relative; none where no build has two runs
    double threshold = 0;          // relative change that is beyond
    double p = 1;                  // Holm-adjusted
    double visible = 0;            // relative change that would be seen in 19 of 20 cases
};

struct TimeRule {
    double least_effect = 0.05;
    double spread_factor = 2;
    double alpha = 0.01;    // chance of one false alarm among all rows
    double must_see = 0.1;  // "same" is said only where this change would have been seen in 19 of 20 cases
};

// Every row judged, in the order given. Samples are positive and finite, runs in order of time; a row with no
// samples on a side is no_data.
std::vector<TimeChange> judge_times(const std::vector<TimeRow>& rows, const TimeRule& rule = {});

// Whether runs of one build differ too much to see the change that must be seen. Asks for the spread alone
// and not for what changed: to add runs until it is false favours no verdict.
bool noise_hides(const TimeChange& change, const TimeRule& rule = {});

// Samples on each side with which `rows` rows can be told apart at all: 8 for 50 rows at alpha 0.01.
int samples_needed(std::size_t rows, const TimeRule& rule = {});

}  // namespace harness
