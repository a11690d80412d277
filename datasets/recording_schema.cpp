#include "datasets/recording_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace datasets {
namespace {

using Tensor = std::vector<float>;

template <auto member>
Tensor& direct_slot(LayerCase& layer) {
    return layer.*member;
}

template <auto member>
const Tensor* direct_find(const LayerCase& layer) {
    return (layer.*member).empty() ? nullptr : &(layer.*member);
}

template <Op op>
Tensor& recorded_slot(LayerCase& layer) {
    return layer.recorded[op];
}

template <Op op>
const Tensor* recorded_find(const LayerCase& layer) {
    const auto found = layer.recorded.find(op);
    return found == layer.recorded.end() || found->second.empty() ? nullptr : &found->second;
}

template <auto projection, auto part>
Tensor& weight_slot(LayerCase& layer) {
    return layer.weights.attention.*projection.*part;
}

template <auto projection, auto part>
const Tensor* weight_find(const LayerCase& layer) {
    const Tensor& tensor = layer.weights.attention.*projection.*part;
    return tensor.empty() ? nullptr : &tensor;
}

template <auto member>
constexpr DatasetSpec statistic(std::string_view name, std::string_view role) {
    return {
        name, role, Extent::head_time, false, "1/sqrt(head_dim)", direct_slot<member>, direct_find<member>};
}

template <Op op>
constexpr DatasetSpec recorded(std::string_view name, std::string_view role, std::string_view scale = "") {
    return {name, role, Extent::time_channel, false, scale, recorded_slot<op>, recorded_find<op>};
}

template <auto projection>
constexpr DatasetSpec matrix(std::string_view name, std::string_view role) {
    return {name,
            role,
            Extent::out_in,
            true,
            "",
            weight_slot<projection, &Linear::weight>,
            weight_find<projection, &Linear::weight>};
}

template <auto projection>
constexpr DatasetSpec bias(std::string_view name, std::string_view role) {
    return {name,
            role,
            Extent::channel,
            true,
            "",
            weight_slot<projection, &Linear::bias>,
            weight_find<projection, &Linear::bias>};
}

constexpr std::array activations{
    DatasetSpec{"x", "attention_norm", Extent::time_channel, true, "", direct_slot<&LayerCase::input>,
                direct_find<&LayerCase::input>},
    recorded<Op::query>("q", "query", "none"),
    recorded<Op::key>("k", "key", "none"),
    recorded<Op::value>("v", "value"),
    recorded<Op::context>("ctx", "context"),
    recorded<Op::output>("y", "output"),
    statistic<&LayerCase::row_max>("row_max", "row_max"),
    statistic<&LayerCase::row_log_sum_exp>("row_lse", "row_log_sum_exp"),
};

constexpr std::array weights{
    matrix<&AttentionWeights::query>("wq", "query_weight"),
    matrix<&AttentionWeights::key>("wk", "key_weight"),
    matrix<&AttentionWeights::value>("wv", "value_weight"),
    matrix<&AttentionWeights::output>("wo", "output_weight"),
    bias<&AttentionWeights::query>("bq", "query_bias"),
    bias<&AttentionWeights::value>("bv", "value_bias"),
    bias<&AttentionWeights::output>("bo", "output_bias"),
};

}  // namespace

std::span<const DatasetSpec> activation_specs() {
    return activations;
}

std::span<const DatasetSpec> weight_specs() {
    return weights;
}

std::string_view dims_label(Extent extent) {
    switch (extent) {
        case Extent::time_channel:
            return "time,channel";
        case Extent::head_time:
            return "head,time";
        case Extent::out_in:
            return "out,in";
        case Extent::channel:
            break;
    }
    return "channel";
}

std::vector<std::int64_t> dimensions(Extent extent, const LayerShape& shape) {
    switch (extent) {
        case Extent::time_channel:
            return {shape.context, shape.width()};
        case Extent::head_time:
            return {shape.heads, shape.context};
        case Extent::out_in:
            return {shape.width(), shape.width()};
        case Extent::channel:
            break;
    }
    return {shape.width()};
}

std::string shape_objection(std::int64_t context, std::int64_t heads, std::int64_t layers) {
    const auto outside = [](std::string_view attribute, std::int64_t value, std::int64_t limit) {
        return value >= 1 && value <= limit ? std::string()
                                            : fmt::format("{} is {}, not in 1..{}", attribute, value, limit);
    };
    for (const auto& objection :
         {outside("n_ctx", context, context_limit), outside("n_head", heads, heads_limit),
          outside("n_layer", layers, layers_limit)}) {
        if (!objection.empty()) {
            return objection;
        }
    }
    return "";
}

std::string clip_id_objection(std::string_view id) {
    const auto unprintable = [](char c) { return is_control(c) || c == '/'; };
    if (id.empty() || id.size() > 255 || id == "." || id == "..") {
        return "a clip id has 1 to 255 characters and is not a dot";
    }
    return std::ranges::any_of(id, unprintable) ? "a clip id has no '/' and no control character" : "";
}

std::string_view dtype_label(DType dtype) {
    return dtype == DType::bf16 ? "bf16" : "f32";
}

std::string layer_name(int layer) {
    return fmt::format("layer_{:02}", layer);
}

std::string activations_group(std::string_view clip, int layer) {
    return fmt::format("/clips/{}/encoder/{}/attn", clip, layer_name(layer));
}

std::string weights_group(int layer) {
    return fmt::format("/weights/{}/attn", layer_name(layer));
}

}  // namespace datasets
