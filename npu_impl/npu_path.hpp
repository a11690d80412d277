// The NPU's way through the attention of a layer: the candidate that the golden path is compared with.
//
// Every op runs through `Device`. The host packs, rounds operands to bf16 as the design declares, and
// unpacks; it computes nothing, except where the design declares that it adds up k tiles. There is no
// fallback: what the device cannot run throws.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "datasets/path.hpp"
#include "npu_impl/cost_model.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/device.hpp"

namespace npu_impl {

class NpuPath final : public datasets::Path {
public:
    // `device` must outlive the path and what it prepares. Throws DeviceError if it has fewer cores than a
    // step of the design.
    NpuPath(Device& device, const Design& design, CostModel cost_model = {});

    // The design's name.
    [[nodiscard]] std::string_view name() const override;
    [[nodiscard]] std::span<const datasets::OpRange> steps() const override;
    [[nodiscard]] bool emits(datasets::Op op) const override;

    // Also of ops inside a fused step, as its kernel computes them. Throws std::invalid_argument outside the
    // attention.
    [[nodiscard]] datasets::Arithmetic arithmetic(datasets::Op op) const override;

    // Plans, packs the weights and allocates every buffer; `compute` allocates none. Single heads
    // (Work::head) run in the same buffers. `compute` is not thread-safe; its parts carry no time, as no
    // device of this build has a clock. `locate` answers for the heads of the last `compute` (before the
    // first: all). Throws std::invalid_argument for weights that do not fit the shape, and DeviceError.
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override;

private:
    Device& device_;
    Design design_;
    CostModel cost_model_;
    std::vector<datasets::OpRange> steps_;
};

}  // namespace npu_impl
