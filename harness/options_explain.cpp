#include "harness/options_explain.hpp"

#include "harness/options_parts.hpp"

namespace harness {

struct ExplainCommands::State {
    explicit State(CommonOptions& shared) : common(shared) {}

    CommonOptions& common;
    ExplainOptions explain;
    BisectOptions bisect;
    CLI::App* explain_app = nullptr;
    CLI::App* bisect_app = nullptr;

    void add_explain(CLI::App& app) {
        explain_app = app.add_subcommand("explain", "Compute one row of a run again and draw its error");
        explain_app->footer(
            "Draws where the error is (heat map per head), the worst rows, the histogram of error / bound "
            "and\n"
            "the signed error against the magnitude, and says what the pattern looks like. The recording "
            "must\n"
            "be the one of the run, and so must the candidate of `harness judge`.\n"
            "Exit codes: 0 drawn, 2 no such row, 3 could not run.");
        explain_app->add_option("run", explain.run, "The run record (run.json)")
            ->required()
            ->type_name("RUN.json");
        explain_app
            ->add_option("row", explain.row, "Its index, or layer/op or layer/op/input, e.g. 0/context")
            ->required()
            ->type_name("ROW");
        explain_app
            ->add_option("--recording", explain.recording,
                         "Where the recording of the run is now, if it moved")
            ->type_name("FILE");
        explain_app
            ->add_option("--candidate", explain.candidate,
                         "Of a run of harness judge: where the candidate is now, if it moved")
            ->type_name("FILE");
        explain_app->add_option("--svg", explain.svg, "Write the heat maps as SVG")->type_name("FILE");
        explain_app
            ->add_option("--dump", explain.dump,
                         "Write the worst block as HDF5: inputs, golden, expected, bound, got, difference")
            ->type_name("FILE.h5");
        add_common(*explain_app, common);
    }

    void add_bisect(CLI::App& app) {
        bisect_app = app.add_subcommand(
            "bisect", "Find the op whose error leaves its budget, and each op's share of the output's error");
        bisect_app->footer(
            "Runs each range once on the NPU path and replaces its last ops, one by one, by exact ones. The\n"
            "budget of an op: its bound (level 1), and what the declared roundings explain (level 2).\n"
            "Exit codes: 0 every op within its budget and the match met, 1 not, 2 usage, 3 could not run.");
        bisect_app
            ->add_option("--recording", bisect.recording,
                         "Recording to run on (default: the default recording, made and cached on first use)")
            ->type_name("FILE");
        bisect_app->add_option("--context", bisect.context, "Rows T of the default recording")
            ->check(CLI::Range(1, 65536))
            ->type_name("T")
            ->capture_default_str();
        bisect_app->add_option("--clip", bisect.clip, "Only this clip of the recording (default: all)")
            ->type_name("ID");
        bisect_app->add_option("--layer", bisect.layers, "Layers: all, 0, 0-2,5")
            ->type_name("LIST")
            ->capture_default_str();
        bisect_app
            ->add_option(
                "--npu", bisect.placement,
                "Ranges to bisect: attention | attention,mlp | all (with the norms before them, and the end)")
            ->check(accepted_by(parse_placement))
            ->type_name("OPS")
            ->capture_default_str();
        bisect_app->add_option("--json", bisect.json, "Write every step as JSON")->type_name("FILE");
        add_design(*bisect_app, bisect.design);
        add_device(*bisect_app, bisect.device, bisect.emulation, bisect.xrt);
        add_common(*bisect_app, common);
    }
};

ExplainCommands::ExplainCommands(CLI::App& app, CommonOptions& common)
    : state_(std::make_unique<State>(common)) {
    state_->add_explain(app);
    state_->add_bisect(app);
}

ExplainCommands::~ExplainCommands() = default;

std::optional<Command> ExplainCommands::finish() const {
    if (state_->explain_app->parsed()) {
        ExplainOptions options = state_->explain;
        options.common = state_->common;
        return options;
    }
    if (state_->bisect_app->parsed()) {
        BisectOptions options = state_->bisect;
        options.common = state_->common;
        if (!options.recording.empty() && state_->bisect_app->count("--context") > 0) {
            throw UsageError("--context belongs to the default recording: leave it out beside --recording");
        }
        return options;
    }
    return std::nullopt;
}

}  // namespace harness
