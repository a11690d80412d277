#include "harness/slow_creep.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "harness/simulated_runs.hpp"

namespace harness {
namespace {

constexpr int nights_held = 14;
constexpr int nights_of_season = 90;
constexpr std::size_t rows =
    48;  // seven steps and the whole of six layers, as a run of Whisper base has them
constexpr std::size_t creeping_row = 20;

// How the creeping row's time goes, night by night: 1 at first.
using Course = std::function<double(int)>;

double stays(int) {
    return 1;
}

Figure time_figure(std::size_t row, FigureKind kind, std::vector<double> samples) {
    Figure out;
    out.row = fmt::format("row {}", row);
    out.part = "layer 3";
    out.quantity = kind == FigureKind::measured ? "CPU ms" : "NPU ms";
    out.kind = kind;
    out.value = samples.at(samples.size() / 2);
    out.samples = kind == FigureKind::measured ? std::move(samples) : std::vector<double>();
    return out;
}

RunFigures run_of(int night, int number, std::vector<Figure> figures) {
    RunFigures out;
    out.file = "run.json";
    out.created_utc = fmt::format("2026-{:02}-{:02}T02:{:02}:00Z", 1 + night / 28, 1 + night % 28, number);
    out.sha256 = out.created_utc;
    out.commit = fmt::format("commit {}", night);
    out.figures = std::move(figures);
    return out;
}

// What `harness regress` makes of the last night of a season in which one row creeps, three runs a night.
// `apart`: how far nights as a whole are from each other, as a relative standard deviation.
Regression last_night(SimulatedRuns& clock, const Course& course, double apart = 0.01, TimeRule rule = {}) {
    std::vector<std::vector<RunFigures>> nights;
    const int last = nights_of_season - 1;
    for (int night = 0; night < nights_of_season; ++night) {
        std::vector<RunFigures>& runs = nights.emplace_back();
        if (night >= nights_held && night < last - nights_held) {
            continue;  // nobody looks at these
        }
        const double whole = clock.spread(apart);
        for (int number = 0; number < 3; ++number) {
            SamplesOfRuns samples = clock.next(rows, 6, [&](std::size_t row) {
                return whole * (row == creeping_row ? course(night) : 1) * double(1 + row);
            });
            std::vector<Figure> figures;
            for (std::size_t row = 0; row < rows; ++row) {
                figures.push_back(time_figure(row, FigureKind::measured, std::move(samples[row])));
            }
            runs.push_back(run_of(night, number, std::move(figures)));
        }
    }
    const auto runs_of = [&](int begin, int end) {
        std::vector<RunFigures> out;
        for (int night = begin; night < end; ++night) {
            out.insert(out.end(), nights[std::size_t(night)].begin(), nights[std::size_t(night)].end());
        }
        return out;
    };
    Regression out =
        compare_with_baseline(nights.back(), runs_of(last - nights_held, last), "the nights before");
    out.rule = rule;
    add_creep(out, {runs_of(0, nights_held), runs_of(last - nights_held, nights_of_season), "a season"});
    return out;
}

RegressionVerdict verdict_of(const Regression& regression, std::size_t row) {
    const auto found = std::ranges::find(regression.figures, fmt::format("row {}", row),
                                         [](const ComparedFigure& one) { return one.figure.row; });
    return found->verdict;
}

// Share of seasons with an alarm for rows that stay as they are.
double false_alarms(double apart, TimeRule rule = {}) {
    constexpr int seasons = 300;
    SimulatedRuns clock({}, 7);
    int alarms = 0;
    for (int season = 0; season < seasons; ++season) {
        alarms += last_night(clock, stays, apart, rule).count(RegressionVerdict::crept) > 0 ? 1 : 0;
    }
    return double(alarms) / seasons;
}

TEST(SlowCreep, FewerThanOneSeasonInAHundredHasAFalseAlarm) {
    EXPECT_LE(false_alarms(0.01), 0.01);
    EXPECT_LE(false_alarms(0.08), 0.01);
    // Where nights differ that much, per cent alone would not do.
    TimeRule per_cent;
    per_cent.spread_factor = 0;
    EXPECT_GE(false_alarms(0.08, per_cent), 0.05);
}

// 0.15% a night: 12% over the season, and 2% against the fortnight before, which no night shows.
TEST(SlowCreep, IsFoundWhereNoNightShowsIt) {
    SimulatedRuns clock({}, 11);
    std::size_t found = 0;
    int by_the_night = 0;
    int elsewhere = 0;
    for (int season = 0; season < 40; ++season) {
        const Regression regression = last_night(clock, [](int night) { return std::pow(1.0015, night); });
        const RegressionVerdict verdict = verdict_of(regression, creeping_row);
        const std::size_t found_here = verdict == RegressionVerdict::crept ? 1 : 0;
        found += found_here;
        by_the_night += verdict == RegressionVerdict::slower ? 1 : 0;
        elsewhere += regression.count(RegressionVerdict::crept) > found_here ? 1 : 0;
        EXPECT_EQ(regression.exit_code(), found_here > 0 ? 4 : 0);
    }
    EXPECT_GE(found, 38U);
    EXPECT_EQ(by_the_night, 0);
    EXPECT_EQ(elsewhere, 0);
}

// The nights before have got used to it.
TEST(SlowCreep, AStepOfThreeWeeksAgoIsNotForgotten) {
    SimulatedRuns clock({}, 13);
    int found = 0;
    for (int season = 0; season < 20; ++season) {
        const Regression regression = last_night(clock, [](int night) { return night < 68 ? 1 : 1.1; });
        found += verdict_of(regression, creeping_row) == RegressionVerdict::crept ? 1 : 0;
    }
    EXPECT_GE(found, 19);
}

// Four changes of the plan by 2% each, none of which is a regression by itself.
TEST(SlowCreep, ModelledTimesAddUpExactly) {
    const auto modelled = [](int night, double value) {
        return run_of(night, 0, {time_figure(1, FigureKind::modelled, {value})});
    };
    const auto against = [&](double first, double before, double now) {
        const std::vector runs{modelled(60, now)};
        const std::vector baseline{modelled(50, before)};
        Regression out = compare_with_baseline(runs, baseline, "before");
        add_creep(out, {{modelled(1, first), modelled(2, 2 * first)}, {baseline[0], runs[0]}, "a season"});
        return out;
    };
    const Regression crept = against(10, 10.6, 10.8);
    EXPECT_EQ(crept.figures.front().verdict, RegressionVerdict::crept);
    EXPECT_EQ(crept.figures.front().baseline, 10);
    EXPECT_EQ(crept.figures.front().candidate, 10.8);
    EXPECT_EQ(crept.exit_code(), 4);
    EXPECT_EQ(crept.creep, "a season");
    EXPECT_EQ(against(10.4, 10.6, 10.8).figures.front().verdict, RegressionVerdict::changed);
    EXPECT_EQ(against(10.8, 10.8, 10.8).figures.front().verdict, RegressionVerdict::same);
    // What the night shows already needs no season.
    EXPECT_EQ(against(10, 10, 10.8).figures.front().verdict, RegressionVerdict::slower);
    // Nor is what a season lacks an alarm.
    const std::vector runs{modelled(60, 10)};
    Regression without = compare_with_baseline(runs, std::vector{modelled(50, 10)}, "before");
    add_creep(without, {{}, {runs[0]}, "none"});
    EXPECT_EQ(without.exit_code(), 0);
}

}  // namespace
}  // namespace harness
