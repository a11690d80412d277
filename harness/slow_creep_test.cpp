#include "harness/slow_creep.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "harness/simulated_runs.hpp"

namespace harness {
namespace {

constexpr int nights_held = 14;
constexpr int nights_of_season = 90;
constexpr std::size_t rows = 12;
constexpr std::size_t creeping_row = 5;

// How a row's time goes, night by night: 1 at first.
using Course = std::function<double(std::size_t row, int night)>;

double stays(std::size_t, int) {
    return 1;
}

// One row goes so, the others stay.
Course creeps(std::function<double(int)> course) {
    return [course = std::move(course)](std::size_t row, int night) {
        return row == creeping_row ? course(night) : 1;
    };
}

double by_a_little(int night) {
    return std::pow(1.0015, night);
}

// How far nights as a whole are from each other, as a relative standard deviation, and how alike two that
// follow each other are (the coefficient of an autoregressive process).
struct Machine {
    double apart = 0.01;
    double memory = 0;
    Noise noise;
};

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

class Nights {
public:
    explicit Nights(const Machine& machine, std::uint64_t seed = 7)
        : machine_(machine), clock_(machine.noise, seed) {}

    // What `harness regress` makes of the last night of a season of them, three runs a night.
    Regression last(const Course& course, const TimeRule& rule = {}) {
        std::vector<std::vector<RunFigures>> nights;
        const int last = nights_of_season - 1;
        for (int night = 0; night < nights_of_season; ++night) {
            nights.emplace_back();
            const double whole = next_whole();
            if (night < nights_held || night >= last - nights_held) {  // the others are not looked at
                for (int number = 0; number < 3; ++number) {
                    nights.back().push_back(next_run(night, number, whole, course));
                }
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

private:
    double next_whole() {
        const double fresh = std::sqrt(1 - machine_.memory * machine_.memory) * machine_.apart;
        whole_ = machine_.memory * whole_ + std::log(clock_.spread(fresh));
        return std::exp(whole_);
    }

    RunFigures next_run(int night, int number, double whole, const Course& course) {
        SamplesOfRuns samples = clock_.next(
            rows, 6, [&](std::size_t row) { return whole * course(row, night) * double(1 + row); });
        std::vector<Figure> figures;
        for (std::size_t row = 0; row < rows; ++row) {
            figures.push_back(time_figure(row, FigureKind::measured, std::move(samples[row])));
        }
        return run_of(night, number, std::move(figures));
    }

    Machine machine_;
    SimulatedRuns clock_;
    double whole_ = 0;  // logarithm of how slow the night is
};

RegressionVerdict verdict_of(const Regression& regression, std::size_t row) {
    const auto found = std::ranges::find(regression.figures, fmt::format("row {}", row),
                                         [](const ComparedFigure& one) { return one.figure.row; });
    return found->verdict;
}

// Share of seasons with an alarm for rows that stay as they are.
double false_alarms(const Machine& machine, const TimeRule& rule = {}) {
    constexpr int seasons = 300;
    Nights nights(machine);
    int alarms = 0;
    for (int season = 0; season < seasons; ++season) {
        alarms += nights.last(stays, rule).count(RegressionVerdict::crept) > 0 ? 1 : 0;
    }
    return double(alarms) / seasons;
}

TEST(SlowCreep, FewerThanOneSeasonInAHundredHasAFalseAlarm) {
    EXPECT_LE(false_alarms({}), 0.01);
    Machine machine;
    machine.noise.row = 0.08;
    EXPECT_LE(false_alarms(machine), 0.01);
    // On such a machine, per cent alone would not do.
    TimeRule per_cent;
    per_cent.spread_factor = 0;
    EXPECT_GE(false_alarms(machine, per_cent), 0.05);
}

// Weeks of heat slow all rows, and are no creep of any.
TEST(SlowCreep, AMachineThatDriftsOverWeeksIsNoAlarm) {
    EXPECT_LE(false_alarms({0.08, 0.9, {}}), 0.01);
    EXPECT_LE(false_alarms({0.04, 0.95, {}}), 0.01);
}

// 0.15% a night: 12% over the season, and 2% against the fortnight before, which no night shows.
TEST(SlowCreep, IsFoundWhereNoNightShowsIt) {
    for (const Machine& machine : {Machine{}, Machine{0.08, 0, {}}, Machine{0.08, 0.9, {}}}) {
        Nights nights(machine, 11);
        constexpr std::size_t seasons = 40;
        std::size_t found = 0;
        for (std::size_t season = 0; season < seasons; ++season) {
            const Regression regression = nights.last(creeps(by_a_little));
            found += verdict_of(regression, creeping_row) == RegressionVerdict::crept ? 1U : 0U;
            EXPECT_LE(regression.count(RegressionVerdict::crept), 1U);
        }
        EXPECT_GE(found, 38U) << machine.apart;
    }
}

TEST(SlowCreep, ShowsTimesAsTheyWereMeasured) {
    const Regression regression = Nights({}).last([](std::size_t row, int night) {
        return (night < 60 ? 1 : 2) * (row == creeping_row ? by_a_little(night) : 1);
    });
    const ComparedFigure& crept = regression.figures.front();
    ASSERT_EQ(crept.verdict, RegressionVerdict::crept);
    EXPECT_GT(crept.candidate / crept.baseline, 2.1) << "on a machine that takes twice as long since";
    EXPECT_LT(crept.change->ratio, 1.2);
    EXPECT_EQ(crept.reason.substr(0, 2), "1.");
}

// The nights before get used to it, one by one.
TEST(SlowCreep, AStepIsNotForgotten) {
    for (int age = 0; age < 30; ++age) {
        Nights nights({}, 13);
        const Course step = creeps([&](int night) { return night < nights_of_season - 1 - age ? 1 : 1.15; });
        const Regression regression = nights.last(step);
        EXPECT_NE(verdict_of(regression, creeping_row), RegressionVerdict::same) << age;
        if (age > 3) {  // before that, only the night itself can tell, and may have too few runs for it
            EXPECT_EQ(regression.exit_code(), 4) << age;
        }
    }
}

// On a machine whose nights differ so much that tonight alone does not show as faster.
TEST(SlowCreep, WhatIsMendedTonightCreepsNoMore) {
    const auto crept = [](double tonight) {
        Nights nights({0.03, 0, {}}, 17);
        std::size_t out = 0;
        for (int season = 0; season < 20; ++season) {
            const Course step = creeps([&](int night) {
                return night < 60 ? 1 : night == nights_of_season - 1 ? tonight : 1.08;
            });
            out += nights.last(step).count(RegressionVerdict::crept);
        }
        return out;
    };
    EXPECT_EQ(crept(1), 0U);
    EXPECT_GE(crept(1.08), 15U);
}

// A slower machine and a build that is slower everywhere cannot be told apart: said, and no alarm.
TEST(SlowCreep, WhatSlowsEveryRowIsAmbiguous) {
    const Regression regression = Nights({}).last([](std::size_t, int night) { return by_a_little(night); });
    EXPECT_EQ(regression.exit_code(), 0);
    EXPECT_EQ(regression.count(RegressionVerdict::ambiguous), rows);
    EXPECT_TRUE(regression.figures.front().reason.starts_with("may be slower than when the season began"))
        << regression.figures.front().reason;
    EXPECT_GT(regression.figures.front().change->ratio, 1.08);
}

TEST(SlowCreep, RowsThatTheFirstNightsLackAreCounted) {
    Regression regression = Nights({}).last(stays);
    EXPECT_EQ(regression.creep, "a season; 12 of 12 measured rows could be judged");
    const RunFigures first = run_of(0, 0, {time_figure(3, FigureKind::measured, {4})});
    const RunFigures now = run_of(80, 0, {time_figure(3, FigureKind::measured, {4})});
    add_creep(regression, {{first}, {now}, "a short one"});
    EXPECT_EQ(regression.creep, "a short one; 0 of 12 measured rows could be judged");
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
        add_creep(out, {{modelled(1, first), modelled(2, 9 * first), modelled(3, first)}, runs, "a season"});
        return out;
    };
    const Regression crept = against(10, 10.6, 10.8);
    EXPECT_EQ(crept.figures.front().verdict, RegressionVerdict::crept);
    EXPECT_EQ(crept.figures.front().baseline, 10);
    EXPECT_EQ(crept.figures.front().candidate, 10.8);
    EXPECT_EQ(crept.exit_code(), 4);
    EXPECT_EQ(crept.creep, "a season; 0 of 0 measured rows could be judged");
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
