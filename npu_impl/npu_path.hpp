// The NPU's way through a layer and the end of the encoder: the candidate that the golden path is compared
// with.
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

    // Also of ops inside a fused step, as its kernel computes them. Gain and bias of a norm reach the device
    // as bf16, rounded by its operand_rounding. Throws std::invalid_argument for what stays on the CPU: stem
    // and residual additions.
    [[nodiscard]] datasets::Arithmetic arithmetic(datasets::Op op) const override;

    // A layer runs any steps in a row within attention_norm..output or mlp_norm..fc2; its norms and MLP only
    // where it holds their weights, else `compute` throws std::invalid_argument. `prepare` packs the weights
    // of the attention and allocates its buffers; a norm or the MLP gets its own when `compute` first runs
    // it. Otherwise `compute` allocates nothing. Single heads (Work::head) run in the same buffers.
    //
    // `compute` is not thread-safe; its parts carry no time, as no device of this build has a clock. `locate`
    // answers for the heads of the last `compute` of the piece (before the first: of attention and end all,
    // of the MLP nothing). Throws std::invalid_argument for weights that do not fit the shape, and
    // DeviceError.
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override;

    // Runs `encoder`.
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::EndCase& end) override;
    using datasets::Path::prepare;

private:
    Device& device_;
    Design design_;
    CostModel cost_model_;
    std::vector<datasets::OpRange> steps_;
};

}  // namespace npu_impl
