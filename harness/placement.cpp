#include "harness/placement.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

namespace harness {
namespace {

using datasets::Op;

const std::vector<Placement>& placements() {
    static const std::vector<Placement> all{
        {"attention", {datasets::attention_ops}, false},
        {"attention,mlp", {datasets::attention_ops, datasets::mlp_ops}, false},
        {"all", {{Op::attention_norm, Op::output}, {Op::mlp_norm, Op::fc2}}, true},
    };
    return all;
}

}  // namespace

bool Placement::contains(Op op) const {
    return (end && datasets::end_ops.contains(op)) ||
           std::ranges::any_of(layer, [&](const datasets::OpRange& range) { return range.contains(op); });
}

std::vector<std::string> placement_names() {
    std::vector<std::string> names;
    for (const Placement& placement : placements()) {
        names.push_back(placement.name);
    }
    return names;
}

std::vector<std::string> placements_with(Op op) {
    std::vector<std::string> names;
    for (const Placement& placement : placements()) {
        if (placement.contains(op)) {
            names.push_back(placement.name);
        }
    }
    return names;
}

std::vector<Op> placeable_ops() {
    std::vector<Op> ops;
    for (const datasets::OpInfo& info : datasets::op_table()) {
        if (!placements_with(info.op).empty()) {
            ops.push_back(info.op);
        }
    }
    return ops;
}

Placement parse_placement(std::string_view name) {
    const auto found = std::ranges::find(placements(), name, &Placement::name);
    if (found == placements().end()) {
        throw std::invalid_argument(
            fmt::format("unknown placement '{}'; valid: {}", name, fmt::join(placement_names(), " | ")));
    }
    return *found;
}

std::string missing_for(const Placement& placement, const datasets::LayerCase& layer) {
    const bool attention_alone = std::ranges::all_of(placement.layer, [](const datasets::OpRange& range) {
        return datasets::attention_ops.contains(range.first) && datasets::attention_ops.contains(range.last);
    });
    if (attention_alone) {
        return {};
    }
    const datasets::BlockWeights& weights = layer.weights;
    if (weights.attention_norm.gain.empty()) {
        return "the weights of attention_norm";
    }
    if (weights.mlp_norm.gain.empty()) {
        return "the weights of mlp_norm";
    }
    if (weights.fc1.weight.empty()) {
        return "the weights of fc1";
    }
    if (weights.fc2.weight.empty()) {
        return "the weights of fc2";
    }
    return layer.stream.empty() ? "the residual stream that enters the layer" : "";
}

}  // namespace harness
