// A device without hardware: the same buffers, transfers and launches, computed on this CPU.
//
// Exact emulation runs the very sources of kernels/aie2 and gives the bits of the array. Fast emulation sums
// in fp32 chains instead, many times as fast, and runs the sources on the jobs that are marked as a sample.
//
// It has no clock: the time it takes says nothing about an NPU. Host image and device memory of a buffer are
// apart and start as different NaN patterns, so that a missing or short transfer shows in the results.
#pragma once

#include <memory>
#include <vector>

#include "kernels/tile_kernels.hpp"
#include "npu_impl/device.hpp"
#include "npu_impl/xrt_device.hpp"

namespace npu_impl {

// The kernels of an emulated device, and where they are used.
struct DeviceKernels {
    kernels::KernelTable exact;
    kernels::KernelTable fast;
    datasets::Emulation emulation = datasets::Emulation::exact;
};

class EmulatedDevice final : public Device {
public:
    // What the tables refer to must outlive the device. `cores` as in XDNA1 (4 columns of 4 cores:
    // Xilinx/mlir-aie docs/Devices.md).
    explicit EmulatedDevice(DeviceKernels kernels, int cores = 16);

    // One table for everything, which sums in fp32 chains.
    explicit EmulatedDevice(const kernels::KernelTable& fast, int cores = 16);
    ~EmulatedDevice() override;

    [[nodiscard]] std::string_view name() const override { return "emulated"; }
    [[nodiscard]] int cores() const override;
    [[nodiscard]] datasets::Emulation emulation() const override;
    Buffer allocate(std::int64_t bytes) override;
    void release(Buffer buffer) override;
    std::span<std::byte> map(Buffer buffer) override;
    void sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) override;
    void fill(Buffer buffer, std::uint16_t word, std::int64_t offset, std::int64_t bytes) override;

    // Checks every job against buffers, cores and core memory; a launch that fails is not queued.
    void submit(std::span<const Launch> launches) override;

    // Runs what is queued: launches one after the other, the cores of a launch in parallel.
    void wait() override;

    [[nodiscard]] Counters counters() const override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// The kernels of this build's emulated device, for whoever puts others in their place. Throws DeviceError
// where the modules cannot be loaded.
DeviceKernels emulated_kernels(datasets::Emulation emulation);

// What a device name stands for in this build.
struct DeviceOption {
    std::string_view name;
    std::string_view summary;
    bool available;  // part of this build; whether this machine has one shows when it is opened
};
std::span<const DeviceOption> device_options();

// Opens a device by name. Throws DeviceError, one line, where this build or machine has none of that name;
// there is no fallback. `emulation` is for the emulated device, hardware has no choice; `xrt` for the other.
std::unique_ptr<Device> open_device(std::string_view name,
                                    datasets::Emulation emulation = datasets::Emulation::fast,
                                    const XrtSettings& xrt = {});

}  // namespace npu_impl
