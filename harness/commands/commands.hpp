// The commands of the program: each takes its parsed options and returns the exit code.
#pragma once

#include <string>

#include "harness/options.hpp"

namespace harness {

// `invocation` is the command line as typed, for the record.
ExitCode run(const CompareOptions& options, const std::string& invocation);
ExitCode run(const RecordOptions& options, const std::string& invocation);
ExitCode run(const EncodeOptions& options, const std::string& invocation);
ExitCode run(const JudgeOptions& options, const std::string& invocation);
ExitCode run(const InspectOptions& options, const std::string& invocation);
ExitCode run(const ListOptions& options, const std::string& invocation);
ExitCode run(const GateOptions& options, const std::string& invocation);
ExitCode run(const WhatIfOptions& options, const std::string& invocation);
ExitCode run(const ExplainOptions& options, const std::string& invocation);
ExitCode run(const BisectOptions& options, const std::string& invocation);
ExitCode run(const SelfCheckOptions& options, const std::string& invocation);
ExitCode run(const CalibrateOptions& options, const std::string& invocation);
ExitCode run(const ArtefactOptions& options, const std::string& invocation);
ExitCode run(const DoctorOptions& options, const std::string& invocation);
ExitCode run(const ValidateModelOptions& options, const std::string& invocation);
ExitCode run(const NpuPlanOptions& options, const std::string& invocation);
ExitCode run(const BenchCpuOptions& options, const std::string& invocation);
ExitCode run(const HistoryOptions& options, const std::string& invocation);
ExitCode run(const RegressOptions& options, const std::string& invocation);
ExitCode run(const MergeOptions& options, const std::string& invocation);
ExitCode run(const ReportOptions& options, const std::string& invocation);

}  // namespace harness
