// What a run record says of modelled time: op by op what bounds it, and what that does to the whole. Plain
// values, part of the run record.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/op.hpp"
#include "harness/stopwatch.hpp"

namespace harness {

// One step of one layer (or of the end), modelled, in seconds.
struct ModelledStep {
    datasets::OpRange ops{};
    std::int64_t launches = 0;  // planned
    std::int64_t switches = 0;  // of context, planned
    double seconds = 0;
    double launch_seconds = 0;  // its split: these four add up to `seconds`
    double transfer_seconds = 0;
    double compute_seconds = 0;
    double idle_seconds = 0;
    std::string bound;         // launches, kernel, DRAM, streams
    double share_of_peak = 0;  // of all cores of the device at their peak; 0: no products
};

// Amdahl's law for one step: `share` of the whole, `speedup` of the step, and the whole's speedup if this
// step alone moves to the NPU, or it and all before it.
struct AmdahlLine {
    datasets::OpRange ops{};
    double share = 0;
    double speedup = 0;
    double alone = 0;
    double with_those_before = 0;
};

struct TimeModelNotes {
    std::string device;          // specification
    std::string assumptions;     // how kernels were compiled and launched
    double interval_factor = 0;  // 90%: a measured time lies within modelled / factor .. modelled * factor
    std::vector<ModelledStep> steps;
    std::string whole;  // what the shares below are of
    std::vector<AmdahlLine> amdahl;
};

// How the CPU's times were taken, over all layers of a run, which are the same work.
struct CpuTiming {
    int layers = 0;
    int fewest_samples = 0;  // of a layer, behind one run that warms up
    int most_samples = 0;
    double half_width = 0;  // of a 95% interval of a layer's median, relative; the widest; infinite below six
    SampleControl control;  // of all samples in order
    bool elsewhere = false;  // measured on another machine, by --cpu-baseline
};

// "query", "scores..context"
std::string range_name(datasets::OpRange ops);

struct MovedStep {
    datasets::OpRange ops{};
    double cpu_seconds = 0;
    double npu_seconds = 0;
};

// `whole_seconds`: on the CPU alone, the steps' CPU seconds included. Throws std::invalid_argument where it
// is not positive or less than those.
std::vector<AmdahlLine> amdahl(const std::vector<MovedStep>& steps, double whole_seconds);

}  // namespace harness
