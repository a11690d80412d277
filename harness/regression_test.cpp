#include "harness/regression.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

#include "harness/mann_whitney.hpp"
#include "harness/simulated_runs.hpp"

namespace harness {
namespace {

using testing::AllOf;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Values = std::vector<double>;

// ---- rank test -----------------------------------------------------------------------------------------

// `count` values from `first` on, `step` apart.
Values series(int count, double first, double step) {
    Values out;
    for (int i = 0; i < count; ++i) {
        out.push_back(first + step * i);
    }
    return out;
}

Values remainders(int count, int divisor) {
    Values out;
    for (int i = 0; i < count; ++i) {
        out.push_back(i % divisor);
    }
    return out;
}

struct Reference {
    Values first;
    Values second;
    double u;
    double p;
};

// Made with scipy 1.10.1: scipy.stats.mannwhitneyu(first, second, alternative="two-sided", method=...), exact
// without ties, asymptotic with them and beyond 50 values.
TEST(MannWhitney, EqualsScipy) {
    const std::array references{
        Reference{{1, 2, 3}, {4, 5, 6}, 0, 0.1},
        Reference{{19, 22, 16, 29, 24}, {20, 11, 17, 12}, 17, 0.1111111111111111},
        Reference{{0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46},
                  {1.15, 0.88, 0.90, 0.74, 1.21},
                  35,
                  0.2544122544122544},
        Reference{series(9, 0, 1.1), series(9, 4.05, 1.1), 15, 0.024434389140271493},
        Reference{series(20, 0, 1), series(15, 7.5, 1), 78, 0.015738625795409546},
        Reference{{1, 1, 2, 3}, {1, 2, 2, 4, 5}, 6, 0.37485714268334},
        Reference{{5, 5, 5}, {5, 5, 5}, 4.5, 1},
        Reference{{1, 2, 2, 3, 3, 3, 4}, {3, 4, 4, 5, 5, 6, 6, 7}, 3.5, 0.004793348746185457},
        Reference{remainders(40, 4), remainders(37, 5), 620, 0.21185173023398485},
        Reference{series(60, 0, 1), series(70, 8.5, 1), 1326, 0.00030342659539380954}};
    for (const Reference& reference : references) {
        const RankSum got = mann_whitney(reference.first, reference.second);
        EXPECT_EQ(got.u, reference.u);
        EXPECT_NEAR(got.p, reference.p, 1e-12 * reference.p);
    }
}

TEST(MannWhitney, TakesNoSide) {
    std::mt19937_64 random(1);
    std::uniform_real_distribution<> values(0, 1);
    for (int trial = 0; trial < 200; ++trial) {
        Values first(1 + std::size_t(trial % 13));
        Values second(1 + std::size_t(trial % 7));
        std::ranges::generate(first, [&] { return values(random); });
        std::ranges::generate(second, [&] { return values(random); });
        const RankSum one = mann_whitney(first, second);
        const RankSum other = mann_whitney(second, first);
        EXPECT_EQ(one.u + other.u, double(first.size() * second.size()));
        EXPECT_NEAR(one.p, other.p, 1e-14);
        EXPECT_GE(one.p, least_p(first.size(), second.size()));
        EXPECT_LE(one.p, 1);
    }
    EXPECT_EQ(mann_whitney({}, Values{1}).p, 1);
}

TEST(MannWhitney, ExactAndNormalAgreeWhereTheyMeet) {
    const double exact = mann_whitney(series(25, 0, 1), series(25, 4.5, 1)).p;
    const double normal = mann_whitney(series(26, 0, 1), series(25, 4.5, 1)).p;
    EXPECT_NEAR(std::log(exact / normal), 0, 0.7) << exact << " " << normal;
}

TEST(Holm, AdjustsStepByStepAndKeepsTheOrder) {
    // Holm 1979, by hand: 0.01 x 4, 0.02 x 3 , 0.03 x 2, 0.5 x 1.
    EXPECT_THAT(holm(Values{0.02, 0.5, 0.01, 0.03}),
                ElementsAre(DoubleNear(0.06, 1e-15), DoubleNear(0.5, 1e-15), DoubleNear(0.04, 1e-15),
                            DoubleNear(0.06, 1e-15)));
    EXPECT_THAT(holm(Values{0.9, 0.8}), ElementsAre(1, 1));
    EXPECT_THAT(holm(Values{}), IsEmpty());
}

// ---- measured times: how often the rule is wrong, by simulation -----------------------------------------

struct Night {
    int baseline_runs = 10;
    int candidate_runs = 10;
    int samples = 3;
    int rows = 48;  // seven steps and the whole of six layers, as a run of Whisper base has them
    double planted = 1;
    double planted_everywhere = 1;
    int runs_until_clear = 0;  // at most on each side, added two at a time while noise hides a change
};

// What a gate measures: two rounds A B B A over one layer, as often run as it takes up to ten rounds.
Night gate() {
    Night out;
    out.baseline_runs = out.candidate_runs = 4;
    out.samples = 9;
    out.rows = 8;
    out.runs_until_clear = 20;
    return out;
}

constexpr std::size_t planted_row = 5;

class Simulation {
public:
    Simulation(const Noise& noise, std::uint64_t seed) : runs_(noise, seed) {}

