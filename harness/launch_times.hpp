// What a range of ops took on a device with a clock, as a run record tells it. Plain values.
#pragma once

#include <cstdint>

#include "datasets/clock.hpp"
#include "harness/encoder_record.hpp"

namespace harness {

struct LaunchTimes {
    Duration total;              // inside the calls of the device; median of the repetitions
    datasets::DeviceTime split;  // of the repetition in the middle, or two: its parts add up to `total`
    std::int64_t launches = 0;   // of one repetition
    int warm_ups = 0;            // runs of the range before the first repetition
};

}  // namespace harness
