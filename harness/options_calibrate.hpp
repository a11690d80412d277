// The options of `harness calibrate`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

class CalibrateCommand {
public:
    // Adds itself to `app`; both must outlive this.
    CalibrateCommand(CLI::App& app, CommonOptions& common);

    // After parsing: the command, if it was this one. Throws UsageError.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    CommonOptions& common_;
    CLI::App* app_;
    std::unique_ptr<CalibrateOptions> options_;
};

}  // namespace harness
