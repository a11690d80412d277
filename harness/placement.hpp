// Which ops of an encoder go to the NPU; the rest stays on the CPU.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datasets/layer_case.hpp"
#include "datasets/op.hpp"

namespace harness {

// `layer`: the contiguous ranges of every layer that the NPU computes, in dataflow order. The sums with the
// residual stream between them, and the stem, have no NPU op.
struct Placement {
    std::string name;
    std::vector<datasets::OpRange> layer;
    bool end = false;  // the norm behind the last layer

    [[nodiscard]] bool contains(datasets::Op op) const;
    bool operator==(const Placement&) const = default;
};

// "attention", "attention,mlp", "all", in this order.
std::vector<std::string> placement_names();

// Every op that some placement puts on the NPU, in dataflow order.
std::vector<datasets::Op> placeable_ops();

// The names of the placements that put `op` on the NPU.
std::vector<std::string> placements_with(datasets::Op op);

// Throws std::invalid_argument whose one line lists the valid names.
Placement parse_placement(std::string_view name);

// What `layer` lacks for its ops in `placement` to be computed and judged, e.g. "the weights of fc1"; empty:
// nothing. The golden of any op outside the attention needs the residual stream that enters the layer, its
// norms and its MLP.
std::string missing_for(const Placement& placement, const datasets::LayerCase& layer);

}  // namespace harness
