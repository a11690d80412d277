// A device without hardware: the same buffers, transfers and launches, computed by the tile kernels on this
// CPU.
//
// It has no clock: the time it takes says nothing about an NPU. Host image and device memory of a buffer are
// apart and start as different NaN patterns, so that a missing or short transfer shows in the results.
#pragma once

#include <memory>
#include <vector>

#include "kernels/tile_kernels.hpp"
#include "npu_impl/device.hpp"

namespace npu_impl {

class EmulatedDevice final : public Device {
public:
    // `table` must outlive the device. `cores` as in XDNA1 (4 columns of 4 cores: Xilinx/mlir-aie
    // docs/Devices.md).
    explicit EmulatedDevice(const kernels::KernelTable& table, int cores = 16);
    ~EmulatedDevice() override;

    [[nodiscard]] std::string_view name() const override { return "emulated"; }
    [[nodiscard]] int cores() const override;
    Buffer allocate(std::int64_t bytes) override;
    void release(Buffer buffer) override;
    std::span<std::byte> map(Buffer buffer) override;
    void sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) override;

    // Checks every job against buffers, cores and core memory; a launch that fails is not queued.
    void submit(std::span<const Launch> launches) override;

    // Runs what is queued: launches one after the other, the cores of a launch in parallel.
    void wait() override;

    [[nodiscard]] Counters counters() const override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// What a device name stands for in this build.
struct DeviceOption {
    std::string_view name;
    std::string_view summary;
    bool available;
};
std::span<const DeviceOption> device_options();

// Opens a device by name. Throws DeviceError, one line, where this build or machine has none of that name;
// there is no fallback.
std::unique_ptr<Device> open_device(std::string_view name);

}  // namespace npu_impl
