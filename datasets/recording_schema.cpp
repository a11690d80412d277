#include "datasets/recording_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace datasets {
namespace {

using Tensor = std::vector<float>;

template <Op op>
Tensor& recorded_slot(LayerCase& layer) {
    return layer.recorded[op];
}

template <Op op>
const Tensor* recorded_find(const LayerCase& layer) {
    const auto found = layer.recorded.find(op);
    return found == layer.recorded.end() || found->second.empty() ? nullptr : &found->second;
}

// A tensor of a member of the weights: of its norm, of its product.
template <auto member, auto part>
Tensor& block_slot(LayerCase& layer) {
    return layer.weights.*member.*part;
}

template <auto member, auto part>
const Tensor* block_find(const LayerCase& layer) {
    const Tensor& tensor = layer.weights.*member.*part;
    return tensor.empty() ? nullptr : &tensor;
}

template <auto projection, auto part>
Tensor& attention_slot(LayerCase& layer) {
    return layer.weights.attention.*projection.*part;
}

template <auto projection, auto part>
const Tensor* attention_find(const LayerCase& layer) {
    const Tensor& tensor = layer.weights.attention.*projection.*part;
    return tensor.empty() ? nullptr : &tensor;
}

template <auto member, typename Holder>
Tensor& member_slot(Holder& holder) {
    return holder.*member;
}

template <auto member, typename Holder>
const Tensor* member_find(const Holder& holder) {
    return (holder.*member).empty() ? nullptr : &(holder.*member);
}

template <auto member>
constexpr TensorSpec<LayerCase> statistic(std::string_view name, std::string_view role) {
    return {{"attn", name, role, Extent::head_time, Presence::optional, "1/sqrt(head_dim)"},
            member_slot<member, LayerCase>,
            member_find<member, LayerCase>};
}

template <Op op>
constexpr TensorSpec<LayerCase> recorded(std::string_view group, std::string_view name, std::string_view role,
                                         std::string_view scale = "", Extent extent = Extent::time_channel) {
    return {{group, name, role, extent, Presence::optional, scale}, recorded_slot<op>, recorded_find<op>};
}

template <auto projection>
constexpr TensorSpec<LayerCase> matrix(std::string_view name, std::string_view role) {
    return {{"attn", name, role, Extent::out_in, Presence::required, ""},
            attention_slot<projection, &Linear::weight>,
            attention_find<projection, &Linear::weight>};
}

template <auto projection>
constexpr TensorSpec<LayerCase> bias(std::string_view name, std::string_view role) {
    return {{"attn", name, role, Extent::channel, Presence::required, ""},
            attention_slot<projection, &Linear::bias>,
            attention_find<projection, &Linear::bias>};
}

template <auto member, auto part>
constexpr TensorSpec<LayerCase> of_block(std::string_view group, std::string_view name, std::string_view role,
                                         Extent extent) {
    return {{group, name, role, extent, Presence::all_or_none, ""},
            block_slot<member, part>,
            block_find<member, part>};
}

template <auto member>
constexpr TensorSpec<ClipTensors> of_clip(std::string_view group, std::string_view name,
                                          std::string_view role, Extent extent) {
    return {{group, name, role, extent, Presence::optional, ""},
            member_slot<member, ClipTensors>,
            member_find<member, ClipTensors>};
}

template <auto member>
constexpr TensorSpec<Norm> of_end(std::string_view name, std::string_view role) {
    return {{"end", name, role, Extent::channel, Presence::all_or_none, ""},
            member_slot<member, Norm>,
            member_find<member, Norm>};
}

constexpr std::array activations{
    TensorSpec<LayerCase>{{"attn", "x", "attention_norm", Extent::time_channel, Presence::required, ""},
                          member_slot<&LayerCase::input, LayerCase>,
                          member_find<&LayerCase::input, LayerCase>},
    recorded<Op::query>("attn", "q", "query", "none"),
    recorded<Op::key>("attn", "k", "key", "none"),
    recorded<Op::value>("attn", "v", "value"),
    recorded<Op::context>("attn", "ctx", "context"),
    recorded<Op::output>("attn", "y", "output"),
    statistic<&LayerCase::row_max>("row_max", "row_max"),
    statistic<&LayerCase::row_log_sum_exp>("row_lse", "row_log_sum_exp"),
    recorded<Op::mlp_norm>("mlp", "x", "mlp_norm"),
    recorded<Op::gelu>("mlp", "h", "gelu", "", Extent::time_hidden),
    recorded<Op::fc2>("mlp", "y", "fc2"),
    recorded<Op::attention_residual>("", "attn_resid", "attention_residual"),
    recorded<Op::block>("", "resid_out", "block"),
};

constexpr std::array weights{
    matrix<&AttentionWeights::query>("wq", "query_weight"),
    matrix<&AttentionWeights::key>("wk", "key_weight"),
    matrix<&AttentionWeights::value>("wv", "value_weight"),
    matrix<&AttentionWeights::output>("wo", "output_weight"),
    bias<&AttentionWeights::query>("bq", "query_bias"),
    bias<&AttentionWeights::value>("bv", "value_bias"),
    bias<&AttentionWeights::output>("bo", "output_bias"),
    of_block<&BlockWeights::attention_norm, &Norm::gain>("attn_norm", "gain", "attention_norm_gain",
                                                         Extent::channel),
    of_block<&BlockWeights::attention_norm, &Norm::bias>("attn_norm", "bias", "attention_norm_bias",
                                                         Extent::channel),
    of_block<&BlockWeights::mlp_norm, &Norm::gain>("mlp_norm", "gain", "mlp_norm_gain", Extent::channel),
    of_block<&BlockWeights::mlp_norm, &Norm::bias>("mlp_norm", "bias", "mlp_norm_bias", Extent::channel),
    of_block<&BlockWeights::fc1, &Linear::weight>("mlp", "w1", "fc1_weight", Extent::hidden_in),
    of_block<&BlockWeights::fc1, &Linear::bias>("mlp", "b1", "fc1_bias", Extent::hidden),
    of_block<&BlockWeights::fc2, &Linear::weight>("mlp", "w2", "fc2_weight", Extent::out_hidden),
    of_block<&BlockWeights::fc2, &Linear::bias>("mlp", "b2", "fc2_bias", Extent::channel),
};

constexpr std::array clips{
    of_clip<&ClipTensors::audio>("", "audio", "audio", Extent::sample),
    of_clip<&ClipTensors::mel>("", "mel", "mel", Extent::mel_frame),
    of_clip<&ClipTensors::embedding>("encoder", "embed", "embedding", Extent::time_channel),
    of_clip<&ClipTensors::encoder>("encoder", "out", "encoder", Extent::time_channel),
};

constexpr std::array ends{
    of_end<&Norm::gain>("gain", "final_norm_gain"),
    of_end<&Norm::bias>("bias", "final_norm_bias"),
};

}  // namespace

