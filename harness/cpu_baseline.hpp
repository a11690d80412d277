// The CPU's side measured by itself, to be carried from the machine that has the NPU to any other: what
// `harness bench-cpu` writes and `--cpu-baseline` reads.
//
// A sample is one run of the golden over the ops in a row with a null sink; upstream is computed before. The
// first run warms up and does not count.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "datasets/path.hpp"
#include "harness/run_record.hpp"
#include "harness/stopwatch.hpp"

namespace harness {

// One op of one layer.
struct CpuOpTime {
    datasets::OpRange ops{};
    datasets::Clock clock = datasets::Clock::host_wall;
    std::vector<double> samples_seconds;
};

struct CpuBaseline {
    std::string created_utc;
    std::string cpu;
    int threads = 0;
    std::string blas;
    std::string system;
    std::int64_t context = 0;
    int heads = 0;
    std::vector<CpuOpTime> ops;
    bool settled = false;  // the stop rule held before the most samples or seconds were used up
    SampleControl control;

    // The ops of `range` together, sample by sample. Throws std::invalid_argument where it lacks some.
    [[nodiscard]] Duration of(datasets::OpRange range) const;

    // Of all ops, sample by sample.
    [[nodiscard]] std::vector<double> totals() const;
};

// Measures `work` on a prepared golden.
CpuBaseline measure_cpu(datasets::PreparedLayer& golden, datasets::Work work, const datasets::Source& source,
                        const StopRule& rule);

std::string to_json(const CpuBaseline& baseline);

// Throws datasets::ReadError (one line: file, object, reason).
CpuBaseline read_cpu_baseline(const std::string& file);
CpuBaseline parse_cpu_baseline(const std::string& text, const std::string& file);

// Puts the baseline in the place of this host's CPU times, and says so. Throws datasets::ReadError where it
// is of other dimensions, or lacks an op that was timed.
void use_cpu_baseline(RunRecord& record, const CpuBaseline& baseline, const std::string& file);

// What a whole encoder leaves on the CPU, measured by `harness encode --json`: for each placement, mel, the
// ops that stay and what passes between the steps.
struct EncoderCpu {
    std::string file;
    std::string cpu;
    int threads = 0;
    std::int64_t context = 0;
    int heads = 0;
    int layers = 0;
    std::map<std::string, double, std::less<>> seconds;  // by placement; "cpu": nothing is on the NPU
};

// Of the first clip of a run.json. Throws datasets::ReadError.
EncoderCpu read_encoder_cpu(const std::string& file);
EncoderCpu parse_encoder_cpu(const std::string& text, const std::string& file);

}  // namespace harness
