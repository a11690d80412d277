// The program: parses the command line, runs one command, turns every error into one line and an exit code.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tbb/global_control.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "datasets/recording_schema.hpp"
#include "harness/commands/commands.hpp"
#include "harness/environment.hpp"
#include "harness/interrupt.hpp"

namespace {

using namespace harness;

// Runs one command with as many tasks at once as its options allow.
struct Runner {
    std::string line;

    ExitCode operator()(const PrintText& text) const {
        fmt::print("{}", text.text);
        return ExitCode::passed;
    }
    ExitCode operator()(const auto& options) const {
        const std::size_t tasks =
            options.common.threads > 0 ? std::size_t(options.common.threads) : std::size_t(usable_cores());
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, tasks);
        return run(options, line);
    }
};

int report(const char* message, ExitCode code) {
    fmt::print(stderr, "harness: {}\n", datasets::one_line(message));
    return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
    catch_interrupts();
    try {
        const std::vector<std::string> words(argv + 1, argv + argc);
        const Runner runner{fmt::format("harness {}", fmt::join(words, " "))};
        const ExitCode code = std::visit(runner, parse_command_line(argc, argv));
        return std::fflush(stdout) == 0
                   ? static_cast<int>(code)
                   : report("standard output cannot be written", ExitCode::could_not_run);
    } catch (const UsageError& error) {
        return report(error.what(), ExitCode::usage);
    } catch (const Interrupted& error) {
        return report(error.what(), ExitCode::interrupted);
    } catch (const std::exception& error) {
        return report(error.what(), ExitCode::could_not_run);
    }
}
