// Around a device, to break what passes through it: of tests and of `harness self-check`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "npu_impl/device.hpp"

namespace npu_impl {

// Forwards everything to another device.
class DeviceDecorator : public Device {
public:
    // `inner` must outlive this.
    explicit DeviceDecorator(Device& inner) : inner_(inner) {}

    [[nodiscard]] std::string_view name() const override { return inner_.name(); }
    [[nodiscard]] int cores() const override { return inner_.cores(); }
    [[nodiscard]] datasets::Emulation emulation() const override { return inner_.emulation(); }
    Buffer allocate(std::int64_t bytes) override { return inner_.allocate(bytes); }
    void release(Buffer buffer) override { inner_.release(buffer); }
    std::span<std::byte> map(Buffer buffer) override { return inner_.map(buffer); }
    void sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) override {
        inner_.sync(buffer, direction, offset, bytes);
    }
    void fill(Buffer buffer, std::uint16_t word, std::int64_t offset, std::int64_t bytes) override {
        inner_.fill(buffer, word, offset, bytes);
    }
    void submit(std::span<const Launch> launches) override { inner_.submit(launches); }
    void wait() override { inner_.wait(); }
    [[nodiscard]] Counters counters() const override { return inner_.counters(); }
    [[nodiscard]] datasets::Clock clock() const override { return inner_.clock(); }
    [[nodiscard]] datasets::DeviceTime time() const override { return inner_.time(); }
    [[nodiscard]] std::optional<NpuIdentity> npu() const override { return inner_.npu(); }

private:
    Device& inner_;
};

}  // namespace npu_impl
