// Recording schema v1 as data: which datasets an attention layer has, their dimensions and labels, and the
// sizes beyond which a file is not believed. The reader and the writer both walk these tables.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/layer_case.hpp"

namespace datasets {

inline constexpr std::string_view schema_name = "npu-whisper-activations";
inline constexpr std::int64_t schema_major = 1;
inline constexpr std::int64_t schema_minor = 0;

// Checked before anything is allocated; far beyond every published Whisper size.
inline constexpr std::int64_t context_limit = 65536;
inline constexpr std::int64_t heads_limit = 64;
inline constexpr std::int64_t layers_limit = 128;
inline constexpr std::int64_t links_limit = 4096;  // of one group
inline constexpr std::int64_t dataset_bytes_limit = std::int64_t{4} << 30;
inline constexpr std::int64_t chunk_bytes_limit = std::int64_t{64}
                                                  << 20;   // HDF5 holds a chunk whole in memory
inline constexpr std::int64_t chunks_limit = 4096;         // HDF5 takes quadratic time to list them
inline constexpr std::int64_t deflate_ratio_limit = 1032;  // no deflate stream expands further

// The dimensions of a dataset, in terms of the layer's shape.
enum class Extent : std::uint8_t { time_channel, head_time, out_in, channel };

// One dataset of an `attn` group.
struct DatasetSpec {
    std::string_view name;
    std::string_view role;  // attribute tensor_role
    Extent extent;
    bool required;
    std::string_view scale;  // attribute scale_applied, empty: has none
    // The tensor in a LayerCase: where the reader puts it, and what the writer takes (null: not recorded).
    std::vector<float>& (*slot)(LayerCase&);
    const std::vector<float>* (*find)(const LayerCase&);
};

// Of /clips/<id>/encoder/layer_NN/attn and of /weights/layer_NN/attn.
std::span<const DatasetSpec> activation_specs();
std::span<const DatasetSpec> weight_specs();

// Attribute dims, e.g. "time,channel".
std::string_view dims_label(Extent extent);

std::vector<std::int64_t> dimensions(Extent extent, const LayerShape& shape);

// "" when a recording may have this shape and number of layers, else what is wrong with it.
std::string shape_objection(std::int64_t context, std::int64_t heads, std::int64_t layers);

// Control characters make more than one line of a text, and do worse to a terminal.
constexpr bool is_control(char c) {
    return (c >= 0 && c < 0x20) || c == 0x7F;
}

// "" when text may be the id of a clip (a link name that is safe to print), else what is wrong with it.
std::string clip_id_objection(std::string_view id);

// Attribute dtype_logical: "f32" or "bf16".
std::string_view dtype_label(DType dtype);

std::string layer_name(int layer);  // "layer_00"
std::string activations_group(std::string_view clip, int layer);
std::string weights_group(int layer);

}  // namespace datasets