    std::vector<TimeChange> judged(const Night& night) {
        std::vector<TimeRow> rows(static_cast<std::size_t>(night.rows));
        add_runs(rows, night);
        std::vector<TimeChange> changes = judge_times(rows);
        while (static_cast<int>(rows.front().baseline.size()) < night.runs_until_clear &&
               std::ranges::any_of(changes, [](const TimeChange& one) { return noise_hides(one); })) {
            Night round = night;
            round.baseline_runs = round.candidate_runs = 2;
            add_runs(rows, round);
            changes = judge_times(rows);
        }
        return changes;
    }

private:
    struct Plant {
        double one;
        double all;
    };

    void add_runs(std::vector<TimeRow>& rows, const Night& night) {
        for (int i = 0; i < night.baseline_runs; ++i) {
            add_run(rows, &TimeRow::baseline, night, {1, 1});
        }
        for (int i = 0; i < night.candidate_runs; ++i) {
            add_run(rows, &TimeRow::candidate, night, {night.planted, night.planted_everywhere});
        }
    }

    void add_run(std::vector<TimeRow>& rows, SamplesOfRuns TimeRow::*side, const Night& night, Plant plant) {
        SamplesOfRuns run = runs_.next(rows.size(), night.samples, [&](std::size_t row) {
            return plant.all * (row == planted_row ? plant.one : 1) * double(1 + row);
        });
        for (std::size_t row = 0; row < rows.size(); ++row) {
            (rows[row].*side).push_back(std::move(run[row]));
        }
    }

