// An NPU through XRT: launches run as compiled artefacts, found by the launch's program.
//
// The two flows of XRT are told apart when this is compiled: hardware contexts (2.15 and later; what an NPU's
// driver takes), or load_xclbin (2.13 of Debian 12, which no NPU's driver takes, but an emulated one does).
// Without XRT, `open_xrt_device` says that this build has none.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "npu_impl/device.hpp"

namespace npu_impl {

struct XrtSettings {
    std::string artefacts;                         // the folder that holds them
    std::chrono::milliseconds time_limit{10'000};  // of a launch, or a list of them; no wait is longer
    unsigned index = 0;                            // of the NPU
};

// Whether this build has XRT, and with which flow.
bool built_with_xrt();
std::string_view xrt_flow();

// Buffers are allocated host-only and mapped, instructions cacheable, in the bank that the kernel names.
// Launches of one xclbin go as lists of up to 24 where XRT has run lists (2.19 and later), else one by one;
// four submissions are in flight at most, and before a launch of another xclbin all have run. Every wait has
// the limit of the settings. A launch that fails or does not end loses its context: it is left alone, never
// aborted (XRT's abort has no limit), and the next launch opens a new one. Anything that XRT warns of is an
// error: its warnings are of copies made and buffers misplaced.
//
// Opening and the device throw DeviceError, one line each: no NPU, no permission, no artefact for a launch
// (its identity is named), refused contexts and allocations, states other than COMPLETED. Artefacts that
// cannot be used throw datasets::ReadError.
std::unique_ptr<Device> open_xrt_device(const XrtSettings& settings);

}  // namespace npu_impl
