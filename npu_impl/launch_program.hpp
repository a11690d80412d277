// What has to be compiled for the array so that it can run a launch, as words: the kernel on every core, and
// what each core does in which order to which part of the arguments. A launch says besides which buffers.
//
// Offsets count from the first byte of each argument that any job touches. So the launches of all waves of a
// step, which differ only in where they begin, are one program, and one instruction file serves them all: the
// device is handed addresses that lie inside the buffers.
//
// The words have two uses. Their hash is the name under which a compiled artefact is filed. And they are what
// an emulated device takes for xclbin and instructions: it can do what they say, and nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "npu_impl/device.hpp"

namespace npu_impl {

struct LaunchProgram {
    std::vector<std::uint32_t> kernel;        // name, source, stack and core memory
    std::vector<std::uint32_t> instructions;  // jobs, in order

    auto operator<=>(const LaunchProgram&) const = default;
};

// An argument of a launch: a buffer from the first byte that a job touches.
struct LaunchArgument {
    Buffer buffer;
    std::int64_t offset = 0;  // bytes; a multiple of 4
    bool used = false;        // some job touches it

    bool operator==(const LaunchArgument&) const = default;
};

struct BoundLaunch {
    LaunchProgram program;
    std::vector<LaunchArgument> arguments;  // as many as the launch has buffers
};

// Head, tile and sample of a job are no part of the program: they do not change what is computed. Throws
// DeviceError for a job whose argument the launch does not have.
BoundLaunch bind_program(const Launch& launch);

// SHA-256 over both, 64 hexadecimal digits.
std::string identity(const LaunchProgram& program);

// The launch that the words describe, with as many (absent) buffers as it has arguments. Throws DeviceError,
// one line, for words that `bind_program` cannot have made; takes any words.
Launch decode_program(std::span<const std::uint32_t> kernel, std::span<const std::uint32_t> instructions);

}  // namespace npu_impl