    SimulatedRuns runs_;
};

bool is_alarm(const TimeChange& change) {
    return change.verdict == TimeVerdict::slower || change.verdict == TimeVerdict::faster;
}

// Share of nights on which a row of two equal builds is called slower or faster.
double false_alarms(const Noise& noise, const Night& night, int nights) {
    Simulation simulation(noise, 7);
    int alarms = 0;
    for (int i = 0; i < nights; ++i) {
        alarms += std::ranges::any_of(simulation.judged(night), is_alarm) ? 1 : 0;
    }
    return double(alarms) / nights;
}

struct Power {
    double found = 0;   // share of nights on which the planted row is called slower
    double missed = 0;  // the same, called "same"
};

Power power(const Noise& noise, Night night, int nights) {
    Simulation simulation(noise, 11);
    night.planted = 1.1;
    Power out;
    for (int i = 0; i < nights; ++i) {
        const TimeVerdict verdict = simulation.judged(night)[planted_row].verdict;
        out.found += verdict == TimeVerdict::slower ? 1.0 / nights : 0;
        out.missed += verdict == TimeVerdict::same ? 1.0 / nights : 0;
    }
    return out;
}

TEST(TimeChange, FewerThanOneNightInAHundredHasAFalseAlarm) {
    const Night interleaved;
    Night nightly;
    nightly.baseline_runs = 14;
    nightly.candidate_runs = 3;
    EXPECT_LE(false_alarms({}, interleaved, 250), 0.01);
    EXPECT_LE(false_alarms({}, nightly, 250), 0.01);
    // What nobody should measure on: twice and thrice the noise.
    Noise noisy{0.02, 0.015, 0.03, 0.08, 0.05, 0.04};
    EXPECT_LE(false_alarms(noisy, nightly, 250), 0.01);
    noisy = {0.03, 0.03, 0.05, 0.1, 0.05, 0.05};
    EXPECT_LE(false_alarms(noisy, nightly, 250), 0.01);
    EXPECT_LE(false_alarms(noisy, interleaved, 150), 0.01);
}

// How other compare tools decide: a corrected rank test alone, or per cent alone.
struct WeakerRules {
    double rank_test = 0;
    double per_cent = 0;
};

WeakerRules weaker_rules(const Noise& noise, const Night& night, int nights) {
    Simulation simulation(noise, 5);
    WeakerRules alarms;
    for (int i = 0; i < nights; ++i) {
        const std::vector<TimeChange> changes = simulation.judged(night);
        const auto is_significant = [](const TimeChange& change) { return change.p <= 0.01; };
        const auto is_large = [](const TimeChange& change) { return std::abs(change.ratio - 1) > 0.05; };
        alarms.rank_test += std::ranges::any_of(changes, is_significant) ? 1.0 / nights : 0;
        alarms.per_cent += std::ranges::any_of(changes, is_large) ? 1.0 / nights : 0;
    }
    return alarms;
}

// More runs until the noise is small enough: neither a false alarm more, nor a slowdown left undecided.
TEST(TimeChange, RoundsUntilClearDecideAndRaiseNoFalseAlarm) {
    const Noise shared_machine{0.018, 0.01, 0.03, 0.08, 0.05, 0.03};
    for (const Noise& noise : {Noise{}, shared_machine}) {
        EXPECT_LE(false_alarms(noise, gate(), 1000), 0.01);
        const Power decided = power(noise, gate(), 300);
        EXPECT_GE(decided.found, 0.95);
        EXPECT_LE(decided.missed, 0.01);
    }
    Night two_rounds = gate();
    two_rounds.runs_until_clear = 0;
    EXPECT_LE(power(shared_machine, two_rounds, 300).found, 0.8);
}

TEST(TimeChange, TheSameNoiseFoolsWeakerRules) {
    Night nightly;
    nightly.baseline_runs = 14;
    nightly.candidate_runs = 4;
    const WeakerRules alarms = weaker_rules({}, nightly, 100);
    EXPECT_GE(alarms.rank_test, 0.05);
    EXPECT_GE(weaker_rules({0.03, 0.03, 0.05, 0.1, 0.05, 0.05}, nightly, 100).per_cent, 0.9);
}

TEST(TimeChange, ASlowdownOfTenPerCentIsFound) {
    const Power interleaved = power({}, {}, 300);
    EXPECT_GE(interleaved.found, 0.95);
    EXPECT_LE(interleaved.missed, 0.01);
    // With few runs it may not be found, but then it is ambiguous and not called the same.
    for (const int candidate_runs : {1, 3}) {
        Night nightly;
        nightly.baseline_runs = 14;
        nightly.candidate_runs = candidate_runs;
        EXPECT_LE(power({}, nightly, 150).missed, 0.05) << candidate_runs;
    }
}

TEST(TimeChange, WhatSlowsEveryRowIsFoundInEveryRow) {
    Simulation simulation({}, 3);
    Night night;
    night.planted_everywhere = 1.15;
    EXPECT_TRUE(std::ranges::all_of(simulation.judged(night), [](const TimeChange& change) {
        return change.verdict == TimeVerdict::slower && change.ratio > 1.08 && change.ratio < 1.22;
    }));
    night.planted_everywhere = 0.85;
    EXPECT_TRUE(std::ranges::all_of(simulation.judged(night), [](const TimeChange& change) {
        return change.verdict == TimeVerdict::faster && change.p <= 0.01;
    }));
}

// ---- measured times: single rows -----------------------------------------------------------------------

// Runs of `samples` samples around `center`, `apart` from run to run, all different.
SamplesOfRuns runs_around(double center, int runs, double apart, int samples = 9) {
    SamplesOfRuns out;
    for (int i = 0; i < runs; ++i) {
        out.push_back(series(samples, center * (1 + apart * (i - 0.5 * (runs - 1))), 1e-5 * center));
    }
    return out;
}

TEST(TimeChange, SaysWhatIsMissing) {
    const auto judged = [](SamplesOfRuns baseline, SamplesOfRuns candidate) {
        return judge_times({{std::move(baseline), std::move(candidate)}}).front();
    };
    TimeChange change = judged(runs_around(1, 3, 0.01), runs_around(1.2, 3, 0.01));
    EXPECT_EQ(change.verdict, TimeVerdict::slower);
    EXPECT_NEAR(change.ratio, 1.2, 1e-3);

    change = judged(runs_around(1, 1, 0, 3), runs_around(1.2, 1, 0, 3));
    EXPECT_EQ(change.verdict, TimeVerdict::ambiguous);
    EXPECT_EQ(change.reason, "too few samples: 3 against 3; 5 against 5 would do");

    change = judged(runs_around(1, 1, 0), runs_around(1.2, 1, 0));
    EXPECT_EQ(change.reason, "may be slower: runs 1 against 1, at least 3 against 2 are needed");
    EXPECT_FALSE(change.spread);
    change = judged(runs_around(1, 7, 0.004), runs_around(0.8, 1, 0));
    EXPECT_EQ(change.reason, "may be faster: runs 1 against 7, at least 3 against 2 are needed");

    // The first of the three runs is as the baseline.
    SamplesOfRuns candidate = runs_around(1.3, 2, 0.0002);
    candidate.insert(candidate.begin(), runs_around(1.0, 1, 0).front());
    change = judged(runs_around(1, 14, 0.0002), candidate);
    EXPECT_EQ(change.verdict, TimeVerdict::ambiguous);
    EXPECT_EQ(change.reason, "may be slower: not reproduced");

    change = judged(runs_around(1, 4, 0.06), runs_around(1.02, 4, 0.06));
    EXPECT_EQ(change.reason, "runs of one build differ too much to see a change of 10%");
    change = judged(runs_around(1, 4, 0.005), runs_around(1.03, 4, 0.005));
    EXPECT_EQ(change.verdict, TimeVerdict::same);
    change = judged({}, runs_around(1, 4, 0.005));
    EXPECT_EQ(change.verdict, TimeVerdict::no_data);
    EXPECT_EQ(change.reason, "the baseline has no samples");
}

TEST(TimeChange, TellsHowManySamplesItTakes) {
    EXPECT_EQ(samples_needed(1), 5);
    EXPECT_EQ(samples_needed(50), 8);
    EXPECT_EQ(judge_times({}).size(), 0U);
}

// ---- every kind by its own rule ------------------------------------------------------------------------

RunFigures run(std::vector<Figure> figures, std::string file = "run.json") {
    RunFigures out;
    static int made = 0;
    out.file = std::move(file);
    out.sha256 = fmt::format("run {}", ++made);
    out.scope = "3";
    out.created_utc = "2026-01-01T00:00:00Z";
    out.commit = "abc";
    out.key.cpu = "a processor";
    out.key.threads = "2";
    out.figures = std::move(figures);
    return out;
}

Figure figure(std::string quantity, FigureKind kind, double value, std::optional<Verdict> verdict = {}) {
    return {"scores", "layer 3", "clip", "", std::move(quantity), kind, value, {}, verdict};
}

ComparedFigure compared(const Figure& now, const Figure& before) {
    const std::vector runs{run({now})};
    const std::vector baseline{run({before}, "base.json")};
    return compare_with_baseline(runs, baseline, "base.json").figures.front();
}

TEST(Regression, AccuracyIsComparedToTheLastBit) {
    const auto verdict = [](const char* quantity, double now, double before) {
        return compared(figure(quantity, FigureKind::computed, now),
                        figure(quantity, FigureKind::computed, before))
            .verdict;
    };
    const double nothing = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(verdict("rho", 0.5, 0.5), RegressionVerdict::same);
    EXPECT_EQ(verdict("rho", std::nextafter(0.5, 1), 0.5), RegressionVerdict::worse);
    EXPECT_EQ(verdict("rho", std::nextafter(0.5, 0), 0.5), RegressionVerdict::better);
    EXPECT_EQ(verdict("match %", std::nextafter(99.9, 0), 99.9), RegressionVerdict::worse);
    EXPECT_EQ(verdict("headroom dB", std::nextafter(6.0, 7), 6), RegressionVerdict::better);
    EXPECT_EQ(verdict("match %", nothing, nothing), RegressionVerdict::same);
    EXPECT_EQ(verdict("match %", nothing, 99.9), RegressionVerdict::worse);
    EXPECT_EQ(verdict("rho", std::numeric_limits<double>::infinity(), 0.9), RegressionVerdict::worse);
}

TEST(Regression, ModelledTimesAndCountsAreComparedExactly) {
    const auto verdict = [](const char* quantity, FigureKind kind, double ratio) {
        return compared(figure(quantity, kind, 1000 * ratio), figure(quantity, kind, 1000)).verdict;
    };
    EXPECT_EQ(verdict("NPU ms", FigureKind::modelled, 1), RegressionVerdict::same);
    EXPECT_EQ(verdict("NPU ms", FigureKind::modelled, 1.049), RegressionVerdict::changed);
    EXPECT_EQ(verdict("NPU ms", FigureKind::modelled, 1.051), RegressionVerdict::slower);
    EXPECT_EQ(verdict("NPU ms", FigureKind::modelled, 0.9), RegressionVerdict::faster);
    EXPECT_EQ(verdict("launches", FigureKind::counted, 2), RegressionVerdict::changed);
    // A measured time is never held against a modelled one.
    EXPECT_THROW(
        compared(figure("NPU ms", FigureKind::measured, 1), figure("NPU ms", FigureKind::modelled, 1)),
        std::invalid_argument);
}

TEST(Regression, ALostVerdictFailsAndAGainedOneIsShown) {
    const auto verdict = [](Verdict now, Verdict before) {
        return compared(figure("verdict", FigureKind::computed, 0, now),
                        figure("verdict", FigureKind::computed, 0, before))
            .verdict;
    };
    for (const Verdict bad : {Verdict::failed, Verdict::mistrusted, Verdict::not_run, Verdict::unstable}) {
        EXPECT_EQ(verdict(bad, Verdict::passed), RegressionVerdict::lost);
        EXPECT_EQ(verdict(bad, Verdict::covered), RegressionVerdict::lost);
        EXPECT_EQ(verdict(Verdict::passed, bad), RegressionVerdict::better);
        EXPECT_EQ(verdict(bad, bad), RegressionVerdict::same);
        EXPECT_EQ(verdict(bad, Verdict::accepted), RegressionVerdict::lost);
        EXPECT_EQ(verdict(Verdict::accepted, bad), RegressionVerdict::better);
    }
    EXPECT_EQ(verdict(Verdict::accepted, Verdict::passed), RegressionVerdict::lost);
    EXPECT_EQ(verdict(Verdict::passed, Verdict::accepted), RegressionVerdict::better);
    EXPECT_EQ(verdict(Verdict::accepted, Verdict::accepted), RegressionVerdict::same);
    EXPECT_EQ(verdict(Verdict::failed, Verdict::mistrusted), RegressionVerdict::changed);
}

// Not for one night only: the night that was worse is a baseline too, where its miss was accepted.
TEST(Regression, WhatPassedInAnyNightOfTheBaselineIsLost) {
    const Figure good = figure("verdict", FigureKind::computed, 0, Verdict::passed);
    const Figure accepted = figure("verdict", FigureKind::computed, 0, Verdict::accepted);
    const std::vector runs{run({accepted})};
    const std::vector baseline{run({good}), run({accepted})};
    const Regression regression = compare_with_baseline(runs, baseline, "base");
    EXPECT_EQ(regression.figures.front().verdict, RegressionVerdict::lost);
}

TEST(Regression, AFailureInOneOfSeveralRunsIsLost) {
    const Figure good = figure("verdict", FigureKind::computed, 0, Verdict::passed);
    const Figure bad = figure("verdict", FigureKind::computed, 0, Verdict::failed);
    const std::vector runs{run({bad}), run({good})};
    const std::vector baseline{run({good})};
    const Regression regression = compare_with_baseline(runs, baseline, "base");
    EXPECT_EQ(regression.figures.front().candidate_verdict, "failed");
    EXPECT_EQ(regression.exit_code(), 1);
}

TEST(Regression, ComputedFiguresThatDifferBetweenRunsOfOneBuildAreAmbiguous) {
    const std::vector runs{run({figure("rho", FigureKind::computed, 0.4)}),
                           run({figure("rho", FigureKind::computed, 0.5)})};
    const std::vector baseline{run({figure("rho", FigureKind::computed, 0.5)})};
    EXPECT_EQ(compare_with_baseline(runs, baseline, "base").figures.front().verdict,
              RegressionVerdict::ambiguous);
}

TEST(Regression, AnAccuracyThatOneOfTheRunsLostIsShownWhicheverItIs) {
    const auto of = [](double match) { return run({figure("match %", FigureKind::computed, match)}); };
    const std::vector baseline{of(99.99)};
    for (const auto& values :
         {std::array{94.0, 99.99, 99.99}, std::array{99.99, 94.0, 99.99}, std::array{99.99, 99.99, 94.0}}) {
        const std::vector runs{of(values[0]), of(values[1]), of(values[2])};
        const ComparedFigure figure = compare_with_baseline(runs, baseline, "base").figures.front();
        EXPECT_EQ(figure.verdict, RegressionVerdict::worse);
        EXPECT_EQ(figure.candidate, 94);
        EXPECT_THAT(figure.reason, HasSubstr("runs of one build differ"));
    }
}

// What one of the runs did not judge, others did; a run that was not asked for the row lacks nothing.
TEST(Regression, AVerdictThatOneOfTheRunsLacksIsLost) {
    const auto verdict_in = [](const char* part) {
        return Figure{"scores", part, "clip", "", "verdict", FigureKind::computed, 0, {}, Verdict::passed};
    };
    const Figure other{"query", "layer 3", "clip",         "", "verdict", FigureKind::computed,
                       0,       {},        Verdict::passed};
    const std::vector whole{run({verdict_in("layer 3"), verdict_in("layer 4"), other})};
    const std::vector lacking{run({verdict_in("layer 3"), other}),
                              run({verdict_in("layer 3"), verdict_in("layer 4"), other})};
    const Regression regression = compare_with_baseline(lacking, whole, "base");
    EXPECT_EQ(regression.figures.front().verdict, RegressionVerdict::lost);
    EXPECT_EQ(regression.figures.front().figure.part, "layer 4");
    EXPECT_EQ(regression.exit_code(), 1);
    const std::vector of_other_ops{run({other}), run({verdict_in("layer 3"), verdict_in("layer 4"), other})};
    EXPECT_EQ(compare_with_baseline(of_other_ops, whole, "base").exit_code(), 0);
}

TEST(Regression, APartOfAShardedRunIsRefused) {
    const Figure any = figure("launches", FigureKind::counted, 3);
    std::vector runs{run({any})};
    const std::vector baseline{run({any})};
    runs.front().missing = "holds only 1 of 2 shards";
    try {
        compare_with_baseline(runs, baseline, "base");
        FAIL() << "compared";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), AllOf(HasSubstr("run.json holds only 1 of 2 shards"), HasSubstr("merge")));
    }
}

