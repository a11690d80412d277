#include "harness/options_shard.hpp"

#include <string>

#include "harness/options_parts.hpp"

namespace harness {

CLI::Option* add_share(CLI::App& app, std::optional<Share>& share) {
    return app
        .add_option_function<std::string>(
            "--shard", [&share](const std::string& text) { share = parse_share(text); },
            "Only the I-th of N parts of the run; `harness merge` puts their run.json (--json) together")
        ->check(accepted_by(parse_share))
        ->type_name("I/N");
}

struct MergeCommand::State {
    CommonOptions& common;
    CLI::App* app = nullptr;
    MergeOptions options;

    explicit State(CommonOptions& common_options) : common(common_options) {}
};

MergeCommand::MergeCommand(CLI::App& app, CommonOptions& common) : state_(std::make_unique<State>(common)) {
    MergeOptions& options = state_->options;
    state_->app = app.add_subcommand("merge", "Put the run records of shards together");
    state_->app->footer(
        "The result is that of the whole run, bit for bit, but for times. Parts may come in any order, and\n"
        "results of merge may be merged again. They must be of one run: the same options, recording, "
        "design,\n"
        "build and kind of machine. What no part holds comes as rows that did not run (exit code 3).");
    state_->app
        ->add_option("parts", options.parts, "Records that `harness --compare --shard I/N --json` wrote")
        ->required()
        ->type_name("RUN.json");
    state_->app->add_option("--out", options.json, "Write the run record (run.json)")
        ->required()
        ->type_name("FILE");
    state_->app->add_option("--junit", options.junit, "Write the verdicts as JUnit XML")->type_name("FILE");
    add_common(*state_->app, common);
}

MergeCommand::~MergeCommand() = default;

std::optional<Command> MergeCommand::finish() const {
    if (!state_->app->parsed()) {
        return std::nullopt;
    }
    MergeOptions options = state_->options;
    options.common = state_->common;
    return options;
}

}  // namespace harness
