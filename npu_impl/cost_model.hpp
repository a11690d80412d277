// Modelled time on an NPU: every launch of a plan, from the host's call to the last byte in DRAM, by the
// discrete-event simulation of array_simulation.hpp; beside it bounds that no schedule can beat.
//
// Left out: bank conflicts and stalls inside a core (kernels run at the rate that DeviceSpec quotes), all
// instructions of norms, GELU and softmax that are not VMACs, the lookups of exp among them, so that their
// part tends to be fast; DRAM pages and refresh; other work on host, DRAM or array; and what the host adds
// up or packs. A modelled time is never a measurement; model_validation.hpp says how far it was off where
// silicon was measured.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "npu_impl/array_simulation.hpp"
#include "npu_impl/array_work.hpp"
#include "npu_impl/device_spec.hpp"

namespace npu_impl {

// How launches reach the device.
enum class Dispatch : std::uint8_t { calls, run_lists };
std::string_view name(Dispatch dispatch);

// What the launches of different kernels have in common.
enum class Contexts : std::uint8_t {
    per_kernel,  // each kernel is an array configuration of its own: a change of kernel is a context switch
    shared,      // all kernels of a design lie in one configuration
};
std::string_view name(Contexts contexts);

enum class Caller : std::uint8_t { cpp, python };

// Seconds below which no plan can come, each for a reason of its own.
struct TimeBounds {
    double launch_floor = 0;  // what launches, switches and syncs cost before anything runs
    double kernel_floor = 0;  // the cores at the rate of the kernel
    double dram_roof = 0;     // bytes at the bandwidth of DRAM
    double stream_roof = 0;   // bytes of the busiest stream or channel at a word a cycle
    double compute_roof = 0;  // products on all cores of the device at their peak

    [[nodiscard]] double largest() const;

    // What the largest is: "launches", "kernel", "DRAM", "streams".
    [[nodiscard]] std::string_view limiting() const;

    TimeBounds& operator+=(const TimeBounds& other);
};

// Seconds, split by cause.
struct Cost {
    double launch = 0;    // host and driver: calls, context switches, buffer syncs
    double transfer = 0;  // the cores waited while something moved
    double compute = 0;
    double idle = 0;  // the cores waited for the controller
    std::int64_t launches = 0;
    TimeBounds bounds;

    [[nodiscard]] double total() const { return launch + transfer + compute + idle; }

    // Of the whole device's peak, what the products of the plan used. 0 where there are none.
    [[nodiscard]] double share_of_peak() const { return total() > 0 ? bounds.compute_roof / total() : 0; }

    Cost& operator+=(const Cost& other);
};

struct CostModel {
    DeviceSpec spec = device_specs().front();
    std::string kernel = "peano";  // how vector kernels were compiled
    Dispatch dispatch = Dispatch::calls;
    Contexts contexts = Contexts::per_kernel;
    Caller caller = Caller::cpp;

    // Launches that differ are simulated once each: the array is empty between two. `timeline` (null: none)
    // gets every event of every launch. `first`: the place in its run list of the first launch.
    Cost cost(const ArrayWork& work, std::vector<TimelineEvent>* timeline = nullptr,
              std::int64_t first = 0) const;
    [[nodiscard]] Cost cost(const TilePlan& plan) const;

    // What the host pays for the launch at `index` of those that run one after the other.
    [[nodiscard]] double launch_seconds(std::int64_t index) const;

    // The same of `count` from the one at `first` on.
    [[nodiscard]] double launches_seconds(std::int64_t first, std::int64_t count) const;
};

// Without simulation. simulated time >= launch_floor + each of the others.
TimeBounds time_bounds(const ArrayWork& work, const CostModel& model);

}  // namespace npu_impl
