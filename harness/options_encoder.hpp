// The commands that take a whole encoder: `harness record` and `harness encode`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

class EncoderCommands {
public:
    // Adds both to `app`; both must outlive this.
    EncoderCommands(CLI::App& app, CommonOptions& common);
    ~EncoderCommands();
    EncoderCommands(const EncoderCommands&) = delete;
    EncoderCommands& operator=(const EncoderCommands&) = delete;

    // After parsing: the command, if it was one of these. Throws UsageError.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace harness