TEST(Regression, LostWinsOverSlowerAndBothComeFirst) {
    const std::vector runs{
        run({figure("launches", FigureKind::counted, 3), figure("NPU ms", FigureKind::modelled, 12),
             figure("verdict", FigureKind::computed, 0, Verdict::failed),
             figure("tiles", FigureKind::counted, 3)})};
    std::vector baseline{
        run({figure("launches", FigureKind::counted, 3), figure("NPU ms", FigureKind::modelled, 10),
             figure("verdict", FigureKind::computed, 0, Verdict::passed),
             figure("bytes", FigureKind::counted, 3)})};
    Regression regression = compare_with_baseline(runs, baseline, "base");
    EXPECT_EQ(regression.exit_code(), 1);
    std::vector<RegressionVerdict> order;
    for (const ComparedFigure& one : regression.figures) {
        order.push_back(one.verdict);
    }
    EXPECT_THAT(order,
                ElementsAre(RegressionVerdict::lost, RegressionVerdict::slower, RegressionVerdict::no_data,
                            RegressionVerdict::no_data, RegressionVerdict::same));
    EXPECT_EQ(regression.figures[2].reason, "not in the baseline");
    EXPECT_EQ(regression.figures[3].reason, "only in the baseline");
    baseline[0].figures[2].verdict = Verdict::failed;
    EXPECT_EQ(compare_with_baseline(runs, baseline, "base").exit_code(), 4);
}

