// `harness judge`: numbers that another program computed.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

class JudgeCommand {
public:
    // Adds it to `app`; both must outlive this.
    JudgeCommand(CLI::App& app, CommonOptions& common);
    ~JudgeCommand();
    JudgeCommand(const JudgeCommand&) = delete;
    JudgeCommand& operator=(const JudgeCommand&) = delete;

    // After parsing: the command, if it was this one. Throws UsageError.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace harness
