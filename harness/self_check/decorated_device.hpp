// Devices around a device: they break what passes, launches on their way in, transfers, results on their way
// out. The seam is npu_impl::Device itself; production code knows nothing of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "npu_impl/device.hpp"

namespace harness {

// Forwards everything to another device.
class DeviceDecorator : public npu_impl::Device {
public:
    // `inner` must outlive this.
    explicit DeviceDecorator(npu_impl::Device& inner) : inner_(inner) {}

    [[nodiscard]] std::string_view name() const override { return inner_.name(); }
    [[nodiscard]] int cores() const override { return inner_.cores(); }
    [[nodiscard]] datasets::Emulation emulation() const override { return inner_.emulation(); }
    npu_impl::Buffer allocate(std::int64_t bytes) override { return inner_.allocate(bytes); }
    void release(npu_impl::Buffer buffer) override { inner_.release(buffer); }
    std::span<std::byte> map(npu_impl::Buffer buffer) override { return inner_.map(buffer); }
    void sync(npu_impl::Buffer buffer, npu_impl::Direction direction, std::int64_t offset,
              std::int64_t bytes) override {
        inner_.sync(buffer, direction, offset, bytes);
    }
    void fill(npu_impl::Buffer buffer, std::uint16_t word, std::int64_t offset, std::int64_t bytes) override {
        inner_.fill(buffer, word, offset, bytes);
    }
    void submit(std::span<const npu_impl::Launch> launches) override { inner_.submit(launches); }
    void wait() override { inner_.wait(); }
    [[nodiscard]] npu_impl::Counters counters() const override { return inner_.counters(); }
    [[nodiscard]] datasets::Clock clock() const override { return inner_.clock(); }
    [[nodiscard]] datasets::DeviceTime time() const override { return inner_.time(); }
    [[nodiscard]] std::optional<npu_impl::NpuIdentity> npu() const override { return inner_.npu(); }

private:
    npu_impl::Device& inner_;
};

// Edits every launch before the device sees it.
class EditedLaunches final : public DeviceDecorator {
public:
    using Edit = std::function<void(npu_impl::Launch&)>;

    EditedLaunches(npu_impl::Device& inner, Edit edit) : DeviceDecorator(inner), edit_(std::move(edit)) {}

    void submit(std::span<const npu_impl::Launch> launches) override;

private:
    Edit edit_;
};

// Leaves launches out, or submits them twice.
class MiscountedLaunches final : public DeviceDecorator {
public:
    enum class Kind : std::uint8_t { last_skipped, last_repeated };

    MiscountedLaunches(npu_impl::Device& inner, Kind kind) : DeviceDecorator(inner), kind_(kind) {}

    void submit(std::span<const npu_impl::Launch> launches) override;

private:
    Kind kind_;
};

// Edits the output tiles of chosen jobs after they have come back to the host.
class EditedOutputs final : public DeviceDecorator {
public:
    // `tile`: the job's output in host memory, 64 rows `stride` bytes apart; `previous`: the same bytes as
    // they last came back, or as they are where they never did.
    struct Output {
        const npu_impl::Job& job;
        const npu_impl::Region& region;
        kernels::Store store;
        std::byte* tile;
        const std::byte* previous;
    };
    using Edit = std::function<void(const Output&)>;

    EditedOutputs(npu_impl::Device& inner, Edit edit) : DeviceDecorator(inner), edit_(std::move(edit)) {}

    void submit(std::span<const npu_impl::Launch> launches) override;
    void sync(npu_impl::Buffer buffer, npu_impl::Direction direction, std::int64_t offset,
              std::int64_t bytes) override;

private:
    Edit edit_;
    std::vector<npu_impl::Launch> last_;
    std::map<int, std::vector<std::byte>> previous_;  // by buffer
};

// Transfers that do not bring what they should.
class FaultyTransfers final : public DeviceDecorator {
public:
    enum class Kind : std::uint8_t {
        half_fetched,  // the second half of what comes back stays on the device
        half_sent,     // the second half of what is sent stays on the host
        one_behind,    // what comes back is what the transfer before should have brought
    };

    FaultyTransfers(npu_impl::Device& inner, Kind kind) : DeviceDecorator(inner), kind_(kind) {}

    void sync(npu_impl::Buffer buffer, npu_impl::Direction direction, std::int64_t offset,
              std::int64_t bytes) override;

private:
    void fetch_one_behind(npu_impl::Buffer buffer, std::int64_t offset, std::int64_t bytes);

    Kind kind_;
    std::map<int, std::vector<std::byte>> held_;  // by buffer: what came last, not yet handed out
};

// Transposes the first 64 x 64 tile of the values that a launch reads, for just that launch.
class TransposedValues final : public DeviceDecorator {
public:
    using DeviceDecorator::DeviceDecorator;

    void submit(std::span<const npu_impl::Launch> launches) override;

private:
    void transpose(npu_impl::Buffer buffer, const npu_impl::Region& region);
};

// Where a job writes, and as what.
const npu_impl::Region& output_of(const npu_impl::Job& job);
kernels::Store store_of(const npu_impl::Job& job);

}  // namespace harness