TEST(Regression, RefusesAnotherEnvironmentAndNamesTheField) {
    const Figure any = figure("rho", FigureKind::computed, 0.4);
    for (const KeyField& field : key_fields()) {
        const std::vector runs{run({any})};
        std::vector baseline{run({any}, "base.json")};
        baseline[0].key.*field.value += "x";
        try {
            compare_with_baseline(runs, baseline, "base");
            ADD_FAILURE() << field.name;
        } catch (const std::invalid_argument& error) {
            EXPECT_THAT(
                error.what(),
                HasSubstr("run.json and base.json cannot be compared: " + std::string(field.name) + ": "));
        }
    }
    std::vector runs{run({any}), run({any})};
    const std::vector baseline{run({any})};
    runs[1].commit = "def";
    EXPECT_THROW(compare_with_baseline(runs, baseline, "base"), std::invalid_argument);
    EXPECT_THROW(compare_with_baseline({}, baseline, "base"), std::invalid_argument);
    EXPECT_THROW(compare_with_baseline(baseline, {}, "base"), std::invalid_argument);
}

TEST(Regression, BuildsMayDifferInWhatTheyBringAndNothingElse) {
    const Figure any = figure("rho", FigureKind::computed, 0.4);
    for (const KeyField& field : key_fields()) {
        const std::vector runs{run({any})};
        std::vector baseline{run({any})};
        baseline[0].key.*field.value += "x";
        if (field.of_build) {
            EXPECT_THAT(compare_with_baseline(runs, baseline, "b", Baseline::other_build).differences,
                        HasSubstr(std::string(field.name) + ": "));
        } else {
            EXPECT_THROW(compare_with_baseline(runs, baseline, "b", Baseline::other_build),
                         std::invalid_argument)
                << field.name;
        }
    }
    const std::vector runs{run({any})};
    std::vector itself{run({any}), runs[0]};
    EXPECT_THROW(compare_with_baseline(runs, itself, "b"), std::invalid_argument);
}

