#include "harness/options_report.hpp"

#include "harness/options_parts.hpp"

namespace harness {

ReportCommand::ReportCommand(CLI::App& app, CommonOptions& common)
    : common_(common), options_(std::make_unique<ReportOptions>()) {
    app_ = app.add_subcommand("report", "Render an existing run.json as HTML, Markdown or JUnit XML");
    app_->footer(
        "The page is one file that needs no network and no other file, and carries run.json whole; with\n"
        "--history it draws the nights of the run's own environment. Markdown fits a comment on a pull\n"
        "request. Markdown and JUnit are of runs of harness --compare.\n"
        "Exit codes: 0 written (whatever the run's verdict), 2 usage, 3 could not be read or written, or\n"
        "this build has no page.");
    app_->add_option("run", options_->run, "The run record (run.json)")->required()->type_name("RUN.json");
    app_->add_option("--html", options_->html, "Write the page")->type_name("FILE");
    app_->add_option("--markdown", options_->markdown, "Write Markdown, verdict first")->type_name("FILE");
    app_->add_option("--junit", options_->junit, "Write the verdicts as JUnit XML")->type_name("FILE");
    CLI::Option* history =
        app_->add_option("--history", options_->history, "Draw trends of this history (harness history add)")
            ->type_name("FILE");
    app_->add_option("--nights", options_->nights, "Days with runs in a trend")
        ->check(CLI::Range(1, 100000))
        ->needs(history)
        ->type_name("N")
        ->capture_default_str();
    add_common(*app_, common);
}

std::optional<Command> ReportCommand::finish() const {
    if (!app_->parsed()) {
        return {};
    }
    if (options_->html.empty() && options_->markdown.empty() && options_->junit.empty()) {
        throw UsageError("report: nothing to write; add --html FILE, --markdown FILE or --junit FILE");
    }
    if (!options_->history.empty() && options_->html.empty()) {
        throw UsageError("report: --history is for the page; add --html FILE");
    }
    options_->common = common_;
    return *options_;
}

void add_html(CLI::App& app, std::string& html) {
    app.add_option("--html", html, "Write the run as a self-contained HTML page")->type_name("FILE");
}

}  // namespace harness
