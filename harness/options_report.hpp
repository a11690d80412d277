// `harness report`: a run that was written before, told anew.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

class ReportCommand {
public:
    // Adds it to `app`; both must outlive this.
    ReportCommand(CLI::App& app, CommonOptions& common);

    // After parsing: the command, if it was this one. Throws UsageError.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    CommonOptions& common_;
    std::unique_ptr<ReportOptions> options_;
    CLI::App* app_ = nullptr;
};

// `--html FILE` of a command that makes a run.
void add_html(CLI::App& app, std::string& html);

}  // namespace harness
