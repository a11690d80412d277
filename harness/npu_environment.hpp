// Which NPU a run took place on, and in which power mode: without them a measured time says nothing.
#pragma once

#include <optional>
#include <string>

#include "harness/environment.hpp"
#include "npu_impl/device.hpp"

namespace harness {

// Of a device behind a runtime; nothing for one of this program.
std::optional<NpuEnvironment> npu_environment(const npu_impl::Device& device);

// At the end of a run: a power mode that is another one now becomes "balanced, then performance", which is
// the mode of no other run. So does a device that fails then: what was judged before stands.
void note_power_mode(Environment& environment, const npu_impl::Device& device);

// What a speedup means whose NPU side was measured on the device of this run.
std::string measured_speedup_label(const Environment& environment);

}  // namespace harness
