// `harness regress`: runs against a baseline.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <span>
#include <utility>

#include "datasets/recording.hpp"
#include "harness/atomic_file.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/interleaved_builds.hpp"
#include "harness/progress.hpp"
#include "harness/regression.hpp"
#include "harness/run_figures_json.hpp"
#include "harness/run_record_read.hpp"
#include "harness/run_record_whole.hpp"
#include "harness/slow_creep.hpp"
#include "harness/user_folder.hpp"
#include "reports/history.hpp"
#include "reports/markdown.hpp"
#include "reports/regression_text.hpp"

namespace harness {
namespace {

std::vector<RunFigures> read_in_order_of_time(const std::vector<std::string>& files) {
    std::vector<RunFigures> runs;
    for (const std::string& file : files) {
        runs.push_back(read_run_figures(file));
        const auto same =
            std::ranges::find(runs.begin(), std::prev(runs.end()), runs.back().sha256, &RunFigures::sha256);
        if (same != std::prev(runs.end())) {
            throw UsageError(fmt::format("{} and {} are the same run: it counts once", same->file, file));
        }
    }
    std::ranges::stable_sort(runs, {}, &RunFigures::created_utc);
    return runs;
}

// What keeps the history from having a baseline, for the message.
std::string why_none(const reports::History& history, const RegressOptions& options, const RunFigures& run) {
    const auto latest = history.latest();
    if (!latest) {
        return "it is empty";
    }
    const std::string difference = key_difference(run.key, latest->run.key);
    return !difference.empty()      ? "the latest run is of another environment: " + difference
           : options.commit.empty() ? "no earlier run of this environment has passed"
                                    : "no run is of that commit";
}

std::vector<RunFigures> with_figures(const reports::History& history,
                                     std::span<const reports::HistoryRun> runs) {
    std::vector<RunFigures> out;
    for (const reports::HistoryRun& one : runs) {
        out.push_back(history.with_figures(one));
    }
    return out;
}

// Holds the last K green nights, which are the baseline, and the compared runs against the season's first K.
void look_for_creep(Regression& regression, const RegressOptions& options, const reports::History& history,
                    const reports::BaselineFilter& filter, std::vector<RunFigures> recent) {
    const int most = options.since.empty() ? options.season.value_or(std::max(90, 2 * options.nights))
                                           : std::numeric_limits<int>::max();
    if (most == 0) {
        return;
    }
    std::vector<reports::HistoryRun> season = history.green_nights(filter, most);
    std::erase_if(season, [&](const reports::HistoryRun& one) { return day_of(one.run) < options.since; });
    std::vector<std::size_t> nights;  // where in `season` each begins
    for (std::size_t i = 0; i < season.size(); ++i) {
        if (i == 0 || day_of(season[i].run) != day_of(season[i - 1].run)) {
            nights.push_back(i);
        }
    }
    const auto enough = static_cast<std::size_t>(options.nights);
    if (enough < 2 || nights.size() < 2 * enough) {
        regression.creep =
            enough < 2 ? "not looked for: it takes --nights 2 at least"
                       : fmt::format("not looked for: {} green nights{}, {} are needed", nights.size(),
                                     options.since.empty() ? "" : " since " + options.since, 2 * enough);
        return;
    }
    const auto all = std::span(std::as_const(season));
    const auto first = all.first(nights[enough]);
    std::ranges::stable_sort(recent, {}, &RunFigures::created_utc);
    const std::string words = fmt::format(
        "the last nights up to {} beside the first {} of {} green ones, {} to {}", day_of(recent.back()),
        enough, nights.size(), day_of(first.front().run), day_of(first.back().run));
    add_creep(regression, {with_figures(history, first), std::move(recent), words});
}

Regression against_history(const RegressOptions& options, const std::vector<RunFigures>& runs) {
    const std::string file = options.history.empty() ? default_history_file().string() : options.history;
    check_files({file}, {options.markdown});
    const reports::History history(file, reports::HistoryAccess::read);
    reports::BaselineFilter filter{runs.back().key, runs.back().created_utc, {}};
    std::ranges::transform(runs, std::back_inserter(filter.without), &RunFigures::sha256);
    const auto chosen = options.commit.empty() ? history.green_nights(filter, options.nights)
                                               : history.of_commit(filter, options.commit);
    const std::string words = options.commit.empty() ? fmt::format("the last {} green nights", options.nights)
                                                     : "commit " + options.commit;
    if (chosen.empty()) {
        throw std::runtime_error(
            fmt::format("{}: no baseline ({}): {}", file, words, why_none(history, options, runs.back())));
    }
    std::vector<RunFigures> baseline = with_figures(history, chosen);
    Regression out =
        compare_with_baseline(runs, baseline, fmt::format("{} in {}, {} runs", words, file, baseline.size()));
    if (options.commit.empty()) {
        baseline.insert(baseline.end(), runs.begin(), runs.end());
        look_for_creep(out, options, history, filter, std::move(baseline));
    }
    return out;
}

Regression compared_builds(const InterleavedBuilds& builds, const InterleavedRuns& runs) {
    Regression out = compare_with_baseline(
        runs.second, runs.first,
        fmt::format("{}, {} runs interleaved with as many", builds.first, runs.first.size()),
        Baseline::other_build);
    out.runs = {builds.second};
    return out;
}

Regression of_builds(const RegressOptions& options) {
    using Clock = std::chrono::steady_clock;
    InterleavedBuilds builds{options.builds[0], options.builds[1], options.runs, options.rounds};
    const auto compare = [&](const char* title, std::chrono::seconds until_clear) {
        constexpr int runs_of_round = 4;
        ProgressBar bar(title, runs_of_round * builds.rounds, !options.common.quiet);
        const Clock::time_point begun = Clock::now();
        Clock::duration asked_for{};  // that the rounds took that were asked for
        int rounds = builds.rounds;
        // Another round as long as the others must end in time.
        const auto another = [&](const InterleavedRuns& runs) {
            const Clock::duration passed = Clock::now() - begun;
            if (rounds == builds.rounds) {
                asked_for = passed;
            }
            if (passed + passed / rounds > asked_for + until_clear ||
                !noise_hides(compared_builds(builds, runs))) {
                return false;
            }
            ++rounds;
            bar.extend(runs_of_round);
            return true;
        };
        const InterleavedRuns runs = run_interleaved(
            builds, [&](const std::string& program) { bar.step(program); }, another);
        builds.rounds = rounds;  // of a second comparison
        return compared_builds(builds, runs);
    };
    const Regression first = compare("running both builds", std::chrono::seconds(options.until_clear));
    const auto is_slower = [](const ComparedFigure& one) {
        return one.verdict == RegressionVerdict::slower && one.change.has_value();
    };
    return std::ranges::any_of(first.figures, is_slower)
               ? reproduced_by(first, compare("again, for what looks slower", {}))
               : first;
}

// What Markdown tells beside the comparison; nothing of a run of another kind (an encoder's, a candidate's),
// of which only its figures are known.
std::optional<RunRecord> run_over_layers(const std::string& file) {
    const std::string text = read_run_text(file);
    try {
        return parse_whole_record(text, file);
    } catch (const datasets::ReadError&) {
        return std::nullopt;
    }
}

}  // namespace

ExitCode run(const RegressOptions& options, const std::string&) {
    check_files(options.builds.empty() ? options.runs : options.builds, {options.markdown});
    check_files(options.baseline, {options.markdown});
    Regression regression;
    std::optional<RunRecord> record;
    if (!options.builds.empty()) {
        regression = of_builds(options);
    } else {
        const std::vector<RunFigures> runs = read_in_order_of_time(options.runs);
        regression = options.baseline.empty()
                         ? against_history(options, runs)
                         : compare_with_baseline(runs, read_in_order_of_time(options.baseline),
                                                 fmt::format("{}", fmt::join(options.baseline, ", ")));
        if (!options.markdown.empty()) {
            record = run_over_layers(runs.back().file);
        }
    }
    if (!options.common.quiet) {
        fmt::print("{}", reports::regression_report(regression, wants_color(options.common.color)));
        std::fflush(stdout);
    }
    if (!options.markdown.empty()) {
        write_atomically(options.markdown, record ? reports::markdown_report(*record, &regression)
                                                  : reports::markdown_report(regression));
    }
    return static_cast<ExitCode>(regression.exit_code());
}

}  // namespace harness
