#include "harness/options_self_check.hpp"

#include "harness/options_parts.hpp"
#include "harness/self_check/faults.hpp"
#include "harness/self_check/findings.hpp"
#include "npu_impl/design.hpp"

namespace harness {

struct SelfCheckCommand::State {
    CommonOptions& common;
    CLI::App* app = nullptr;
    SelfCheckOptions options;
    std::string without;

    explicit State(CommonOptions& common_options) : common(common_options) {}
};

SelfCheckCommand::SelfCheckCommand(CLI::App& app, CommonOptions& common)
    : state_(std::make_unique<State>(common)) {
    SelfCheckOptions& options = state_->options;
    CLI::App& command = *app.add_subcommand(
        "self-check", "Judge the judge: plant every known fault, and see each one fail by its own check");
    state_->app = &command;
    command.footer(
        "Each fault is planted around healthy parts, on hard generated data and on a recording of an "
        "encoder\n"
        "with random weights (or those of --recording): at every op it can damage on the first that shows "
        "it,\n"
        "at one op on the others. Exit codes: 0 every visible fault was failed by its own check and every\n"
        "healthy variant passed, 1 not so, 2 usage, 3 could not run.");
    command.add_flag(
        "--full", options.full,
        "Two seeds, T of 250, 1500 and 3001, all designs, at T of 250 every composition and every op on "
        "all data: for the night");
    command.add_option("--recording", options.recordings, "Plant on this recording; may be repeated")
        ->type_name("FILE");
    command.add_option("--seed", options.seeds, "Seed of generated data; may be repeated")->type_name("N");
    command.add_option("--context", options.contexts, "Rows T of generated data; may be repeated")
        ->check(CLI::Range(1, 3001))
        ->type_name("T");
    command.add_option("--design", options.designs, "Only this design; may be repeated")
        ->check(accepted_by([](const std::string& list) { npu_impl::compose(list); }))
        ->type_name("DESIGN");
    std::vector<std::string> names;
    for (const Fault& fault : planted_faults()) {
        names.push_back(fault.name);
    }
    command
        .add_option("--fault", options.fault,
                    "Only this fault, and no healthy variant; an unknown name lists them all")
        ->check(one_of("fault", std::move(names)).description(""))
        ->type_name("NAME");
    command
        .add_flag("--healthy-only", options.healthy_only,
                  "Only the healthy variants: how often is there a false alarm?")
        ->excludes("--fault");
    command
        .add_option("--without", state_->without,
                    "Ignore what this check finds: the self-check must then fail")
        ->check(accepted_by(parse_check))
        ->type_name("CHECK");
    command.add_option("--json", options.json, "Write every trial as JSON")->type_name("FILE");
    add_common(command, common);
}

SelfCheckCommand::~SelfCheckCommand() = default;

std::optional<SelfCheckOptions> SelfCheckCommand::finish() const {
    if (!state_->app->parsed()) {
        return std::nullopt;
    }
    SelfCheckOptions options = state_->options;
    options.common = state_->common;
    if (!state_->without.empty()) {
        options.without = parse_check(state_->without);
    }
    return options;
}

}  // namespace harness
