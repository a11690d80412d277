// What shows that an NPU computes at all: one launch on one core whose result is known to the bit.
#pragma once

#include <cstdint>
#include <string>

#include "npu_impl/device.hpp"

namespace npu_impl {

// Of the launch: what an artefact must be filed under to serve it. It is a product of one dense 64 x 64 tile
// in the design tile64, as for the query of a layer of one head.
std::string pass_through_program();

inline constexpr std::int64_t pass_through_elements = 4096;

// Sends a tile of 4096 bf16 numbers [row, column] times a permutation: it comes back in fp32, each row turned
// by one column, bit for bit, since every sum has one term that is not zero. The kernel and the layout of
// both operands, the DMA's blocks and the host's transfers all take part. Returns how many of the 4096 came
// back otherwise; what was never written is among them. Throws DeviceError.
std::int64_t pass_through(Device& device);

}  // namespace npu_impl
