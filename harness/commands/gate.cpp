// `harness gate`: judges one kernel file of a user, from its source to a verdict, without trusting it.
#include <fmt/color.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/kernel_gate/compile.hpp"
#include "harness/kernel_gate/layer_check.hpp"
#include "harness/kernel_gate/sandbox.hpp"
#include "harness/kernel_gate/tile_checks.hpp"
#include "harness/kernel_gate/tile_memory.hpp"
#include "harness/progress.hpp"
#include "npu_impl/kernel_device.hpp"

namespace harness {
namespace {

using namespace kernel_gate;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t memory_bytes = std::int64_t{4} << 30;
constexpr std::size_t failures_shown = 8;
constexpr const char* loading = "loading";

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// One check and what it found.
struct Check {
    std::string name;
    std::vector<std::string> findings;
};

// One isolated run of checks.
struct CheckStage {
    std::vector<Check> checks;
    std::string text;     // of the report
    bool halted = false;  // by a crash or the limit
    bool unsafe = false;  // the kernel damages memory or throws

    [[nodiscard]] bool passed() const {
        return std::ranges::all_of(checks, [](const Check& check) { return check.findings.empty(); });
    }
};

// Where the program says something. Quiet: nowhere, but for the compiler's errors.
class Console {
public:
    explicit Console(const CommonOptions& common) : quiet_(common.quiet), color_(wants_color(common.color)) {}

    [[nodiscard]] bool color() const { return color_; }

