// Planted faults: decorators at seams that production already has. Production code has no hook for them.
//
// A fault is put around a healthy design; the experiment must then fail. Device faults edit launches on their
// way to the device or what comes back from it; path faults edit the layer that a path is prepared with or
// what it pushes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/path.hpp"
#include "npu_impl/device.hpp"

namespace harness {

// Forwards everything to another device; tests override what they break.
class DeviceDecorator : public npu_impl::Device {
public:
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
    void submit(std::span<const npu_impl::Launch> launches) override { inner_.submit(launches); }
    void wait() override { inner_.wait(); }
    [[nodiscard]] npu_impl::Counters counters() const override { return inner_.counters(); }

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
    std::vector<std::pair<int, std::vector<std::byte>>> previous_;  // by buffer
};

// Transposes the first 64 x 64 tile of the values that a launch reads, for just that launch.
class TransposedValues final : public DeviceDecorator {
public:
    using DeviceDecorator::DeviceDecorator;

    void submit(std::span<const npu_impl::Launch> launches) override;

private:
    void transpose(npu_impl::Buffer buffer, const npu_impl::Region& region);
};

// Prepares another path with an edited copy of the layer, and pushes through an edited sink.
class FaultyPath final : public datasets::Path {
public:
    using EditLayer = std::function<void(datasets::LayerCase&)>;
    // Gives the sink that the inner path pushes to instead of `sink`.
    using EditSink = std::function<std::unique_ptr<datasets::Sink>(datasets::Sink& sink)>;

    FaultyPath(datasets::Path& inner, EditLayer edit_layer, EditSink edit_sink);

    [[nodiscard]] std::string_view name() const override { return inner_.name(); }
    [[nodiscard]] std::span<const datasets::OpRange> steps() const override { return inner_.steps(); }
    [[nodiscard]] bool emits(datasets::Op op) const override { return inner_.emits(op); }
    [[nodiscard]] datasets::Arithmetic arithmetic(datasets::Op op) const override {
        return inner_.arithmetic(op);
    }
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override;

private:
    datasets::Path& inner_;
    EditLayer edit_layer_;
    EditSink edit_sink_;
};

// A fault by name. Exactly one of the two is set: what to put around the device, or around the path.
struct Fault {
    std::string name;
    std::string seam;  // "launch", "output", "operand", "layer" or "sink"
    std::function<std::unique_ptr<npu_impl::Device>(npu_impl::Device&)> device;
    std::function<std::unique_ptr<datasets::Path>(datasets::Path&)> path;
};

// Every planted fault, with fresh state.
std::vector<Fault> planted_faults();

}  // namespace harness
