#include "harness/options_what_if.hpp"

#include "harness/options_parts.hpp"

namespace harness {

WhatIfCommand::WhatIfCommand(CLI::App& app, CommonOptions& common)
    : common_(common), options_(std::make_unique<WhatIfOptions>()) {
    app_ = app.add_subcommand(
        "what-if", "Predict a design's error, and what each single change would buy; runs nothing");
    app_->footer(
        "The prediction propagates the variance and the mean of every declared rounding through the golden\n"
        "tensors of each layer; changes are ranked by what they take from the error at the output.");
    app_->add_option(
            "--recording", options_->dataset,
            "Recording to predict for (default: the default recording, made and cached on first use)")
        ->type_name("FILE");
    app_->add_option("--clip", options_->clip, "This clip of the recording (default: the first)")
        ->type_name("ID");
    app_->add_option("--layer", options_->layers, "Layers: all, 0, 0-2,5")
        ->type_name("LIST")
        ->capture_default_str();
    app_->add_option("--context", options_->context, "Rows T of the default recording (default: 1500)")
        ->check(CLI::Range(1, 65536))
        ->type_name("T");
    add_design(*app_, options_->design);
    add_common(*app_, common);
}

std::optional<Command> WhatIfCommand::finish() const {
    if (!app_->parsed()) {
        return {};
    }
    if (!options_->dataset.empty() && options_->context) {
        throw UsageError("--context belongs to the default recording: leave it out beside --recording");
    }
    options_->common = common_;
    return *options_;
}

}  // namespace harness
