// What a prepared piece holds: its buffers on the device, its weights there, and the tensors that the host
// adds up. Everything is allocated and loaded when a step first asks for it, and released with the piece.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "datasets/layer_case.hpp"
#include "npu_impl/host_sum.hpp"
#include "npu_impl/layer_plan.hpp"

namespace npu_impl {

// The weights of one step: of a product [out, in] and its bias [out] or none; of a norm its gain and bias.
struct StepWeights {
    std::span<const float> weight;
    std::span<const float> bias;
};

// The buffers of one owner, released with it.
class OwnedBuffers {
public:
    explicit OwnedBuffers(Device& device) : device_(device) {}
    OwnedBuffers(const OwnedBuffers&) = delete;
    OwnedBuffers& operator=(const OwnedBuffers&) = delete;
    ~OwnedBuffers();

    Buffer allocate(std::int64_t bytes);
    void release(Buffer buffer);

private:
    Device& device_;
    std::vector<Buffer> owned_;
};

class LayerMemory {
public:
    // Of a layer, or of the end; they must outlive it.
    LayerMemory(Device& device, const Design& design, const datasets::LayerCase& layer)
        : device_(device), design_(design), owned_(device), layer_(&layer) {}
    LayerMemory(Device& device, const Design& design, const datasets::EndCase& end)
        : device_(device), design_(design), owned_(device), end_(&end) {}

    // Makes room for the steps of the plan (of all heads) that lie in `ops`, and loads their weights. Throws
    // std::invalid_argument for weights that the piece lacks or that do not fit its shape, and DeviceError.
    void provide(const LayerPlan& plan, datasets::OpRange ops);

    [[nodiscard]] const LayerBuffers& buffers() const { return buffers_; }
    [[nodiscard]] HostTensors& host() { return host_; }

private:
    [[nodiscard]] StepWeights weights_of(datasets::Op op) const;
    void provide_tensor(const LayerPlan& plan, datasets::Op op);
    void provide_partial(std::int64_t bytes);
    void load_weights(const LayerPlan& plan, const StepPlan& step);
    Buffer load(datasets::Op op, std::span<const float> values, std::int64_t rows);

    Device& device_;
    const Design& design_;
    OwnedBuffers owned_;
    const datasets::LayerCase* layer_ = nullptr;
    const datasets::EndCase* end_ = nullptr;
    LayerBuffers buffers_;
    std::int64_t partial_bytes_ = 0;
    HostTensors host_;
};

}  // namespace npu_impl
