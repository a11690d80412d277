#include "harness/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <span>

#include "harness/built_from.hpp"
#include "harness/options_calibrate.hpp"
#include "harness/options_encoder.hpp"
#include "harness/options_explain.hpp"
#include "harness/options_history.hpp"
#include "harness/options_judge.hpp"
#include "harness/options_manual.hpp"
#include "harness/options_parts.hpp"
#include "harness/options_report.hpp"
#include "harness/options_self_check.hpp"
#include "harness/options_shard.hpp"
#include "harness/options_time.hpp"
#include "harness/options_what_if.hpp"
#include "harness/options_xrt.hpp"
#include "npu_impl/kernel_device.hpp"

namespace harness {
namespace {

constexpr const char* description =
    "Judges and times an NPU implementation of Whisper's attention against a golden CPU path,\n"
    "op by op and layer by layer, on recorded activations.\n\n"
    "  harness --layer all --compare                  compare both paths on the default recording\n"
    "  harness --layer 0 --op context --head 3 --compare --design fused\n"
    "  harness record --weights model.safetensors --audio clip.wav --out clip.h5\n"
    "  harness encode --weights model.safetensors --audio clip.wav --npu attention,mlp\n"
    "  harness judge --recording clip.h5 --candidate npu.h5 --arithmetic fused\n"
    "  harness inspect hard.h5\n"
    "  harness report run.json --html report.html\n"
    "  harness explain run.json 0/context --svg context.svg\n"
    "  harness bisect --design fused\n"
    "  harness gate --kernel my_matmul.cc --as matmul_tile\n"
    "  harness what-if --design fused --layer 0\n"
    "  harness self-check                             plant every known fault, see each one fail\n"
    "  harness calibrate --recording clip.h5 --design fused\n"
    "  harness plan --context 1500 --target rtfx=220  what the NPU could do, before anything is built\n"
    "  harness validate-model                         the time model beside published silicon\n"
    "  harness history add run.json                   keep a run; harness history show scores\n"
    "  harness regress run.json --history FILE        is anything slower or less accurate than before?\n"
    "  mpirun -n 4 harness --compare --dataset big.h5 --json run.json   cases dealt over processes\n"
    "  harness merge shard1.json shard2.json --out run.json\n"
    "  harness list";

constexpr const char* footer =
    "Exit codes: 0 all passed, 1 accuracy failed or mistrusted, 2 usage, 3 could not run,\n"
    "4 performance regressed, 5 unstable device, 130 interrupted.\n"
    "Times of the emulated device are modelled, never measured.";

// Everything that the parser writes to before it becomes a Command.
struct Raw {
    CommonOptions common;
    CompareOptions compare;
    InspectOptions inspect;
    ListOptions list;
    GateOptions gate;
    bool wants_compare = false;
    bool wants_manual = false;
    std::vector<std::string> ops;
    std::string input = "both";
    std::string placement = "attention";
};

std::vector<std::string> placeable_op_names() {
    std::vector<std::string> names;
    for (const datasets::Op op : placeable_ops()) {
        names.emplace_back(datasets::name(op));
    }
    return names;
}

void add_compare(CLI::App& app, Raw& raw) {
    CompareOptions& options = raw.compare;
    app.add_flag("--compare", raw.wants_compare,
                 "Run golden and NPU path side by side and judge the NPU path");
    app.add_option("--layer", options.layers, "Layers: all, 0, 0-2,5")
        ->type_name("LIST")
        ->capture_default_str();
    app.add_option("--dataset,--recording", options.dataset,
                   "Recording to run on (default: the default recording, made and cached on first use)")
        ->type_name("FILE");
    app.add_option("--clip", options.clip, "Only this clip of the recording (default: all)")->type_name("ID");
    app.add_option("--op", raw.ops, "Only these ops")
        ->delimiter(',')
        ->check(one_of("op", placeable_op_names()))
        ->type_name("OP,...");
    app.add_option("--head", options.selection.head, "Only this head (leaves out the output projection)")
        ->check(CLI::Range(0, 63))
        ->type_name("N");
    add_design(app, options.design);
    app.add_option("--npu", raw.placement,
                   "Ops on the NPU, the rest stays on the CPU: attention | attention,mlp | all")
        ->check(accepted_by(parse_placement))
        ->type_name("OPS")
        ->capture_default_str();
    app.add_option("--context", options.context, "Rows T of the default recording (default: 1500)")
        ->check(CLI::Range(1, 65536))
        ->type_name("T");
    add_device(app, options.device, options.emulation, options.xrt);
    add_device_spec(app, options.device_spec);
    add_timelines(app, options.timelines, "one layer, as modelled,");
    app.add_option("--cpu-baseline", options.cpu_baseline,
                   "CPU times from this file, which `harness bench-cpu` made on another machine")
        ->type_name("FILE");
    app.add_option("--input", raw.input, "What a step reads: isolated (golden), chained (its own), both")
        ->check(one_of("input", {"isolated", "chained", "both"}))
        ->type_name("KIND")
        ->capture_default_str();
    app.add_option_function<int>(
           "--repeat",
           [&options](int runs) {
               options.selection.timing = {runs, runs};
           },
           "Timed runs of the golden, of which the median counts (default: 6, and up to 10 until it is "
           "known to 2%); as many of a device xrt, its transfers of poison and guard zones included")
        ->check(CLI::Range(1, 1000))
        ->type_name("N");
    app.add_flag_callback(
        "--no-probes", [&options] { options.selection.probes = false; },
        "Leave out the probes of the first layer, runs on operands whose result is known (level 3 of the "
        "gate)");
    app.add_option("--accepted-misses", options.accepted_misses,
                   "Misses of the 99.9% match that are known and accepted, as in ci/accepted_misses.json: "
                   "they are shown and do not fail the run; whatever else fails still does")
        ->type_name("FILE");
    // A part without its record would be work for nothing.
    CLI::Option* share = add_share(app, options.share);
    share->needs(
        app.add_option("--json", options.json, "Write the run record (run.json)")->type_name("FILE"));
    app.add_option("--junit", options.junit, "Write the verdicts as JUnit XML")->type_name("FILE");
    add_html(app, options.html);
}

CLI::Validator is_macro() {
    const auto fault = [](const std::string& text) {
        const std::string name = text.substr(0, text.find('='));
        const auto part_of_name = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
        const bool valid = !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
                           std::ranges::all_of(name, part_of_name);
        return valid ? std::string() : fmt::format("{}: not NAME or NAME=VALUE", text);
    };
    return {fault, ""};
}

CLI::App* add_gate(CLI::App& app, Raw& raw) {
    GateOptions& options = raw.gate;
    CLI::App* gate = app.add_subcommand("gate", "Judge one kernel file of your own, from source to verdict");
    gate->footer(
        "Compiles FILE against the AIE API for this CPU, calls the function as ROLE (kernels/aie2/kernels.h\n"
        "has the contracts) in a process of its own, and judges what it computes, writes and reads: first\n"
        "single tiles, then a layer whose other kernels are ours. Nothing outside a temporary folder is\n"
        "touched. Needs g++ or clang++. Exit codes: 0 passed, 1 failed, 3 could not run.\n"
        "Not checked: cycles, and whether the kernel's data fits into a core's memory (L1).");
    std::vector<std::string> roles;
    for (const std::string_view role : npu_impl::kernel_roles()) {
        roles.emplace_back(role);
    }
    gate->add_option("--kernel", options.kernel, "The kernel's source")->required()->type_name("FILE");
    gate->add_option("--as", options.role, "The kernel that it stands in for, e.g. matmul_tile")
        ->required()
        ->check(one_of("role", roles))
        ->type_name("ROLE");
    gate->add_option("--symbol", options.symbol, "Name of the extern \"C\" function (default: the role)")
        ->type_name("NAME");
    gate->add_option("--include", options.include, "A folder with headers of yours; may be repeated")
        ->check(CLI::ExistingDirectory)
        ->type_name("DIR");
    gate->add_option("--define", options.define, "A macro for the compiler; may be repeated")
        ->type_name("NAME[=VALUE]")
        ->check(is_macro());
    gate->add_option("--limit", options.limit_seconds, "Most seconds that the kernel may run, all checks")
        ->check(CLI::Range(0.1, 86400.0))
        ->type_name("SECONDS")
        ->capture_default_str();
    add_common(*gate, raw.common);
    return gate;
}

CLI::App* add_list(CLI::App& app, Raw& raw) {
    CLI::App* list = app.add_subcommand("list", "Show ops, designs and devices");
    list->footer("Exit codes: 0, 2 usage.");
    list->add_flag("--designs", raw.list.designs,
                   "Designs only: arithmetic, cores, launches and core memory (L1) of each step");
    list->add_option("--context", raw.list.context, "Rows T that launches are counted for")
        ->check(CLI::Range(1, 65536))
        ->type_name("T")
        ->capture_default_str();
    add_common(*list, raw.common);
    return list;
}

std::string valid_options(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        if (!option->get_group().empty()) {
            names.push_back(option->get_name(false, false));
        }
    }
    for (const CLI::App* subcommand : app.get_subcommands([](const CLI::App*) { return true; })) {
        names.push_back(subcommand->get_name());
    }
    return fmt::format("{}", fmt::join(names, " "));
}

// The innermost command that was named, for a message about its options.
const CLI::App& named_command(const CLI::App& app) {
    const auto chosen = app.get_subcommands();
    return chosen.empty() ? app : *chosen.front();
}

// The command of the group that was named, if any of these was.
template <typename... Groups>
std::optional<Command> first_named(Groups&... groups) {
    std::optional<Command> command;
    (void)((command = groups.finish()).has_value() || ...);
    return command;
}

CompareOptions finish_compare(Raw& raw) {
    if (!raw.wants_compare) {
        throw UsageError(
            "nothing to do: add --compare, or use one of the commands that harness --help lists");
    }
    CompareOptions options = raw.compare;
    options.common = raw.common;
    options.selection.placement = parse_placement(raw.placement);
    for (const std::string& name : raw.ops) {
        const datasets::Op op = *datasets::parse_op(name);
        if (!options.selection.placement.contains(op)) {
            throw UsageError(fmt::format("--op {} is not on the NPU with --npu {}; valid --npu: {}", name,
                                         raw.placement, fmt::join(placements_with(op), " | ")));
        }
        if (options.selection.head >= 0 && !datasets::has_heads(op)) {
            throw UsageError(fmt::format("--op {} has no heads: leave out --head", name));
        }
        options.selection.ops.insert(op);
    }
    if (raw.input == "isolated") {
        options.selection.inputs = {Input::isolated};
    } else if (raw.input == "chained") {
        options.selection.inputs = {Input::chained};
    }
    if (!options.dataset.empty() && options.context) {
        throw UsageError("--context belongs to the default recording: leave it out beside --dataset");
    }
    return options;
}

// A list of layers as it was typed, and who has to have them.
struct TypedLayers {
    const std::string& text;
    const std::vector<int>& there;
    LayersOption words;

