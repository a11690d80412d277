// Modelled time on an NPU: launches x cost of a launch + bytes / bandwidth + multiply-adds / rate.
//
// The three are added, as if nothing overlapped, so the model tends to be slow rather than flattering.
// Cores and launches are those of the step. Norms and GELU count the VMACs of their kernels (counted in
// kernels/aie2/layer_norm.cc and gelu.cc), each as long as a VMAC of a product, and nothing of their other
// instructions, so that part tends to be fast. Softmax arithmetic counts nothing: no cycle count of it on
// AIE2 is published. Nor do additions on the host. A modelled time is never a measurement.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "npu_impl/tile_plan.hpp"

namespace npu_impl {

struct DeviceSpec {
    std::string_view name;
    std::string_view product;
    double clock_hz;
    int cores;
    double mac_per_cycle_per_core;  // achieved by a vectorised bf16 kernel
    double dram_bytes_per_second;   // between DRAM and the array
    double launch_seconds;          // one call from C++, submit to completion
};

// Hawk Point first: the default.
std::span<const DeviceSpec> device_specs();
const DeviceSpec* find_device_spec(std::string_view name);

// Seconds, split by cause.
struct Cost {
    double launch = 0;
    double transfer = 0;
    double compute = 0;

    [[nodiscard]] double total() const { return launch + transfer + compute; }
};

struct CostModel {
    DeviceSpec spec = device_specs().front();

    [[nodiscard]] Cost cost(const TilePlan& plan) const;
};

}  // namespace npu_impl
