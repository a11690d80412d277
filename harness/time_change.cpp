#include "harness/time_change.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/mann_whitney.hpp"
#include "harness/stopwatch.hpp"

namespace harness {
namespace {

// Of normal deviates, in units of sigma: the median of the difference between two, and the standard error of
// a median, times the root of their number.
constexpr double median_difference = 0.9539;
constexpr double median_error = 1.2533;
// In standard errors: 19 of 20 deviates lie within the first on both sides, beyond the second on one.
constexpr double two_sided = 1.96;
constexpr double one_sided = 1.645;
constexpr double apart_at_most = 3;

std::vector<double> all_of(const SamplesOfRuns& runs) {
    std::vector<double> out;
    for (const std::vector<double>& samples : runs) {
        out.insert(out.end(), samples.begin(), samples.end());
    }
    return out;
}

// Adds the relative differences between any two runs of one build.
void add_differences(std::vector<double>& out, const std::vector<double>& medians) {
    for (std::size_t i = 0; i < medians.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            out.push_back(2 * std::abs(medians[i] - medians[j]) / (medians[i] + medians[j]));
        }
    }
}

struct Measured {
    std::vector<double> baseline;  // medians, run by run
    std::vector<double> candidate;
    double least_p = 1;  // that samples as many as these can have
    std::size_t baseline_samples = 0;
    std::size_t candidate_samples = 0;
};

// Whether the earlier and the later half of the candidate's runs each are beyond the threshold, and no
// further apart than three standard errors: a night on which everything is slow would lend its weight to
// whatever row happens to be slow in the other half.
bool reproduced(const Measured& measured, const TimeChange& change) {
    const std::vector<double>& runs = measured.candidate;
    const auto middle = runs.begin() + std::ssize(runs) / 2;
    const double earlier = median({runs.begin(), middle});
    const double later = median({middle, runs.end()});
    const auto beyond = [&](double half) {
        const double ratio = half / change.baseline;
        return (change.ratio > 1 ? ratio : 1 / ratio) > 1 + change.threshold;
    };
    const double errors = (1 / double(middle - runs.begin()) + 1 / double(runs.end() - middle)) /
                          (1 / double(runs.size()) + 1 / double(measured.baseline.size()));
    const double apart = std::max(earlier / later, later / earlier) - 1;
    return beyond(earlier) && beyond(later) &&
           apart <= apart_at_most / two_sided * change.spread.value_or(0) * std::sqrt(errors);
}

void decide(TimeChange& change, const Measured& measured, std::size_t rows, const TimeRule& rule) {
    change.verdict = TimeVerdict::ambiguous;
    if (measured.least_p * double(rows) > rule.alpha) {
        const int needed = samples_needed(rows, rule);
        change.reason = fmt::format("too few samples: {} against {}; {} against {} would do",
                                    measured.candidate_samples, measured.baseline_samples, needed, needed);
        return;
    }
    const double effect = std::max(change.ratio, 1 / change.ratio) - 1;
    const bool beyond = effect > change.threshold;
    const char* direction = change.ratio > 1 ? "slower" : "faster";
    if (!beyond && noise_hides(change, rule)) {
        change.reason =
            fmt::format("runs of one build differ too much to see a change of {:.0f}%", 100 * rule.must_see);
    } else if (!beyond) {
        change.verdict = TimeVerdict::same;
    } else if (change.p > rule.alpha) {
        change.reason = fmt::format("may be {}: not significant", direction);
    } else if (measured.baseline.size() < 2 || measured.candidate.size() < 3) {
        change.reason = fmt::format("may be {}: runs {} against {}, at least 3 against 2 are needed",
                                    direction, measured.candidate.size(), measured.baseline.size());
    } else if (!reproduced(measured, change)) {
        change.reason = fmt::format("may be {}: not reproduced", direction);
    } else {
        change.verdict = change.ratio > 1 ? TimeVerdict::slower : TimeVerdict::faster;
    }
}

}  // namespace

std::vector<double> medians_of(const SamplesOfRuns& runs) {
    std::vector<double> out;
    for (const std::vector<double>& samples : runs) {
        if (!samples.empty()) {
            out.push_back(median(samples));
        }
    }
    return out;
}

bool noise_hides(const TimeChange& change, const TimeRule& rule) {
    return change.visible > rule.must_see;
}

int samples_needed(std::size_t rows, const TimeRule& rule) {
    std::size_t samples = 2;
    while (least_p(samples, samples) * double(rows) > rule.alpha) {
        ++samples;
    }
    return static_cast<int>(samples);
}

std::vector<TimeChange> judge_times(const std::vector<TimeRow>& rows, const TimeRule& rule) {
    std::vector<TimeChange> out(rows.size());
    std::vector<Measured> measured(rows.size());
    std::vector<std::size_t> present;  // rows with samples on both sides
    std::vector<double> p;
    std::vector<double> spreads;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        Measured& one = measured[i];
        one.baseline = medians_of(rows[i].baseline);
        one.candidate = medians_of(rows[i].candidate);
        if (one.baseline.empty() || one.candidate.empty()) {
            out[i].reason = one.baseline.empty() ? "the baseline has no samples" : "this run has no samples";
            continue;
        }
        const std::vector<double> before = all_of(rows[i].baseline);
        const std::vector<double> now = all_of(rows[i].candidate);
        one.baseline_samples = before.size();
        one.candidate_samples = now.size();
        one.least_p = least_p(now.size(), before.size());
        out[i].baseline = median(one.baseline);
        out[i].candidate = median(one.candidate);
        out[i].ratio = out[i].candidate / out[i].baseline;
        std::vector<double> differences;
        add_differences(differences, one.baseline);
        add_differences(differences, one.candidate);
        if (!differences.empty()) {
            const double runs = 1 / double(one.baseline.size()) + 1 / double(one.candidate.size());
            const double sigma = median(differences) / median_difference;
            out[i].spread = two_sided * median_error * sigma * std::sqrt(runs);
            spreads.push_back(*out[i].spread);
        }
        p.push_back(mann_whitney(now, before).p);
        present.push_back(i);
    }
    const std::vector<double> adjusted = holm(p);
    const double typical = spreads.empty() ? 0.0 : median(spreads);
    for (std::size_t k = 0; k < present.size(); ++k) {
        TimeChange& change = out[present[k]];
        change.p = adjusted[k];
        if (change.spread) {
            change.spread = std::max(*change.spread, typical);
        }
        const double spread = change.spread.value_or(0);
        change.threshold = std::max(rule.least_effect, rule.spread_factor * spread);
        change.visible = change.threshold + one_sided / two_sided * spread;
        decide(change, measured[present[k]], present.size(), rule);
    }
    return out;
}

}  // namespace harness
