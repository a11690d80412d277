// The command lines about the device xrt: `harness artefact` and `harness doctor`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

class XrtCommands {
public:
    // Adds the commands to `app`; both must outlive this.
    XrtCommands(CLI::App& app, CommonOptions& common);
    ~XrtCommands();

    // After parsing: the command, if it was one of these.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace harness
