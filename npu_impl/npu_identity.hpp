// What the runtime says of an NPU, read: whether its name is one of AMD's, and its power mode.
//
// Sources: amd/xdna-driver, drivers/accel/amdxdna/npu*_regs.c (names); Xilinx/XRT,
// core/common/info_platform.cpp (the report).
#pragma once

#include <string>
#include <string_view>

namespace npu_impl {

// Whether the driver of Ryzen AI gives such a name: "RyzenAI-npu1", "NPU Strix Halo". All others, and no name
// at all, are taken for emulations: their times are never those of an NPU.
bool is_hardware_name(std::string_view name);

inline constexpr std::string_view not_told = "unknown";

// The power mode in XRT's report of the platform (JSON), or not_told; takes any text.
std::string power_mode_in(std::string_view platform_report);

// XRT's version in its report of the host (JSON), or "unknown"; takes any text.
std::string xrt_version_in(std::string_view host_report);

// The firmware's version as the driver tells it for the PCI device "0000:c5:00.1", or "unknown". `root`
// stands before every file name: "" for this machine.
std::string firmware_version(const std::string& root, const std::string& pci_device);

}  // namespace npu_impl
