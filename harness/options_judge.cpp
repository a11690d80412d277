#include "harness/options_judge.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "datasets/candidate.hpp"
#include "harness/options_parts.hpp"
#include "harness/options_report.hpp"
#include "npu_impl/design.hpp"

namespace harness {
namespace {

std::vector<std::string> op_names() {
    std::vector<std::string> names;
    for (const datasets::Op op : datasets::candidate_ops()) {
        names.emplace_back(datasets::name(op));
    }
    return names;
}

}  // namespace

struct JudgeCommand::State {
    CommonOptions& common;
    CLI::App* app = nullptr;
    JudgeOptions options;
    std::vector<std::string> ops;

    explicit State(CommonOptions& common_options) : common(common_options) {}
};

JudgeCommand::JudgeCommand(CLI::App& app, CommonOptions& common) : state_(std::make_unique<State>(common)) {
    JudgeOptions& options = state_->options;
    state_->app = app.add_subcommand("judge", "Judge tensors that another program computed");
    state_->app->footer(
        "The candidate holds, layer by layer, any of the ops that an NPU can take over, as another program\n"
        "computed them from the recording; datasets/candidate.hpp has the layout, and\n"
        "datasets/write_candidate.py writes one with h5py. They are judged as our own are, by the bounds of\n"
        "the arithmetic that a design declares. What a file cannot show (launches, guard zones,\n"
        "repeatability, time) is not checked, and the report says so; classes of faults that the recording\n"
        "cannot reveal are named, and shown by probes: what the same runner computes from a recording that\n"
        "`harness record --probes-for` makes, judged beside the others (--probe-recording) or alone\n"
        "(--recording). Chained steps suit most programs: an isolated context is held to the golden's\n"
        "probabilities, to the last bit.");
    state_->app->add_option("--recording", options.recording, "What it was computed from")
        ->required()
        ->type_name("FILE");
    state_->app->add_option("--candidate", options.candidate, "What was computed")
        ->required()
        ->type_name("FILE");
    state_->app
        ->add_option("--arithmetic", options.arithmetic,
                     "Design whose arithmetic the numbers have (default: what the candidate says); see "
                     "`harness list --designs`")
        ->check(accepted_by([](const std::string& designs) { return npu_impl::compose(designs); }))
        ->type_name("NAME,...");
    auto* probes = state_->app
                       ->add_option("--probe-recording", options.probe_recording,
                                    "Probes for it, from `harness record --probes-for`: they show what the "
                                    "recording cannot")
                       ->type_name("FILE");
    state_->app->add_option("--probe-candidate", options.probe_candidate, "What the same runner made of them")
        ->type_name("FILE")
        ->needs(probes);
    probes->needs("--probe-candidate");
    state_->app->add_option("--layer", options.layers, "Layers: all that the candidate holds, 0, 0-2,5")
        ->type_name("LIST")
        ->capture_default_str();
    state_->app->add_option("--clip", options.clip, "Only this clip (default: all that the candidate holds)")
        ->type_name("ID");
    state_->app->add_option("--op", state_->ops, "Only these ops (default: all that the candidate holds)")
        ->delimiter(',')
        ->check(one_of("op", op_names()))
        ->type_name("OP,...");
    state_->app->add_option("--head", options.selection.head, "Only this head (leaves out ops without heads)")
        ->check(CLI::Range(0, 63))
        ->type_name("N");
    state_->app->add_option("--json", options.json, "Write the run record (run.json)")->type_name("FILE");
    state_->app->add_option("--junit", options.junit, "Write the verdicts as JUnit XML")->type_name("FILE");
    add_html(*state_->app, options.html);
    add_common(*state_->app, common);
}

JudgeCommand::~JudgeCommand() = default;

std::optional<Command> JudgeCommand::finish() const {
    if (!state_->app->parsed()) {
        return std::nullopt;
    }
    JudgeOptions options = state_->options;
    options.common = state_->common;
    for (const std::string& name : state_->ops) {
        const datasets::Op op = *datasets::parse_op(name);
        if (options.selection.head >= 0 && !datasets::has_heads(op)) {
            throw UsageError(fmt::format("--op {} has no heads: leave out --head", name));
        }
        options.selection.ops.insert(op);
    }
    return options;
}

}  // namespace harness
