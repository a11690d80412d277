// `harness report`: a run that was written before, as a page, Markdown or JUnit XML.
#include <fmt/format.h>

#include <optional>
#include <vector>

#include "harness/atomic_file.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/page.hpp"
#include "harness/commands/parts.hpp"
#include "harness/run_figures_json.hpp"
#include "harness/run_record_read.hpp"
#include "harness/run_record_whole.hpp"
#include "reports/history.hpp"
#include "reports/html.hpp"
#include "reports/junit.hpp"
#include "reports/markdown.hpp"

namespace harness {
namespace {

// Of the nights in the run's own environment and scope; nothing where the history has none of it.
std::vector<reports::Trend> trends_for(const ReportOptions& options) {
    if (options.history.empty()) {
        return {};
    }
    return reports::History(options.history, reports::HistoryAccess::read)
        .trends_like(read_run_figures(options.run), options.nights);
}

}  // namespace

ExitCode run(const ReportOptions& options, const std::string&) {
    check_files({options.run, options.history}, {options.html, options.markdown, options.junit});
    require_page(options.html);
    const std::string text = read_run_text(options.run);
    const RunRecord record = parse_run_record(text, options.run);
    std::optional<RunRecord> whole;
    if (!options.markdown.empty() || !options.junit.empty()) {
        whole = parse_whole_record(text, options.run);
    }
    if (!options.html.empty()) {
        // The text as it was written, not as this program would write it: nothing it holds is lost.
        write_atomically(options.html, reports::html_report(text, trends_for(options)));
    }
    if (!options.markdown.empty()) {
        write_atomically(options.markdown, reports::markdown_report(*whole, nullptr));
    }
    if (!options.junit.empty()) {
        write_atomically(options.junit, reports::junit_report(*whole));
    }
    if (!options.common.quiet) {
        fmt::print("{}: {}, exit code {}\n", options.run, name(record.verdict), record.exit_code);
    }
    return ExitCode::passed;
}

}  // namespace harness
