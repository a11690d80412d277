// The command line of `harness what-if`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

class WhatIfCommand {
public:
    // Adds the command to `app`; both must outlive this.
    WhatIfCommand(CLI::App& app, CommonOptions& common);

    // After parsing: the command, if it was this one. Throws UsageError.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    CommonOptions& common_;
    CLI::App* app_;
    std::unique_ptr<WhatIfOptions> options_;
};

}  // namespace harness
