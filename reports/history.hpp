// The history of runs: one SQLite file, any number of years, several writers at once.
//
// A run is added whole or not at all, in one transaction; a process that is killed while it adds leaves what
// was there before. What is read is of one moment, that of the first reading. The file is in WAL mode, a
// writer waits for another up to 20 s. Its header says whose it is and of which schema: what is not ours is
// refused before it is opened, and so never written to. Whoever may not write the file reads it without
// leaving anything there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "harness/run_figures.hpp"
#include "reports/trend.hpp"

namespace reports {

// One line: file and reason.
class HistoryError : public std::runtime_error {
public:
    HistoryError(const std::string& file, const std::string& reason);
};

enum class HistoryAccess : std::uint8_t { read, write };

// A run without its figures.
struct HistoryRun {
    std::int64_t number = 0;       // in this file
    std::int64_t environment = 0;  // the same of two runs exactly where their keys are equal
    std::int64_t figures = 0;
    harness::RunFigures run;  // but for `figures`
};

// Which figures a trend is of. Empty: all.
struct TrendFilter {
    std::string row;
    std::string part;
};

// Runs that a later one may be held against.
struct BaselineFilter {
    harness::EnvironmentKey key;
    std::string until_utc;             // created no later
    std::vector<std::string> without;  // identities (sha256) of the runs that are compared
};

class History {
public:
    // With access to write, the file and its folder are made where they are not there. Throws HistoryError.
    History(const std::string& file, HistoryAccess access);
    ~History();
    History(History&&) noexcept;
    History& operator=(History&&) noexcept;

    // Adds the run with all its figures. False where it is there already, which changes nothing.
    [[nodiscard]] bool add(const harness::RunFigures& run);

    // The latest `most` runs in order of time; 0: all.
    [[nodiscard]] std::vector<HistoryRun> runs(std::int64_t most = 0) const;

    // The run with its figures.
    [[nodiscard]] harness::RunFigures with_figures(const HistoryRun& run) const;

    // In order of time: the runs of the last `nights` days (UTC) on which one passed, without those that did
    // not; or those of a commit, as is_of_commit takes it. Throws HistoryError where several commits are
    // meant.
    [[nodiscard]] std::vector<HistoryRun> green_nights(const BaselineFilter& filter, int nights) const;
    [[nodiscard]] std::vector<HistoryRun> of_commit(const BaselineFilter& filter,
                                                    const std::string& commit) const;

    [[nodiscard]] std::optional<HistoryRun> latest() const;

    // Of each environment the latest run that holds the row (and the part), the latest of all first.
    [[nodiscard]] std::vector<HistoryRun> latest_with(const TrendFilter& filter) const;

    // Parts of which runs hold the row; the whole is the empty one.
    [[nodiscard]] std::vector<std::string> parts_of(const std::string& row) const;

    // Over the last `nights` days (UTC) with runs in the environment and of the scope of `last`, up to it:
    // one point per run. Times and counts are the mean over parts (layers) and clips, of accuracy it is the
    // worst. A quantity of isolated or chained rows says so: "rho (isolated)". Not a number: of a run without
    // the quantity, or with a part of which it says nothing. Where no run has a value, there is no trend.
    [[nodiscard]] std::vector<Trend> trends(const HistoryRun& last, int nights,
                                            const TrendFilter& filter = {}) const;

    // The same of all runs in the run's own environment and scope, up to it.
    [[nodiscard]] std::vector<Trend> trends_like(const harness::RunFigures& run, int nights) const;

    // Calls `take` for every figure of every run, in order of time.
    template <typename Take>
    void for_each_figure(Take take) const {
        for (const HistoryRun& run : runs()) {
            const harness::RunFigures whole = with_figures(run);
            for (const harness::Figure& figure : whole.figures) {
                take(run, figure);
            }
        }
    }

    // Removes runs; returns how many. Older: created more than `days` before `now_utc`, both ISO 8601.
    [[nodiscard]] std::int64_t prune_older_than(int days, const std::string& now_utc);
    [[nodiscard]] std::int64_t prune_to(std::int64_t most);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace reports
