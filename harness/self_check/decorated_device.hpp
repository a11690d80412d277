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

#include "npu_impl/device_decorator.hpp"

namespace harness {

using npu_impl::DeviceDecorator;

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
