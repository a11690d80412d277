// One launch on the array as a discrete-event simulation: the array's controller, DRAM and shim channels,
// memory tiles, the streams and DMA of the cores, the cores, and the way back.
//
// Six servers work on the passes of the launch in order, each as soon as what it needs is there and what it
// fills is free: the controller sets up DMA tasks while descriptors last; a fetch brings a pass from DRAM
// into one of two buffers of the memory tiles; a feed broadcasts it into the cores' operand buffers; the
// cores compute; a drain sends the output tile back to a memory tile, a store on to DRAM. Reads and writes
// of DRAM have a bandwidth each and one together, first come, first served. Nothing is random.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "npu_impl/array_work.hpp"

namespace npu_impl {

// Where something happens.
enum class Lane : std::uint8_t { host, controller, fetch, feed, cores, drain, store };
inline constexpr std::size_t lane_count = 7;
std::string_view name(Lane lane);

// What a lane did, in seconds from the start of the plan. `pass` counts within its launch; of the host and
// the controller it is a launch's index in the plan, and a task group's in its launch.
struct TimelineEvent {
    Lane lane{};
    double begin = 0;
    double end = 0;
    std::int64_t pass = 0;

    bool operator==(const TimelineEvent&) const = default;
};

// Seconds of the array, split by what the cores did: they worked; they waited while something moved; they
// waited for the controller alone.
struct ArrayTime {
    double compute = 0;
    double transfer = 0;
    double idle = 0;

    [[nodiscard]] double total() const { return compute + transfer + idle; }
};

// From the controller's first task to the last byte in DRAM. `timeline` (null: none) gets the events, from
// 0. A launch without passes takes no time.
ArrayTime simulate(const ArrayLaunch& launch, const DeviceSpec& spec, std::vector<TimelineEvent>* timeline);

}  // namespace npu_impl