TEST(Regression, AVerdictThatIsGoneIsLostWhereItWasAskedFor) {
    const auto verdict = [](std::string row, std::string part) {
        Figure out = figure("verdict", FigureKind::computed, 0, Verdict::passed);
        out.row = std::move(row);
        out.part = std::move(part);
        return out;
    };
    std::vector baseline{
        run({verdict("scores", "layer 3"), verdict("scores", "layer 4"), verdict("probe ones", "layer 3")})};
    const std::vector runs{run({verdict("scores", "layer 3")})};
    const auto found = [&] { return compare_with_baseline(runs, baseline, "base").figures; };
    // No run without probes has lost them.
    EXPECT_EQ(found()[0].verdict, RegressionVerdict::lost);
    EXPECT_EQ(found()[0].figure.part, "layer 4");
    EXPECT_EQ(found()[0].candidate_verdict, "absent");
    EXPECT_EQ(found()[1].verdict, RegressionVerdict::no_data);
    // Nor has a run over fewer layers.
    baseline[0].scope = "3-4";
    EXPECT_EQ(found()[0].verdict, RegressionVerdict::no_data);
    // What had failed is no loss.
    baseline[0].scope = "3";
    baseline[0].figures[1].verdict = Verdict::failed;
    EXPECT_EQ(found()[0].verdict, RegressionVerdict::no_data);
}

