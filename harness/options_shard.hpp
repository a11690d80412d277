// A run in shards: `--shard` of a comparison, and `harness merge`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "harness/options.hpp"

namespace harness {

CLI::Option* add_share(CLI::App& app, std::optional<Share>& share);

class MergeCommand {
public:
    // Adds it to `app`; both must outlive this.
    MergeCommand(CLI::App& app, CommonOptions& common);
    ~MergeCommand();
    MergeCommand(const MergeCommand&) = delete;
    MergeCommand& operator=(const MergeCommand&) = delete;

    // After parsing: the command, if it was this one.
    [[nodiscard]] std::optional<Command> finish() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace harness
