#include "npu_impl/cost_model.hpp"

#include <algorithm>
#include <array>

namespace npu_impl {
namespace {

// Sources are sections of the facts about XDNA that the project collected (npu.md) and the keys used there.

// Section 2: mlir-aie's stock `matmul_vectorized_4x4` compiled by Peano issues 16 products of 4x8x4 in 32
// bundles, half of the 128 multiply-adds per cycle that the core can do (IGN section 2.3.1, mlir-aie issue
// 2735).
constexpr double stock_kernel_mac_per_cycle = 64;

constexpr std::array specs{
    // Clock: section 1.4, Hawk Point class. Launch: section 4 row 19b, mean NPU time of a 4 KB pass-through
    // from
    // C++ on an 8845HS. Bandwidth: section 1.5; none is published for Hawk Point, so the 8700G's lower figure
    // per
    // direction (IGN): same array, same kind of memory.
    DeviceSpec{"hawk_point", "Ryzen 8845HS, 8945HS", 1.6e9, 16, stock_kernel_mac_per_cycle, 26e9, 127.5e-6},
    // Clock and bandwidth: sections 1.4 and 1.5 (P1, 7940HS at 1.0 GHz, ~15 GB/s during GEMM). Launch:
    // section 4
    // row 2, dispatch from C++ on XDNA1 (HW1).
    DeviceSpec{"phoenix", "Ryzen 7840HS, 7940HS", 1.0e9, 16, stock_kernel_mac_per_cycle, 15e9, 150e-6},
    // Clock, bandwidth, launch: sections 1.4, 1.5 and section 4 row 3, all IGN.
    DeviceSpec{"8700g", "Ryzen 8700G, desktop", 1.8e9, 16, stock_kernel_mac_per_cycle, 26e9, 108e-6},
};

}  // namespace

std::span<const DeviceSpec> device_specs() {
    return specs;
}

const DeviceSpec* find_device_spec(std::string_view name) {
    const auto found = std::ranges::find(specs, name, &DeviceSpec::name);
    return found == specs.end() ? nullptr : &*found;
}

Cost CostModel::cost(const TilePlan& plan) const {
    const double rate = spec.clock_hz * spec.mac_per_cycle_per_core;
    const double bytes = double(plan.traffic.in) + double(plan.traffic.out);
    return {double(plan.launches.size()) * spec.launch_seconds, bytes / spec.dram_bytes_per_second,
            double(plan.macs_per_core()) / rate};
}

}  // namespace npu_impl
