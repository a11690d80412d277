// The command lines of `harness history` and `harness regress`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

class HistoryCommands {
public:
    // Adds the commands to `app`; both must outlive this.
    HistoryCommands(CLI::App& app, CommonOptions& common);
    ~HistoryCommands();

    // After parsing: the command, if it was one of these. Throws UsageError.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace harness
