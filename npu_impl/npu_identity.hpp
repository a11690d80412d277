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

inline constexpr std::string_view unknown_power_mode = "unknown";

// The power mode in XRT's report of the platform (JSON), or unknown_power_mode; takes any text.
std::string power_mode_in(std::string_view platform_report);

}  // namespace npu_impl
