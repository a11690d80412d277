// A comparison that is ready to run, whole or in shards: its recording, its device and both paths.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datasets/recording.hpp"
#include "harness/accepted_misses.hpp"
#include "harness/cpu_baseline.hpp"
#include "harness/experiment.hpp"
#include "harness/options.hpp"
#include "harness/run_record.hpp"
#include "npu_impl/cost_model.hpp"
#include "npu_impl/device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden.hpp"

namespace harness {

class CompareRun {
public:
    // Opens the device and the recording. Throws UsageError, datasets::ReadError, npu_impl::DeviceError.
    CompareRun(const CompareOptions& options, const std::string& invocation);

    // What the whole run is: the parts that `share` has of it (none: all, as one shard).
    [[nodiscard]] ShardNote note(const std::optional<Share>& share) const;

    // The record of a run that has not begun: what is the same in all of its parts.
    [[nodiscard]] const RunRecord& described() const { return described_; }

    // Number of times that `run` reports progress.
    [[nodiscard]] int stages(const ShardNote& note) const;

    // Runs what `note` holds. The record has its summaries, but no note.
    [[nodiscard]] RunRecord run(const ShardNote& note, const Progress& progress);

private:
    [[nodiscard]] CaseResult run_one(const RunCase& one, const Selection& asked, const Progress& progress);

    CompareOptions options_;
    std::optional<CpuBaseline> baseline_;
    AcceptedMisses accepted_misses_;
    std::unique_ptr<npu_impl::Device> device_;
    datasets::Recording recording_;
    npu_impl::CostModel model_;
    npu_impl::NpuPath candidate_;
    reference::GoldenPath golden_;
    std::string command_;  // to which a failed row adds its selection
    RunRecord described_;
    std::vector<std::string> clips_;
    std::vector<int> layers_;
    bool end_ = false;
};

// The files that were asked for.
std::vector<std::string> outputs_of(const CompareOptions& options);

// Writes them, prints the report, and gives the exit code of the verdict.
ExitCode report_comparison(const RunRecord& record, const CompareOptions& options);

// Of a process that a launcher started as one of several, and that cannot find the others: a mistake of the
// command line, in words.
std::string alone_in_a_job();

// The same run by all processes that a launcher started; rank 0 reports. The others return `passed`.
ExitCode run_in_team(const CompareOptions& options, const std::string& invocation);

}  // namespace harness