    void print(std::string_view text) const {
        if (!quiet_) {
            fmt::print("{}", text);
        }
    }
    [[nodiscard]] std::string verdict(bool passed, int width) const {
        const std::string word = fmt::format("{:<{}}", passed ? "passed" : "failed", width);
        const auto hue = fg(passed ? fmt::terminal_color::green : fmt::terminal_color::red);
        return color_ ? fmt::format(passed ? hue : hue | fmt::emphasis::bold, "{}", word) : word;
    }

private:
    bool quiet_;
    bool color_;
};

void require_readable(const std::string& file) {
    std::error_code error;
    if (std::filesystem::is_directory(file, error)) {
        throw std::runtime_error(fmt::format("{}: is a folder, not a kernel file", file));
    }
    if (!std::ifstream(file)) {
        throw std::runtime_error(fmt::format("{}: cannot be read: {}", file, std::strerror(errno)));
    }
}

// Runs `body` isolated and collects what it says.
CheckStage run_stage(double limit_seconds, ProgressBar& bar,
                     const std::function<void(const Reporter&)>& body) {
    CheckStage stage;
    std::string hint;
    const Outcome outcome = run_isolated(limit_seconds, memory_bytes, body, [&](const Message& message) {
        switch (message.kind) {
            case Message::Kind::check:
                stage.checks.push_back({message.text, {}});
                bar.step(message.text);
                break;
            case Message::Kind::damage:
                stage.unsafe = true;
                [[fallthrough]];
            case Message::Kind::finding:
                stage.checks.back().findings.push_back(message.text);
                break;
            case Message::Kind::hint:
                hint = "; " + message.text;
                break;
            default:
                stage.text += message.text;
        }
    });
    if (!outcome.finished) {
        stage.halted = true;
        if (stage.checks.empty()) {
            stage.checks.push_back({loading, {}});
        }
        const std::string after =
            outcome.end == Outcome::End::timed_out ? fmt::format(" after {:.3g} s", limit_seconds) : hint;
        stage.checks.back().findings.push_back(fmt::format("{}{}", describe(outcome), after));
    }
    return stage;
}

TileKernel on_tiles(const npu_impl::RawKernel& kernel) {
    return {kernel.function(), [&] { kernel.reset(); }, [&] { return kernel.rounding(); },
            [&](unsigned mode) { kernel.set_rounding(mode); }};
}

// A line that compares its results with those of our own kernel.
std::string likeness(const std::vector<TileCase>& cases, const std::string& role, const TileKernel& kernel) {
    std::optional<npu_impl::RawKernel> own;
    try {
        own.emplace(npu_impl::own_module(), role);
    } catch (const npu_impl::KernelError&) {
        return {};  // an installation without our modules: the layer check says so where it needs them
    }
    Difference sum;
    for (const TileCase& one : cases) {
        const Difference part = difference(one, kernel, on_tiles(*own));
        sum.differing += part.differing;
        sum.elements += part.elements;
    }
    return fmt::format("same bits as the project's own kernel on these cases: {}\n",
                       sum.differing == 0 ? "yes"
                                          : fmt::format("no, {} of {} elements differ (within the bound)",
                                                        sum.differing, sum.elements));
}

void check_tiles(const GateOptions& options, const std::string& symbol, const std::string& module,
                 const Reporter& reporter) {
    reporter.check(loading);
    report_faults(reporter);
    try {
        const npu_impl::RawKernel kernel(module, symbol);
        const TileKernel tile_kernel = on_tiles(kernel);
        const std::vector<TileCase> cases = tile_cases(options.role);
        bool passed = true;
        for (const TileCase& one : cases) {
            reporter.check(one.name);
            const TileFaults faults = check_tile(one, tile_kernel);
            passed = passed && faults.lines.empty();
            for (const std::string& fault : faults.lines) {
                reporter.send(faults.unsafe ? Message::Kind::damage : Message::Kind::finding, fault);
            }
        }
        if (passed) {
            reporter.text(likeness(cases, options.role, tile_kernel));
        }
    } catch (const npu_impl::KernelError& error) {
        reporter.send(Message::Kind::damage, error.what());
    }
}

// Of the checks from `begin` on, how many passed that differ in what follows a colon only.
std::size_t passed_alike(const std::vector<Check>& checks, std::size_t begin) {
    const auto kind = [](const Check& check) { return check.name.substr(0, check.name.find(": ")); };
    std::size_t end = begin;
    while (end < checks.size() && checks[end].findings.empty() && kind(checks[end]) == kind(checks[begin])) {
        ++end;
    }
    return end - begin;
}

std::string lines_of(const CheckStage& stage, const Console& console) {
    std::string out;
    for (std::size_t i = 0; i < stage.checks.size(); ++i) {
        const Check& check = stage.checks[i];
        if (check.name == loading && check.findings.empty()) {
            continue;
        }
        const std::size_t alike = passed_alike(stage.checks, i);
        const std::string name =
            alike > 1 ? fmt::format("{}, and {} more like it", check.name, alike - 1) : check.name;
        out += fmt::format("  {:<46} {}\n", name, console.verdict(check.findings.empty(), 0));
        for (const std::string& finding : check.findings) {
            out += fmt::format("      {}\n", finding);
        }
        i += alike > 1 ? alike - 1 : 0;
    }
    return out;
}

// The checks of a layer are stages of one run: its table, and what failed.
std::string layer_lines(const CheckStage& stage) {
    std::string out = stage.text;
    std::size_t count = 0;
    for (const Check& check : stage.checks) {
        for (const std::string& finding : check.findings) {
            if (++count <= failures_shown) {
                out += stage.halted ? fmt::format("  check '{}': {}\n", check.name, finding)
                                    : fmt::format("  {}\n", finding);
            }
        }
    }
    return count > failures_shown ? out + fmt::format("  ... and {} more rows\n", count - failures_shown)
                                  : out;
}

// One line about the first failure, and how many there are.
std::string summary(const std::vector<CheckStage>& stages) {
    std::string first;
    std::size_t failed = 0;
    for (const CheckStage& stage : stages) {
        for (const Check& check : stage.checks) {
            if (!check.findings.empty() && failed++ == 0) {
                const std::string& finding = check.findings.front();
                first = check.name == loading ? finding : fmt::format("check '{}': {}", check.name, finding);
            }
        }
    }
    return failed > 1 ? fmt::format("{} (and {} more checks failed)", first, failed - 1) : first;
}

// Tile checks, then a layer. Prints what they find.
std::vector<CheckStage> run_checks(const GateOptions& options, const std::string& symbol,
                                   const std::string& module, ProgressBar& bar, const Console& console) {
    const auto start = Clock::now();
    std::vector<CheckStage> stages;
    stages.push_back(run_stage(options.limit_seconds, bar, [&](const Reporter& reporter) {
        check_tiles(options, symbol, module, reporter);
    }));
    bar.clear();
    const CheckStage& tiles = stages.front();
    console.print("\ntile checks\n" + lines_of(tiles, console) + tiles.text);
    if (tiles.halted) {
        console.print(fmt::format("  it was called as: {}\n", signature(options.role)));
    }
    const npu_impl::Design* design = npu_impl::design_with(options.role);
    if (design == nullptr) {
        console.print(
            fmt::format("\nlayer check: none, no attention of this build calls {}\n", options.role));
        return stages;
    }
    if (tiles.halted || tiles.unsafe) {
        console.print("\nlayer check: not run, because of what the tile checks found\n");
        return stages;
    }
    const double left = std::max(0.0, options.limit_seconds - seconds_since(start));
    stages.push_back(run_stage(left, bar, [&](const Reporter& reporter) {
        check_layer(*design, options.role, module, symbol, reporter);
    }));
    bar.clear();
    console.print(
        fmt::format("\nlayer check: synthetic hard data, T = {}, layer 0, design {}, exact emulation\n",
                    layer_context, design->name));
    console.print(layer_lines(stages.back()));
    return stages;
}

// The compiler's words, as they are.
void show(const CompileResult& compiled, bool quiet) {
    if (!quiet || !compiled.fault.empty()) {
        fmt::print(stderr, "{}", compiled.messages);
    }
}

}  // namespace

ExitCode run(const GateOptions& options, const std::string&) {
    const auto start = Clock::now();
    std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away must not keep the folder from being removed
    require_readable(options.kernel);
    const Console console(options.common);
    const std::string symbol = options.symbol.empty() ? options.role : options.symbol;
    const std::string level(npu_impl::kernel_level());
    const int steps = 8 + static_cast<int>(tile_cases(options.role).size());
    ProgressBar bar("gating", steps, !options.common.quiet);
    console.print(fmt::format("Kernel     {}, function {}, as {}\n", options.kernel, symbol, options.role));
    const auto conclude = [&](const std::string& fault) {
        console.print(fmt::format("\n{}: {} as {}{}, {:.1f} s from source to verdict, exit code {}\n",
                                  console.verdict(fault.empty(), 0), options.kernel, options.role,
                                  fault.empty() ? "" : ": " + fault, seconds_since(start),
                                  fault.empty() ? 0 : 1));
        return fault.empty() ? ExitCode::passed : ExitCode::failed;
    };
    bar.step("compiling");
    const TemporaryFolder folder;
    const CompileResult compiled =
        compile_kernel({options.kernel, options.include, options.define, level, console.color()}, folder);
    bar.clear();
    show(compiled, options.common.quiet);
    if (!compiled.fault.empty()) {
        return conclude(compiled.fault);
    }
    console.print(
        fmt::format("Compiled   by {} for {} in {:.1f} s\n", compiled.compiler, level, compiled.seconds));
    const std::int64_t stack_bytes = npu_impl::designs().front().stack_bytes;
    if (compiled.frame_bytes > stack_bytes) {
        console.print(fmt::format("Remark     stack frame of {} bytes; a core has {}\n", compiled.frame_bytes,
                                  stack_bytes));
    }
    const std::vector<CheckStage> stages = run_checks(options, symbol, compiled.module, bar, console);
    const bool passed = std::ranges::all_of(stages, &CheckStage::passed);
    return conclude(passed ? "" : summary(stages));
}

}  // namespace harness
