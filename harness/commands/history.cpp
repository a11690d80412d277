// `harness history`: runs kept over nights.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/atomic_file.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/environment.hpp"
#include "harness/run_figures_json.hpp"
#include "harness/user_folder.hpp"
#include "reports/history.hpp"
#include "reports/history_text.hpp"

namespace harness {
namespace {

using reports::History;
using reports::HistoryAccess;

void add(const HistoryOptions& options, const std::string& file) {
    // Every file is read before the first is added: a mistake in the last leaves the history alone.
    std::vector<RunFigures> runs;
    for (const std::string& run : options.runs) {
        runs.push_back(read_run_figures(run));
        if (!runs.back().missing.empty()) {
            throw std::runtime_error(
                fmt::format("{}: {}: put the whole together with harness merge", run, runs.back().missing));
        }
    }
    History history(file, HistoryAccess::write);
    for (const RunFigures& run : runs) {
        const bool is_new = history.add(run);
        if (!options.common.quiet) {
            fmt::print("{}: {} {}\n", run.file,
                       is_new ? fmt::format("added with {} figures to", run.figures.size())
                              : std::string("is there already, in"),
                       file);
        }
    }
}

// Of a row or a part that no run has.
std::string what_there_is(const reports::TrendFilter& filter, std::vector<std::string> parts) {
    if (parts.empty()) {
        return fmt::format(
            "no run has a row '{}'; rows are ops (scores), ranges (scores..context), attention, headline, "
            "probe NAME, whole encoder, ...",
            filter.row);
    }
    std::ranges::replace(parts, "", "the whole (without --part)");
    return fmt::format("no run has a part '{}' of row '{}'; it has {}", filter.part, filter.row,
                       fmt::join(parts, ", "));
}

void show(const HistoryOptions& options, const std::string& file) {
    const History history(file, HistoryAccess::read);
    const reports::TrendFilter filter{options.row, options.part};
    const auto latest = history.latest_with(filter);
    if (latest.empty()) {
        throw reports::HistoryError(file, what_there_is(filter, history.parts_of(options.row)));
    }
    for (const reports::HistoryRun& last : latest) {
        fmt::print("{}\n", reports::trend_table(last, history.trends(last, options.nights, filter)));
    }
}

void write_out(const HistoryOptions& options, const std::string& file) {
    check_files({file}, {options.csv, options.json});
    const History history(file, HistoryAccess::read);
    if (!options.csv.empty()) {
        write_atomically(options.csv, [&](std::ostream& out) { reports::write_csv(out, history); });
    }
    if (!options.json.empty()) {
        write_atomically(options.json, [&](std::ostream& out) { reports::write_json(out, history); });
    }
}

void prune(const HistoryOptions& options, const std::string& file) {
    { const History must_be_there(file, HistoryAccess::read); }
    History history(file, HistoryAccess::write);
    const std::int64_t removed = options.keep ? history.prune_to(*options.keep)
                                              : history.prune_older_than(*options.older_than_days, utc_now());
    if (!options.common.quiet) {
        fmt::print("{}: {} runs removed\n", file, removed);
    }
}

}  // namespace

ExitCode run(const HistoryOptions& options, const std::string&) {
    const std::string file = options.file.empty() ? default_history_file().string() : options.file;
    switch (options.action) {
        case HistoryOptions::Action::add:
            add(options, file);
            break;
        case HistoryOptions::Action::list:
            fmt::print("{}", reports::history_list(History(file, HistoryAccess::read).runs(options.most)));
            break;
        case HistoryOptions::Action::show:
            show(options, file);
            break;
        case HistoryOptions::Action::write_out:
            write_out(options, file);
            break;
        case HistoryOptions::Action::prune:
            prune(options, file);
            break;
    }
    return ExitCode::passed;
}

}  // namespace harness