    [[nodiscard]] int number(std::string_view part) const {
        int value = 0;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
        if (error != std::errc() || end != part.data() + part.size() || part.empty()) {
            throw UsageError(
                fmt::format("{} '{}': valid: all, or numbers and ranges such as 0-2,5", words.option, text));
        }
        return value;
    }

    [[noreturn]] void refuse(std::string_view part) const {
        const bool has_gaps = std::ssize(there) != there.back() + 1;
        throw UsageError(fmt::format(
            "{} {}: {} has no layer {}; valid: all, {}", words.option, text, words.owner, part,
            has_gaps ? fmt::format("{}", fmt::join(there, ", ")) : fmt::format("0-{}", there.back())));
    }
};

}  // namespace

std::vector<int> parse_layers(const std::string& text, const std::vector<int>& there, LayersOption words) {
    if (text == "all") {
        return there;
    }
    const TypedLayers typed{text, there, words};
    std::vector<int> layers;
    std::string_view rest = text;
    while (true) {
        const auto comma = rest.find(',');
        const std::string_view part = rest.substr(0, comma);
        const auto dash = part.find('-');
        const int first = typed.number(part.substr(0, dash));
        const int last = dash == std::string_view::npos ? first : typed.number(part.substr(dash + 1));
        if (first > last || last > there.back()) {
            typed.refuse(part);
        }
        for (int layer = first; layer <= last; ++layer) {
            if (!std::ranges::binary_search(there, layer)) {
                typed.refuse(fmt::to_string(layer));
            }
            layers.push_back(layer);
        }
        if (comma == std::string_view::npos) {
            break;
        }
        rest.remove_prefix(comma + 1);
    }
    std::ranges::sort(layers);
    const auto repeated = std::ranges::unique(layers);
    layers.erase(repeated.begin(), repeated.end());
    return layers;
}

