// Both sides of a step's time: the golden measured on this host, the candidate modelled and counted.
#pragma once

#include <optional>
#include <vector>

#include "datasets/path.hpp"
#include "harness/launch_timer.hpp"
#include "harness/run_record.hpp"
#include "harness/stopwatch.hpp"

namespace harness {

// Times a whole range once and gives the share of any piece of it.
class StepTimer {
public:
    // Runs the golden over `work` with a null sink, by the rule, after it has warmed up. `modelled` are the
    // candidate's parts as planned, `counted` as its device counted them, `launches` as measured, where its
    // device has a clock.
    StepTimer(datasets::PreparedLayer& golden, datasets::Work work, const datasets::Source& source,
              const StopRule& rule, std::vector<datasets::Part> modelled, std::vector<datasets::Part> counted,
              std::optional<LaunchTimer> launches = std::nullopt);

    // The smallest ops that both sides resolve, summed over the range. CPU: the median, and all samples. NPU:
    // measured where the device is hardware, modelled else.
    [[nodiscard]] StepTime of(datasets::OpRange range) const;

private:
    std::vector<datasets::Part> golden_;        // of the last run; the same in every run but for the time
    std::vector<std::vector<double>> samples_;  // [golden part][repetition], seconds
    std::vector<datasets::Part> modelled_;
    std::vector<datasets::Part> counted_;
    std::optional<LaunchTimer> launches_;
};

}  // namespace harness
