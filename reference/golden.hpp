// The golden path: the whole encoder in fp32 over BLAS.
#pragma once

#include <memory>

#include "datasets/path.hpp"
#include "reference/golden_layer.hpp"
#include "reference/golden_stem.hpp"

namespace reference {

// The pieces that one path prepares share the memory that they work in; they may be computed one after the
// other or concurrently, and outlive the path.
class GoldenPath final : public datasets::Path {
public:
    [[nodiscard]] std::string_view name() const override { return "golden"; }

    // Each op from conv1 on alone.
    [[nodiscard]] std::span<const datasets::OpRange> steps() const override;

    [[nodiscard]] bool emits(datasets::Op op) const override;
    [[nodiscard]] datasets::Arithmetic arithmetic(datasets::Op op) const override;

    // Throw std::invalid_argument where a tensor does not have the size of the shape.
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override;
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::StemCase& stem) override;
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::EndCase& end) override;

private:
    std::shared_ptr<WorkspacePool> workspaces_ = std::make_shared<WorkspacePool>();
};

}  // namespace reference
