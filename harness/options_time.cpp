#include "harness/options_time.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <regex>
#include <string>

#include "harness/options_parts.hpp"
#include "npu_impl/device_spec.hpp"

namespace harness {
namespace {

double parse_target(const std::string& text) {
    constexpr std::string_view prefix = "rtfx=";
    double value = 0;
    const char* end = text.data() + text.size();
    const bool prefixed = text.starts_with(prefix);
    const auto [last, error] =
        prefixed ? std::from_chars(text.data() + prefix.size(), end, value) : std::from_chars_result{};
    if (!prefixed || error != std::errc() || last != end || !std::isfinite(value) || value <= 0) {
        throw std::invalid_argument(fmt::format("'{}': valid: rtfx=NUMBER, greater than 0", text));
    }
    return value;
}

npu_impl::GemmTiling parse_tile(const std::string& text) {
    static const std::regex form("([1-9][0-9]{0,5})x([1-9][0-9]{0,5})x([1-9][0-9]{0,5})");
    std::smatch found;
    if (!std::regex_match(text, found, form)) {
        throw std::invalid_argument(fmt::format("'{}': valid: MxKxN, such as 64x64x32", text));
    }
    return {std::stoll(found[1]), std::stoll(found[2]), std::stoll(found[3])};
}

}  // namespace

void add_device_spec(CLI::App& app, std::string& device_spec) {
    app.add_option(
           "--device-spec", device_spec,
           "What times are modelled for: a built-in device (see `harness list`) or a JSON file of the\n"
           "form of npu_impl/devices/*.json, which may name a built-in `base`")
        ->type_name("NAME|FILE")
        ->capture_default_str();
}

void add_timelines(CLI::App& app, TimelineFiles& files, const std::string& what) {
    app.add_option("--trace", files.trace, fmt::format("Write {} as a Chrome trace (Perfetto)", what))
        ->type_name("FILE");
    app.add_option("--gantt", files.gantt, fmt::format("Write {} as an SVG chart", what))->type_name("FILE");
}

struct TimeModelCommands::State {
    CommonOptions& common;
    CLI::App* validate = nullptr;
    CLI::App* plan = nullptr;
    CLI::App* bench = nullptr;
    ValidateModelOptions validate_options;
    NpuPlanOptions plan_options;
    BenchCpuOptions bench_options;
    std::string target;
    std::string tile;

