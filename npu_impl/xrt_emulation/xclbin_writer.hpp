// Writes the smallest xclbin that XRT and `read_xclbin` take for a kernel of an NPU. Of tests only: its image
// configures no array; it is whatever the test's device makes of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace npu_impl::xrt_emulation {

struct XclbinContent {
    std::string kernel = "MLIR_AIE";     // as mlir-aie names its kernels
    std::vector<int> buffer_banks;       // one buffer argument each, behind opcode, instructions and count
    int columns = 4;                     // of the array
    std::vector<std::byte> image;        // that configures it
    std::vector<std::uint32_t> without;  // kinds of sections to leave out
};

// Banks: 0 HOST, of buffers; 1 SRAM, of instructions; 2 a second one. The uuid is made of the content.
std::vector<std::byte> write_xclbin(const XclbinContent& content);

}  // namespace npu_impl::xrt_emulation
