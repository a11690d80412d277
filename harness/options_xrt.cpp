#include "harness/options_xrt.hpp"

#include "harness/options_parts.hpp"

namespace harness {

using Action = ArtefactOptions::Action;

struct XrtCommands::State {
    explicit State(CommonOptions& shared) : common(shared) {}

    CommonOptions& common;
    ArtefactOptions artefact;
    DoctorOptions doctor;
    CLI::App* artefact_app = nullptr;
    CLI::App* doctor_app = nullptr;

    CLI::App* add_action(Action action, const std::string& name, const std::string& description) {
        CLI::App* app = artefact_app->add_subcommand(name, description);
        app->callback([this, action] { artefact.action = action; });
        add_common(*app, common);
        return app;
    }

    void add_folder(CLI::App& app, bool required) {
        app.add_option("--artefacts", artefact.folder, "The folder of the artefacts")
            ->required(required)
            ->type_name("DIR");
    }

    void add_layer(CLI::App& app) {
        add_design(app, artefact.design);
        app.add_option("--context", artefact.context, "Rows T")
            ->check(CLI::Range(1, 65536))
            ->type_name("T")
            ->capture_default_str();
        app.add_option("--heads", artefact.heads, "Heads of the model: 8 for Whisper base")
            ->check(CLI::Range(1, 64))
            ->type_name("N")
            ->capture_default_str();
    }

    void add_add() {
        CLI::App* app = add_action(Action::add, "add", "Put a compiled design in a folder");
        add_folder(*app, true);
        npu_impl::Artefact& made = artefact.made;
        const auto text = [app](const char* name, std::string& value, const char* what, const char* type) {
            app->add_option(name, value, what)->required()->type_name(type);
        };
        text("--name", made.name, "What to call it", "NAME");
        text("--xclbin", artefact.xclbin, "The xclbin, copied into the folder", "FILE");
        text("--instructions", artefact.instructions, "The instruction file, copied too", "FILE");
        text("--tile", made.tile, "The tile that it computes, e.g. 64x64x64", "SIZE");
        text("--operand", made.operand, "Type of its operands, e.g. bf16", "TYPE");
        text("--store", made.store, "Type of its result, e.g. f32", "TYPE");
        text("--rounding", made.rounding, "How it rounds its result, e.g. floor", "NAME");
        app->add_option("--kernel", made.kernel, "The kernel's name in the xclbin")
            ->type_name("NAME")
            ->default_str("MLIR_AIE");
        app->add_option("--cores", made.cores, "Cores of the design")
            ->required()
            ->check(CLI::Range(1, 256))
            ->type_name("N");
        app->add_option("--buffers", made.arguments.buffers,
                        "The kernel's arguments that take the launch's buffers, in its order")
            ->delimiter(',')
            ->type_name("3,4,...")
            ->default_str("3,4,5");
        app->add_option("--program", made.program,
                        "Identity of the launches that it was compiled for; see `harness artefact plan`")
            ->type_name("SHA256");
        app->add_option("--limit", made.limits, "What it cannot do, in words; may be repeated")
            ->type_name("TEXT");
    }
};

XrtCommands::XrtCommands(CLI::App& app, CommonOptions& common) : state_(std::make_unique<State>(common)) {
    State& state = *state_;
    state.artefact.made.kernel = "MLIR_AIE";
    state.artefact.made.arguments.buffers = {3, 4, 5};
    state.artefact_app =
        app.add_subcommand("artefact", "Compiled designs for an NPU: plan, add, list, check");
    state.artefact_app->require_subcommand(1);
    state.artefact_app->footer(
        "An artefact is an xclbin, an instruction file, and what they compute. The device xrt runs a launch\n"
        "by the artefact that serves its program: the SHA-256 of kernel and jobs, which `plan` prints.\n"
        "Exit codes: 0 done, and all is well; 2 usage; 3 a file or an artefact is missing or damaged.");
    CLI::App* plan = state.add_action(Action::plan, "plan", "What has to be compiled for one layer");
    state.add_folder(*plan, false);
    state.add_layer(*plan);
    plan->add_flag("--probes", state.artefact.probes,
                   "Besides, for the probes that a run makes: other lengths, fewer heads");
    state.add_add();
    state.add_folder(*state.add_action(Action::list, "list", "Show the artefacts of a folder"), true);
    state.add_folder(*state.add_action(Action::check, "check", "Verify every file of a folder"), true);
    state.doctor_app = app.add_subcommand("doctor", "Say what stands in the way of the device xrt");
    state.doctor_app->footer(
        "Each finding comes with what mends it. Exit codes: 0 the device xrt would work, 3 it would not.");
    state.doctor_app
        ->add_option("--root", state.doctor.root, "Examine the system below this folder, not this machine")
        ->check(CLI::ExistingDirectory)
        ->type_name("DIR");
    state.doctor_app
        ->add_option("--artefacts", state.doctor.xrt.artefacts,
                     "Open the NPU with these artefacts, move data there and back, and a tile through a core")
        ->type_name("DIR");
    add_common(*state.doctor_app, common);
}

XrtCommands::~XrtCommands() = default;

std::optional<Command> XrtCommands::finish() const {
    if (state_->artefact_app->parsed()) {
        ArtefactOptions options = state_->artefact;
        options.common = state_->common;
        return options;
    }
    if (state_->doctor_app->parsed()) {
        DoctorOptions options = state_->doctor;
        options.common = state_->common;
        return options;
    }
    return std::nullopt;
}

}  // namespace harness