    explicit State(CommonOptions& common_options) : common(common_options) {}
};

TimeModelCommands::~TimeModelCommands() = default;

TimeModelCommands::TimeModelCommands(CLI::App& app, CommonOptions& common)
    : state_(std::make_unique<State>(common)) {
    State& state = *state_;
    state.validate =
        app.add_subcommand("validate-model", "Put the time model beside times measured on silicon");
    state.validate->footer(
        "A row that equals a number of a device's specification, or that the model does not know, does not\n"
        "count. --fit scales four groups of numbers, the same for all devices, to the rows that do.\n"
        "Columns of FILE: device, clock_ghz, cores, dtype_in, dtype_out, m, k, n, tile_mkn, gflops, "
        "time_us,\n"
        "conditions, source and, if you like, equals_parameter.");
    state.validate
        ->add_option("--timings", state.validate_options.timings,
                     "Your own measured rows (default: the published ones of this build)")
        ->type_name("FILE");
    state.validate->add_flag("--fit", state.validate_options.fit,
                             "Fit, with intervals and leave-one-out errors");
    add_common(*state.validate, common);

    NpuPlanOptions& plan = state.plan_options;
    state.plan = app.add_subcommand("plan", "What the NPU can do, before anything is built");
    state.plan->footer(
        "Ranks every design, placement and way to launch by the modelled time of Whisper base; nothing "
        "runs.\n"
        "What stays on the CPU takes what the design note published for its laptop, scaled to T by the "
        "work,\nor what `harness encode --json FILE` measured on yours: --cpu-baseline FILE.");
    state.plan
        ->add_option("--cpu-baseline", plan.cpu_baseline,
                     "Times of what stays on the CPU from this run.json of `harness encode`")
        ->type_name("FILE");
    state.plan->add_option("--context", plan.context, "Rows T of the encoder")
        ->check(CLI::Range(1, 65536))
        ->type_name("T")
        ->capture_default_str();
    add_device_spec(*state.plan, plan.device_spec);
    state.plan->add_option("--target", state.target, "What must be reached: rtfx=1.1, rtfx=220")
        ->check(accepted_by(parse_target))
        ->type_name("rtfx=N")
        ->default_str("rtfx=1.1");
    state.plan->add_option("--scope", plan.scope, "What the target is of: attention, encoder")
        ->check(one_of("scope", {"attention", "encoder"}))
        ->type_name("SCOPE")
        ->capture_default_str();
    state.plan->add_option("--audio-seconds", plan.audio_seconds, "Seconds of speech in the window of 30 s")
        ->check(finite_number())
        ->check(CLI::Range(0.01, 30.0))
        ->type_name("S")
        ->capture_default_str();
    state.plan->add_option("--rows", plan.rows, "Rows of the table; 0: all")
        ->check(CLI::Range(0, 1000))
        ->type_name("N")
        ->capture_default_str();
    state.plan->add_flag(
        "--accuracy", plan.accuracy,
        "Predict accuracy too, on layer 0 of the default recording, and mark the Pareto front");
    state.plan
        ->add_option("--tile", state.tile,
                     "Only this tiling of the products; refused where it breaks a limit of the device")
        ->check(accepted_by(parse_tile))
        ->type_name("MxKxN");
    add_timelines(*state.plan, plan.timelines, "one layer of the fastest way");
    add_common(*state.plan, common);
    add_bench(app);
}

void TimeModelCommands::add_bench(CLI::App& app) {
    BenchCpuOptions& bench = state_->bench_options;
    state_->bench = app.add_subcommand("bench-cpu", "Time the golden's attention on this machine, alone");
    state_->bench->footer(
        "One layer, null sink, upstream computed before, one run to warm up. Stops when the median is known "
        "to\n"
        "1% (95% interval by order statistics), not before N samples, nor later than S seconds of them.");
    state_->bench->add_option("--out", bench.out, "Where the baseline goes, for --compare --cpu-baseline")
        ->required()
        ->type_name("FILE");
    state_->bench->add_option("--recording", bench.recording, "Recording (default: the default recording)")
        ->type_name("FILE");
    state_->bench->add_option("--context", bench.context, "Rows T of the default recording")
        ->check(CLI::Range(1, 65536))
        ->type_name("T")
        ->capture_default_str();
    state_->bench->add_option("--samples", bench.least_samples, "Samples at least")
        ->check(CLI::Range(10, 10000))
        ->type_name("N")
        ->capture_default_str();
    state_->bench->add_option("--seconds", bench.most_seconds, "Seconds of samples at most")
        ->check(finite_number())
        ->check(CLI::Range(0.1, 86400.0))
        ->type_name("S")
        ->capture_default_str();
    add_common(*state_->bench, state_->common);
}

std::optional<Command> TimeModelCommands::finish() const {
    State& state = *state_;
    if (state.validate->parsed()) {
        state.validate_options.common = state.common;
        return state.validate_options;
    }
    if (state.bench->parsed()) {
        state.bench_options.common = state.common;
        return state.bench_options;
    }
    if (state.plan->parsed()) {
        state.plan_options.common = state.common;
        if (!state.target.empty()) {
            state.plan_options.target_rtfx = parse_target(state.target);
        }
        if (!state.tile.empty()) {
            state.plan_options.tile = parse_tile(state.tile);
        }
        return state.plan_options;
    }
    return {};
}

}  // namespace harness
