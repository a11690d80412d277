// The command lines of the time model: `harness validate-model`, `harness plan`, `harness bench-cpu`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

// `--device-spec NAME|FILE`, which must be readable.
void add_device_spec(CLI::App& app, std::string& device_spec);

// `--trace FILE` and `--gantt FILE`; `what` is shown.
void add_timelines(CLI::App& app, TimelineFiles& files, const std::string& what);

class TimeModelCommands {
public:
    // Adds the commands to `app`; both must outlive this.
    TimeModelCommands(CLI::App& app, CommonOptions& common);
    ~TimeModelCommands();

    // After parsing: the command, if it was one of these. Throws UsageError.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    struct State;
    void add_bench(CLI::App& app);

    std::unique_ptr<State> state_;
};

}  // namespace harness
