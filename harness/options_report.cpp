#include "harness/options_report.hpp"

#include "harness/options_parts.hpp"

namespace harness {

ReportCommand::ReportCommand(CLI::App& app, CommonOptions& common)
    : common_(common), options_(std::make_unique<ReportOptions>()) {
    app_ = app.add_subcommand("report", "Tell a run that was written before (run.json) anew, as a page");
    app_->footer(
        "The page is one file that needs no network and no other file, and carries run.json whole.\n"
        "Exit codes: 0 written (whatever the run's verdict), 2 usage, 3 could not be read or written, or\n"
        "this build has no page.");
    app_->add_option("run", options_->run, "The run record (run.json)")->required()->type_name("RUN.json");
    app_->add_option("--html", options_->html, "Write the page")->type_name("FILE");
    add_common(*app_, common);
}

std::optional<Command> ReportCommand::finish() const {
    if (!app_->parsed()) {
        return {};
    }
    if (options_->html.empty()) {
        throw UsageError("report: nothing to write; add --html FILE");
    }
    options_->common = common_;
    return *options_;
}

void add_html(CLI::App& app, std::string& html) {
    app.add_option("--html", html, "Write the run as a self-contained HTML page")->type_name("FILE");
}

}  // namespace harness
