#include "harness/slow_creep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string_view>

#include "harness/stopwatch.hpp"

namespace harness {
namespace {

// Where a figure stands among those that may have crept up.
using Index = std::map<FigureIdentity, std::size_t>;

// A row's times, a night as one run; empty on a night that lacks the row. All rows have the same nights.
using NightsOfRow = TimeRow;

void add_night(std::vector<NightsOfRow>& rows, SamplesOfRuns NightsOfRow::*side,
               std::span<const RunFigures> runs, const Index& index) {
    for (NightsOfRow& row : rows) {
        (row.*side).emplace_back();
    }
    for (const RunFigures& run : runs) {
        for (const Figure& figure : run.figures) {
            if (const auto at = index.find(identity_of(figure)); at != index.end()) {
                const std::vector<double> times = times_of(figure);
                std::vector<double>& night = (rows[at->second].*side).back();
                night.insert(night.end(), times.begin(), times.end());
            }
        }
    }
}

void add_nights(std::vector<NightsOfRow>& rows, SamplesOfRuns NightsOfRow::*side,
                std::span<const RunFigures> runs, const Index& index) {
    while (!runs.empty()) {
        const auto is_later = [&](const RunFigures& run) { return day_of(run) != day_of(runs.front()); };
        const auto count = static_cast<std::size_t>(std::ranges::find_if(runs, is_later) - runs.begin());
        add_night(rows, side, runs.first(count), index);
        runs = runs.subspan(count);
    }
}

// Divides every time by how slow its night was as a whole: the median over all rows of what the row took that
// night, relative to all its nights. A machine that is warm for weeks is no creep of a row, and what a night
// does to all rows is no noise of one.
void divide_by_the_machine(std::vector<NightsOfRow>& rows) {
    std::vector<double> levels;
    for (const NightsOfRow& row : rows) {
        std::vector<double> medians = medians_of(row.baseline);
        std::ranges::copy(medians_of(row.candidate), std::back_inserter(medians));
        levels.push_back(medians.empty() ? 1 : median(medians));
    }
    for (const auto side : {&NightsOfRow::baseline, &NightsOfRow::candidate}) {
        const std::size_t nights = rows.empty() ? 0 : (rows.front().*side).size();
        for (std::size_t night = 0; night < nights; ++night) {
            std::vector<double> factors;
            for (std::size_t row = 0; row < rows.size(); ++row) {
                if (const std::vector<double>& times = (rows[row].*side)[night]; !times.empty()) {
                    factors.push_back(median(times) / levels[row]);
                }
            }
            const double machine = factors.empty() ? 1 : median(factors);
            for (NightsOfRow& row : rows) {
                for (double& time : (row.*side)[night]) {
                    time /= machine;
                }
            }
        }
    }
}

// Every other night first, so that both halves of the candidate's runs are of the whole time: a step would
// otherwise have to be as old as all of it.
std::vector<TimeChange> judge_nights(std::vector<NightsOfRow> rows, const TimeRule& rule) {
    for (NightsOfRow& row : rows) {
        SamplesOfRuns nights;
        for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
            for (std::size_t night = first; night < row.candidate.size(); night += 2) {
                nights.push_back(std::move(row.candidate[night]));
            }
        }
        row.candidate = std::move(nights);
    }
    return judge_times(rows, rule);
}

// Half as many nights as the first, or a step would not show before it is that old; three at least.
void keep_the_last(std::vector<NightsOfRow>& rows) {
    for (NightsOfRow& row : rows) {
        const std::ptrdiff_t kept = std::max<std::ptrdiff_t>(3, std::ssize(row.baseline) / 2);
        const std::ptrdiff_t surplus = std::max<std::ptrdiff_t>(0, std::ssize(row.candidate) - kept);
        row.candidate.erase(row.candidate.begin(), row.candidate.begin() + surplus);
    }
}

// Whether tonight is rather as the last nights than as the first: what is mended tonight creeps no more.
bool is_slow_tonight(const NightsOfRow& row, const TimeChange& change) {
    const std::vector<double>& tonight = row.candidate.back();
    return !tonight.empty() && median(tonight) > std::sqrt(change.baseline * change.candidate);
}

bool is_compared_time(const ComparedFigure& one) {
    return figure_quantity(one.figure.quantity).nature == FigureNature::time &&
           one.verdict != RegressionVerdict::no_data;
}

bool may_have_crept(const ComparedFigure& one) {
    return one.verdict == RegressionVerdict::same || one.verdict == RegressionVerdict::ambiguous ||
           one.verdict == RegressionVerdict::changed;
}

void set_change(ComparedFigure& one, RegressionVerdict verdict, const TimeChange& change,
                std::string reason) {
    one.verdict = verdict;
    one.reason = std::move(reason);
    one.change = change;
    one.baseline = change.baseline;
    one.candidate = change.candidate;
}

// Returns of how many rows the season says anything.
std::size_t judge_measured(const std::vector<ComparedFigure*>& figures, std::vector<NightsOfRow> rows,
                           const TimeRule& rule) {
    const std::vector<TimeChange> plain = judge_nights(rows, rule);
    divide_by_the_machine(rows);
    const std::vector<TimeChange> relative = judge_nights(rows, rule);
    std::size_t told = 0;
    for (std::size_t i = 0; i < figures.size(); ++i) {
        const TimeVerdict verdict = relative[i].verdict;
        told += verdict != TimeVerdict::ambiguous && verdict != TimeVerdict::no_data ? 1 : 0;
        if (!may_have_crept(*figures[i])) {
            continue;
        }
        if (verdict == TimeVerdict::slower && is_slow_tonight(rows[i], relative[i])) {
            set_change(*figures[i], RegressionVerdict::crept, relative[i],
                       fmt::format("{:.3f}x without what its nights did to most rows", relative[i].ratio));
            figures[i]->baseline = plain[i].baseline;  // as measured
            figures[i]->candidate = plain[i].candidate;
        } else if (verdict != TimeVerdict::slower && plain[i].verdict == TimeVerdict::slower) {
            set_change(*figures[i], RegressionVerdict::ambiguous, plain[i],
                       "may be slower than when the season began: most rows are, as by a slower machine");
        }
    }
    return told;
}

void judge_modelled(ComparedFigure& one, const NightsOfRow& row) {
    const std::vector<double> first = medians_of(row.baseline);
    if (may_have_crept(one) && !first.empty() && one.candidate > (1 + plan_tolerance) * median(first)) {
        one.verdict = RegressionVerdict::crept;
        one.reason.clear();
        one.baseline = median(first);
    }
}

}  // namespace

void add_creep(Regression& regression, const Season& season) {
    std::vector<ComparedFigure*> figures;
    Index index;
    for (ComparedFigure& one : regression.figures) {
        if (is_compared_time(one) && index.try_emplace(identity_of(one.figure), figures.size()).second) {
            figures.push_back(&one);
        }
    }
    std::vector<NightsOfRow> rows(figures.size());
    add_nights(rows, &NightsOfRow::baseline, season.first, index);
    add_nights(rows, &NightsOfRow::candidate, season.recent, index);
    keep_the_last(rows);

    std::vector<ComparedFigure*> measured;
    std::vector<NightsOfRow> by_clock;
    for (std::size_t i = 0; i < figures.size(); ++i) {
        if (figures[i]->figure.kind == FigureKind::measured) {
            measured.push_back(figures[i]);
            by_clock.push_back(std::move(rows[i]));
        } else {
            judge_modelled(*figures[i], rows[i]);
        }
    }
    const std::size_t told = judge_measured(measured, std::move(by_clock), regression.rule);
    regression.creep =
        fmt::format("{}; {} of {} measured rows could be judged", season.words, told, measured.size());
    std::ranges::stable_sort(regression.figures, {}, &ComparedFigure::verdict);
}

}  // namespace harness
