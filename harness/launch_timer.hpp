// Times a path on a device with a clock: by the calls of the device alone, as the device books them.
#pragma once

#include <optional>
#include <vector>

#include "datasets/path.hpp"
#include "harness/launch_times.hpp"

namespace harness {

// Of work that was computed before: whether the device that counted these parts has a clock.
bool is_clocked(const std::vector<datasets::Part>& counted);

class LaunchTimer {
public:
    // Computes `work` once to warm up (contexts are opened, instructions loaded) and `repetitions` times. As
    // for any user, the results of the last op come back to the host; all others stay where they are.
    LaunchTimer(datasets::PreparedLayer& candidate, datasets::Work work, const datasets::Source& source,
                int repetitions);

    // Summed over the steps in the range; nothing where it has none.
    [[nodiscard]] std::optional<LaunchTimes> of(datasets::OpRange range) const;

private:
    std::vector<std::vector<datasets::Part>> repetitions_;
};

}  // namespace harness