TEST(Regression, ASecondLookForgivesTimesAndNoVerdict) {
    const std::vector baseline{run({figure("verdict", FigureKind::computed, 0, Verdict::passed),
                                    figure("launches", FigureKind::counted, 3)})};
    const auto against = [&](Verdict verdict) {
        const std::vector runs{run({figure("verdict", FigureKind::computed, 0, verdict),
                                    figure("launches", FigureKind::counted, 3)})};
        return compare_with_baseline(runs, baseline, "base");
    };
    const Regression lost = reproduced_by(against(Verdict::failed), against(Verdict::passed));
    EXPECT_EQ(lost.exit_code(), 1);
    EXPECT_EQ(lost.figures.size(), 2U);
    EXPECT_EQ(lost.figures[0].candidate_verdict, "failed");
    EXPECT_EQ(reproduced_by(against(Verdict::passed), against(Verdict::failed)).exit_code(), 1);
    EXPECT_EQ(reproduced_by(against(Verdict::failed), against(Verdict::failed)).figures.size(), 2U);
    EXPECT_EQ(reproduced_by(against(Verdict::passed), against(Verdict::passed)).exit_code(), 0);
    // Slower in the second rounds only.
    Regression slow = against(Verdict::passed);
    slow.figures[0].verdict = RegressionVerdict::slower;
    slow.figures[0].change = TimeChange{};
    EXPECT_EQ(reproduced_by(slow, slow).exit_code(), 4);
    EXPECT_EQ(reproduced_by(against(Verdict::passed), slow).exit_code(), 0);
}

TEST(Regression, MeasuredTimesOfManyRunsAreFoundSlower) {
    const auto runs_of = [](double center, int count) {
        std::vector<RunFigures> out;
        for (const std::vector<double>& samples : runs_around(center, count, 0.005)) {
            Figure one = figure("CPU ms", FigureKind::measured, samples.front());
            one.samples = samples;
            out.push_back(run({one, figure("CPU RTF", FigureKind::measured, center)}));
        }
        return out;
    };
    const Regression slower = compare_with_baseline(runs_of(12, 3), runs_of(10, 3), "base");
    ASSERT_EQ(slower.figures.size(), 1U) << "RTF follows from the times";
    EXPECT_EQ(slower.figures.front().verdict, RegressionVerdict::slower);
    EXPECT_NEAR(slower.figures.front().candidate, 12, 0.01);
    EXPECT_EQ(slower.exit_code(), 4);
    EXPECT_EQ(compare_with_baseline(runs_of(10.1, 3), runs_of(10, 3), "base").exit_code(), 0);
}

}  // namespace
}  // namespace harness
