// The commands that look closer at a failure: `harness explain` and `harness bisect`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

class ExplainCommands {
public:
    // Adds both to `app`; both must outlive this.
    ExplainCommands(CLI::App& app, CommonOptions& common);
    ~ExplainCommands();
    ExplainCommands(const ExplainCommands&) = delete;
    ExplainCommands& operator=(const ExplainCommands&) = delete;

    // After parsing: the command, if it was one of these. Throws UsageError.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace harness
