// Two builds of the harness, run in turn as processes of their own: what differs between them is then not the
// hour, the temperature or the file cache.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/run_figures.hpp"

namespace harness {

struct InterleavedBuilds {
    std::string first;  // programs
    std::string second;
    std::vector<std::string> arguments;  // of both, beside --json and --quiet
    int rounds = 0;  // at least
};

struct InterleavedRuns {
    std::vector<RunFigures> first;
    std::vector<RunFigures> second;
};

// A B B A per round, so that a steady drift weighs on both alike; `before_run` is told which program comes.
// Behind the last round, and each beyond it, `another` is asked whether one more is wanted. A run counts if
// it left a run record, whatever its verdict. Throws std::runtime_error that names the program and how it
// ended otherwise, and Interrupted, having ended the one that runs.
InterleavedRuns run_interleaved(const InterleavedBuilds& builds,
                                const std::function<void(const std::string& program)>& before_run,
                                const std::function<bool(const InterleavedRuns&)>& another);

}  // namespace harness