std::string DatasetSpec::path() const {
    return group.empty() ? std::string(name) : fmt::format("{}/{}", group, name);
}

std::span<const TensorSpec<LayerCase>> activation_specs() {
    return activations;
}

std::span<const TensorSpec<LayerCase>> weight_specs() {
    return weights;
}

std::span<const TensorSpec<ClipTensors>> clip_specs() {
    return clips;
}

std::span<const TensorSpec<Norm>> end_specs() {
    return ends;
}

std::string_view dims_label(Extent extent) {
    switch (extent) {
        case Extent::time_channel:
        case Extent::time_hidden:
            return "time,channel";
        case Extent::head_time:
            return "head,time";
        case Extent::out_in:
        case Extent::hidden_in:
        case Extent::out_hidden:
            return "out,in";
        case Extent::mel_frame:
            return "mel,frame";
        case Extent::sample:
            return "sample";
        case Extent::channel:
        case Extent::hidden:
            break;
    }
    return "channel";
}

bool is_matrix(Extent extent) {
    return extent == Extent::out_in || extent == Extent::hidden_in || extent == Extent::out_hidden;
}

bool is_always_f32(Extent extent) {
    return extent == Extent::mel_frame || extent == Extent::sample;
}

std::vector<std::int64_t> dimensions(Extent extent, const RecordingShape& shape, std::int64_t open) {
    const LayerShape& layer = shape.layer;
    switch (extent) {
        case Extent::time_channel:
            return {layer.context, layer.width()};
        case Extent::time_hidden:
            return {layer.context, layer.mlp_width()};
        case Extent::head_time:
            return {layer.heads, layer.context};
        case Extent::out_in:
            return {layer.width(), layer.width()};
        case Extent::hidden_in:
            return {layer.mlp_width(), layer.width()};
        case Extent::out_hidden:
            return {layer.width(), layer.mlp_width()};
        case Extent::hidden:
            return {layer.mlp_width()};
        case Extent::mel_frame:
            return {shape.mels, open};
        case Extent::sample:
            return {open};
        case Extent::channel:
            break;
    }
    return {layer.width()};
}

std::string length_objection(Extent extent, const RecordingShape& shape, std::int64_t open) {
    if (extent == Extent::sample && (open < 1 || open > samples_limit)) {
        return fmt::format("has {} samples, not 1..{}", open, samples_limit);
    }
    if (extent != Extent::mel_frame) {
        return "";
    }
    if (shape.mels == 0) {
        return "needs the root attribute n_mels";
    }
    const auto rows_with = [&](std::int64_t stride) {
        return StemShape{static_cast<int>(shape.mels), open, stride, shape.layer.heads}.context();
    };
    return rows_with(1) == shape.layer.context || rows_with(2) == shape.layer.context
               ? ""
               : fmt::format("has {} frames, which give {} or {} rows with a stride of 1 or 2; n_ctx is {}",
                             open, rows_with(1), rows_with(2), shape.layer.context);
}

std::string shape_objection(std::int64_t context, std::int64_t heads, std::int64_t layers,
                            std::int64_t mels) {
    const auto outside = [](std::string_view attribute, std::int64_t value, std::int64_t least,
                            std::int64_t limit) {
        return value >= least && value <= limit
                   ? std::string()
                   : fmt::format("{} is {}, not in {}..{}", attribute, value, least, limit);
    };
    for (const auto& objection :
         {outside("n_ctx", context, 1, context_limit), outside("n_head", heads, 1, heads_limit),
          outside("n_layer", layers, 1, layers_limit), outside("n_mels", mels, 0, mels_limit)}) {
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

std::string hash_objection(std::string_view text) {
    const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    return text.size() == 64 && std::ranges::all_of(text, is_digit)
               ? ""
               : "is not 64 lower-case hexadecimal digits";
}

std::string layer_name(int layer) {
    return fmt::format("layer_{:02}", layer);
}

std::string clip_group(std::string_view clip) {
    return fmt::format("/clips/{}", clip);
}

std::string activations_group(std::string_view clip, int layer) {
    return fmt::format("/clips/{}/encoder/{}", clip, layer_name(layer));
}

std::string weights_group(int layer) {
    return fmt::format("/weights/{}", layer_name(layer));
}

}  // namespace datasets
