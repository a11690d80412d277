// The program: parses the command line, runs one command, turns every error into one line and an exit code.
#include <fmt/format.h>
#include <tbb/global_control.h>

#include <cstdio>
#include <exception>
#include <string>

#include "harness/commands/commands.hpp"
#include "harness/interrupt.hpp"

namespace {

using namespace harness;

std::string invocation(int argc, char** argv) {
    std::string line = "harness";
    for (int i = 1; i < argc; ++i) {
        line += std::string(" ") + argv[i];
    }
    return line;
}

template <typename Options, typename Run>
ExitCode limited(const Options& options, Run run) {
    if (options.common.threads == 0) {
        return run();
    }
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                    std::size_t(options.common.threads));
    return run();
}

struct Runner {
    std::string line;

    ExitCode operator()(const PrintText& text) const {
        fmt::print("{}", text.text);
        return ExitCode::passed;
    }
    ExitCode operator()(const CompareOptions& o) const {
        return limited(o, [&] { return run_compare(o, line); });
    }
    ExitCode operator()(const RecordOptions& o) const {
        return limited(o, [&] { return run_record(o); });
    }
    ExitCode operator()(const InspectOptions& o) const {
        return limited(o, [&] { return run_inspect(o); });
    }
    ExitCode operator()(const ListOptions& o) const { return run_list(o); }
};

int report(const char* message, ExitCode code) {
    fmt::print(stderr, "harness: {}\n", message);
    return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
    catch_interrupts();
    try {
        return static_cast<int>(std::visit(Runner{invocation(argc, argv)}, parse_command_line(argc, argv)));
    } catch (const UsageError& error) {
        return report(error.what(), ExitCode::usage);
    } catch (const Interrupted& error) {
        return report(error.what(), ExitCode::interrupted);
    } catch (const std::exception& error) {
        return report(error.what(), ExitCode::could_not_run);
    }
}