// A variable that a script did not set would choose a default in silence.
void refuse_empty(std::span<const char* const> words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string_view word = words[i];
        const bool has_no_value = word.starts_with("--") && word.find('=') == word.size() - 1;
        if (word.empty() || has_no_value) {
            throw UsageError(fmt::format("argument {} ({}) is empty: is a variable not set?", i + 1,
                                         has_no_value ? word
                                         : i > 0      ? std::string_view(words[i - 1])
                                                      : ""));
        }
    }
}

Command parse_command_line(int argc, const char* const* argv) {
    refuse_empty(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
    Raw raw;
    CLI::App app(description, "harness");
    app.footer(footer);
    app.set_version_flag("--version", fmt::format("harness {} ({})", build_version, build_commit));
    app.require_subcommand(0, 1);
    add_compare(app, raw);
    add_common(app, raw.common);
    app.add_flag("--man-page", raw.wants_manual)->group("");  // for the build, which installs it
    EncoderCommands encoder_commands(app, raw.common);
    JudgeCommand judge_command(app, raw.common);
    const WhatIfCommand what_if(app, raw.common);
    CLI::App* inspect =
        app.add_subcommand("inspect", "Verify a recording or a checkpoint and print what it holds");
    inspect->add_option("file", raw.inspect.file, "The recording or checkpoint")
        ->required()
        ->type_name("FILE");
    inspect->footer("Exit codes: 0 the file is whole, 2 usage, 3 it cannot be read, or is damaged.");
    add_common(*inspect, raw.common);
    const CLI::App* gate = add_gate(app, raw);
    const SelfCheckCommand self_check(app, raw.common);
    const CalibrateCommand calibrate(app, raw.common);
    const CLI::App* list = add_list(app, raw);
    const ExplainCommands explain_commands(app, raw.common);
    const XrtCommands xrt_commands(app, raw.common);
    const TimeModelCommands time_commands(app, raw.common);
    const HistoryCommands history_commands(app, raw.common);
    const MergeCommand merge(app, raw.common);
    const ReportCommand report(app, raw.common);
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        return PrintText{app.help()};
    } catch (const CLI::CallForVersion&) {
        return PrintText{app.version() + "\n"};
    } catch (const CLI::ExtrasError& error) {
        throw UsageError(fmt::format("{}; valid: {}", error.what(), valid_options(named_command(app))));
    } catch (const CLI::ParseError& error) {
        throw UsageError(error.what());
    }
    if (raw.wants_manual) {
        return PrintText{manual_page(app)};
    }
    if (auto command = first_named(encoder_commands, judge_command, what_if, explain_commands, xrt_commands,
                                   self_check, calibrate, time_commands, history_commands, merge, report)) {
        return *std::move(command);
    }
    if (inspect->parsed()) {
        raw.inspect.common = raw.common;
        return raw.inspect;
    }
    if (list->parsed()) {
        raw.list.common = raw.common;
        return raw.list;
    }
    if (gate->parsed()) {
        raw.gate.common = raw.common;
        return raw.gate;
    }
    return finish_compare(raw);
}

}  // namespace harness
