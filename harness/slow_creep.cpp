#include "harness/slow_creep.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <string_view>

namespace harness {
namespace {

// Where a figure stands among those that may have crept up.
using Index = std::map<FigureIdentity, std::size_t>;

// The times of one night, figure by figure.
std::vector<std::vector<double>> times_of_night(std::span<const RunFigures> runs, const Index& index) {
    std::vector<std::vector<double>> out(index.size());
    for (const RunFigures& run : runs) {
        for (const Figure& figure : run.figures) {
            if (const auto at = index.find(identity_of(figure)); at != index.end()) {
                const std::vector<double> times = times_of(figure);
                out[at->second].insert(out[at->second].end(), times.begin(), times.end());
            }
        }
    }
    return out;
}

void add_nights(std::vector<TimeRow>& rows, SamplesOfRuns TimeRow::*side, std::span<const RunFigures> runs,
                const Index& index) {
    while (!runs.empty()) {
        const std::string_view day = day_of(runs.front());
        const auto next =
            std::ranges::find_if(runs, [&](const RunFigures& run) { return day_of(run) != day; });
        const auto count = static_cast<std::size_t>(next - runs.begin());
        std::vector<std::vector<double>> night = times_of_night(runs.first(count), index);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (!night[i].empty()) {
                (rows[i].*side).push_back(std::move(night[i]));
            }
        }
        runs = runs.subspan(count);
    }
}

bool may_have_crept(const ComparedFigure& one) {
    return figure_quantity(one.figure.quantity).nature == FigureNature::time &&
           (one.verdict == RegressionVerdict::same || one.verdict == RegressionVerdict::ambiguous ||
            one.verdict == RegressionVerdict::changed);
}

bool set_crept(ComparedFigure& one, bool has, double before, double now) {
    if (has) {
        one.verdict = RegressionVerdict::crept;
        one.reason.clear();
        one.baseline = before;
        one.candidate = now;
    }
    return has;
}

}  // namespace

void add_creep(Regression& regression, const Season& season) {
    regression.creep = season.words;
    std::vector<ComparedFigure*> figures;
    Index index;
    for (ComparedFigure& one : regression.figures) {
        if (may_have_crept(one) && index.try_emplace(identity_of(one.figure), figures.size()).second) {
            figures.push_back(&one);
        }
    }
    std::vector<TimeRow> rows(figures.size());
    add_nights(rows, &TimeRow::baseline, season.first, index);
    add_nights(rows, &TimeRow::candidate, season.recent, index);

    std::vector<ComparedFigure*> measured;
    std::vector<TimeRow> by_clock;
    for (std::size_t i = 0; i < figures.size(); ++i) {
        if (rows[i].baseline.empty() || rows[i].candidate.empty()) {
            continue;
        }
        if (figures[i]->figure.kind == FigureKind::measured) {
            measured.push_back(figures[i]);
            by_clock.push_back(std::move(rows[i]));
        } else {
            const double before = rows[i].baseline.front().front();
            const double now = rows[i].candidate.back().back();
            set_crept(*figures[i], now > (1 + plan_tolerance) * before, before, now);
        }
    }
    const std::vector<TimeChange> changes = judge_times(by_clock, regression.rule);
    for (std::size_t i = 0; i < measured.size(); ++i) {
        const TimeChange& change = changes[i];
        if (set_crept(*measured[i], change.verdict == TimeVerdict::slower, change.baseline,
                      change.candidate)) {
            measured[i]->change = change;
        }
    }
    std::ranges::stable_sort(regression.figures, {}, &ComparedFigure::verdict);
}

}  // namespace harness
