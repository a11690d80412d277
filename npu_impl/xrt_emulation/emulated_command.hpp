// A run of a kernel on an emulated NPU: what its firmware makes of the registers that the kernel is started
// with, and what the array then does.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "npu_impl/launch_program.hpp"
#include "npu_impl/xclbin.hpp"
#include "npu_impl/xrt_emulation/emulated_memory.hpp"

namespace npu_impl::xrt_emulation {

struct Command {
    LaunchProgram program;         // of the xclbin that was loaded, and of the instructions
    std::vector<Place> arguments;  // of the program, in order
    std::optional<Fault> fault;
    bool understood = false;
};

// Fills in program and arguments. Throws std::system_error or DeviceError for an opcode that is not 64 bits
// of 3, addresses where nothing is mapped or something of another kind, more instruction words than their
// buffer has, words that are no program, and accesses outside the arguments' buffers.
void understand(Command& command, const Xclbin& xclbin, const EmulatedMemory& memory,
                std::span<const std::uint32_t> registers);

// Runs commands one after the other. Holds the cores' memory.
class CommandRunner {
public:
    Outcome run(const Command& command);

private:
    void compute(const Launch& launch, std::span<std::byte* const> memory);

    std::map<LaunchProgram, std::vector<std::byte>> outputs_;  // of each program's last run
    std::vector<Pages> core_memory_;
};

}  // namespace npu_impl::xrt_emulation
