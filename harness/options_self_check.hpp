// The options of `harness self-check`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

class SelfCheckCommand {
public:
    // Adds itself to `app`; both must outlive this.
    SelfCheckCommand(CLI::App& app, CommonOptions& common);
    ~SelfCheckCommand();
    SelfCheckCommand(const SelfCheckCommand&) = delete;
    SelfCheckCommand& operator=(const SelfCheckCommand&) = delete;

    // After parsing: the command, if it was this one.
    [[nodiscard]] std::optional<SelfCheckOptions> finish() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace harness
