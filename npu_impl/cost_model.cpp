#include "npu_impl/cost_model.hpp"

#include <algorithm>
#include <array>

namespace npu_impl {
namespace {

// mlir-aie's stock `matmul_vectorized_4x4` compiled by Peano issues 16 products of 4x8x4 in 32 bundles:
// half of the 128 multiply-adds per cycle that the core can do (jdominick05/ignite-xdna docs/SILICON.md
// section 2.3.1; Xilinx/mlir-aie issue 2735).
constexpr double stock_kernel_mac_per_cycle = 64;

// A VMAC takes its issue slot whether it is a 4x8x4 product or 16 lanes (aie_api
// detail/aie2/mmul_bf16_bf16.hpp).
constexpr double macs_per_vmac = 4 * 8 * 4;

constexpr std::array specs{
    // Clock: top level of the table in amd/xdna-driver src/driver/amdxdna/npu1_regs.c. Launch: mean NPU
    // time of a 4 KB pass-through from C++ on an 8845HS (Scottcjn/open-xdna RESULTS.md). Bandwidth: none is
    // published for Hawk Point, so the 8700G's lower figure per direction (ignite-xdna docs/SILICON.md):
    // same array, same kind of memory.
    DeviceSpec{"hawk_point", "Ryzen 8845HS, 8945HS", 1.6e9, 16, stock_kernel_mac_per_cycle, 26e9, 127.5e-6},
    // Clock and bandwidth: 7940HS at 1.0 GHz, about 15 GB/s during GEMM (arXiv 2512.13282). Launch:
    // dispatch from C++ on XDNA1 (hardWorker254/Npu-Embeddings-XDNA1 README).
    DeviceSpec{"phoenix", "Ryzen 7840HS, 7940HS", 1.0e9, 16, stock_kernel_mac_per_cycle, 15e9, 150e-6},
    // Clock, bandwidth and launch: ignite-xdna docs/SILICON.md.
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
    const double macs = double(plan.macs_per_core()) + macs_per_vmac * double(plan.vmacs_per_core());
    return {double(plan.launches.size()) * spec.launch_seconds, bytes / spec.dram_bytes_per_second,
            macs / rate};
}

}  // namespace npu_impl
