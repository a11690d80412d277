// The commands of the program: each takes its parsed options and returns the exit code.
#pragma once

#include <string>

#include "harness/options.hpp"

namespace harness {

// `invocation` is the command line as typed, for the record.
ExitCode run_compare(const CompareOptions& options, const std::string& invocation);
ExitCode run_record(const RecordOptions& options);
ExitCode run_inspect(const InspectOptions& options);
ExitCode run_list(const ListOptions& options);

}  // namespace harness
