// Runs against a baseline, figure by figure: plain values and no input or output.
//
// Each kind is compared by its own rule, and never by another's:
//   measured  times by judge_times (time_change.hpp), all rows together
//   modelled  times exactly; slower by more than 5% is a regression of the plan, any other change is shown
//   both      over many nights besides, for what creeps up (slow_creep.hpp)
//   counted   exactly; a change is shown
//   computed  exactly, since the same bits give the same figure: any loss is shown
//   verdicts  one that was passed (or covered) and is not any more is lost, and fails; so does one that is
//             absent from a run over the same layers which judged its row elsewhere; the worst of the runs
//             decides, for accuracy figures too
// Figures that follow from others (RTF) are not compared again.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/run_figures.hpp"
#include "harness/time_change.hpp"

namespace harness {

// The worst first.
enum class RegressionVerdict : std::uint8_t {
    lost,       // a verdict
    slower,     // measured, or modelled by more than 5%
    crept,      // the same, but only beside the first nights of a season
    worse,      // an accuracy figure, however little
    ambiguous,  // measured: too few samples or runs, or too much noise; computed: runs of one build differ
    faster,
    better,   // an accuracy figure, or a verdict gained
    changed,  // a count, a modelled time by at most 5%, a verdict from one failure to another
    no_data,  // not on both sides
    same,
};

std::string_view name(RegressionVerdict verdict);

struct ComparedFigure {
    Figure figure;  // of the runs, or where they have none of the baseline; without samples
    RegressionVerdict verdict{};
    std::string reason;
    double baseline = 0;   // of measured times: the median of the runs' medians; else of the latest run
    double candidate = 0;  // the same, but of accuracy figures the worst of the runs
    std::string baseline_verdict;      // of a verdict
    std::string candidate_verdict;     // the same
    std::optional<TimeChange> change;  // of measured times
};

struct Regression {
    std::string baseline;  // what it is, in words
    std::vector<std::string> runs;
    std::string commit;                   // of the runs
    std::string baseline_commit;          // of the latest run of the baseline
    std::string differences;              // of builds: in what they bring with them, as key_difference
    std::string creep;                    // what was held against what for it, in words; empty: nothing
    std::vector<ComparedFigure> figures;  // by verdict, in the order of the enumerators, then as they came
    std::size_t measured_rows = 0;        // that took part in the correction
    TimeRule rule;

    [[nodiscard]] std::size_t count(RegressionVerdict verdict) const;
    // 1 where a verdict is lost, 4 where something is slower or has crept up, else 0.
    [[nodiscard]] int exit_code() const;
};

// By how much a modelled time may rise, relative; of measured ones see TimeRule.
inline constexpr double plan_tolerance = 0.05;

// Whether the baseline comes from another night, or from another build that was run in turn on the same
// machine: only builds may differ in what a build brings with it (compiler, BLAS, declared design).
enum class Baseline : std::uint8_t { earlier, other_build };

// Throws std::invalid_argument where a side has no run, runs differ in their environment (the field is
// named), the runs are of several commits or one is a part of a sharded run, no figure is on both sides, or a
// run is on both. Both sides in order of time.
Regression compare_with_baseline(std::span<const RunFigures> runs, std::span<const RunFigures> baseline,
                                 std::string baseline_words, Baseline kind = Baseline::earlier);

// Whether it does in a measured row.
bool noise_hides(const Regression& regression);

// Of a first comparison and a second on fresh runs, the second; but what it calls slower is only ambiguous
// where the first did not call it so, and a verdict that the first lost stays lost.
Regression reproduced_by(const Regression& first, Regression second);

// Where it is of: "scores..context layer 3 clip-0 isolated"
std::string figure_name(const Figure& figure);

}  // namespace harness
