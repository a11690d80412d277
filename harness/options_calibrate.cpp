#include "harness/options_calibrate.hpp"

#include "harness/options_parts.hpp"
#include "npu_impl/design.hpp"

namespace harness {

CalibrateCommand::CalibrateCommand(CLI::App& app, CommonOptions& common)
    : common_(common), options_(std::make_unique<CalibrateOptions>()) {
    app_ = app.add_subcommand("calibrate",
                              "Measure how near healthy runs come to every limit of the gate; changes none");
    app_->footer(
        "Runs every design on every recording, all of its clips, and keeps of each limit the worst\n"
        "healthy figure; where a recording holds all layers and the end, the encoder is walked too.\n"
        "A limit with less than 3 dB of room is marked report-only. With --holdout the envelope of\n"
        "the other recordings must hold, with 3 dB, on these. Limits change in harness/gate.cpp and\n"
        "nowhere else. Exit codes: 0 measured, 1 a run that should be healthy broke an exact or\n"
        "derived limit, a golden is not certified, or a held-out recording refutes an envelope,\n"
        "2 usage, 3 could not run.");
    app_->add_option("-r,--recording", options_->recordings,
                     "Recording to measure on, may be repeated (default: the default recording)")
        ->type_name("FILE");
    app_->add_option("--holdout", options_->held_out,
                     "Recording to verify on what the others gave; may be repeated")
        ->type_name("FILE");
    app_->add_option("--context", options_->context, "Rows T of the default recording (default: 1500)")
        ->check(CLI::Range(1, 65536))
        ->type_name("T");
    app_->add_option("--layer", options_->layers, "Layers: all, 0, 0-2,5")
        ->type_name("LIST")
        ->capture_default_str();
    app_->add_option("--design", options_->designs,
                     "Only this design; may be repeated (default: all of the manifest)")
        ->check(accepted_by([](const std::string& list) { npu_impl::compose(list); }))
        ->type_name("NAME,...");
    add_device(*app_, options_->device, options_->emulation, options_->xrt);
    app_->add_option("--output", options_->output, "Write envelopes and proposed limits as JSON")
        ->type_name("FILE");
    add_common(*app_, common);
}

std::optional<Command> CalibrateCommand::finish() const {
    if (!app_->parsed()) {
        return {};
    }
    if (!options_->recordings.empty() && options_->context) {
        throw UsageError("--context belongs to the default recording: leave it out beside --recording");
    }
    options_->common = common_;
    return *options_;
}

}  // namespace harness
