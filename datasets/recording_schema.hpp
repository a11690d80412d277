// Recording schema v1 as data: which datasets a layer, a clip and the end have, their dimensions and labels,
// and the sizes beyond which a file is not believed. The reader and the writer both walk these tables.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/layer_case.hpp"
#include "datasets/recording.hpp"

namespace datasets {

inline constexpr std::string_view schema_name = "npu-whisper-activations";
inline constexpr std::int64_t schema_major = 1;
inline constexpr std::int64_t schema_minor = 0;

// Checked before anything is allocated; far beyond every published Whisper size.
inline constexpr std::int64_t context_limit = 65536;
inline constexpr std::int64_t heads_limit = 64;
inline constexpr std::int64_t layers_limit = 128;
inline constexpr std::int64_t mels_limit = 1024;
inline constexpr std::int64_t samples_limit = std::int64_t{16000} * 3600;
inline constexpr std::int64_t links_limit = 4096;  // of one group
inline constexpr std::int64_t dataset_bytes_limit = std::int64_t{4} << 30;
inline constexpr std::int64_t chunk_bytes_limit = std::int64_t{64}
                                                  << 20;   // HDF5 holds a chunk whole in memory
inline constexpr std::int64_t chunks_limit = 4096;         // HDF5 takes quadratic time to list them
inline constexpr std::int64_t deflate_ratio_limit = 1032;  // no deflate stream expands further

// The dimensions of a dataset, in terms of the shape of the recording. `hidden` is 4 times the channels.
enum class Extent : std::uint8_t {
    time_channel,
    time_hidden,
    head_time,
    out_in,
    hidden_in,   // of the first weight of the MLP
    out_hidden,  // of the second
    channel,
    hidden,
    mel_frame,
    sample,
};

// What the root attributes say about dimensions.
struct RecordingShape {
    LayerShape layer;
    std::int64_t mels = 0;
};

enum class Presence : std::uint8_t {
    required,
    optional,
    all_or_none,  // in the whole file
};

// One dataset below a layer, a clip or the end.
struct DatasetSpec {
    std::string_view group;  // below the parent; empty: the parent itself
    std::string_view name;
    std::string_view role;  // attribute tensor_role
    Extent extent;
    Presence presence;
    std::string_view scale;  // attribute scale_applied, empty: has none

    // "attn/x"
    [[nodiscard]] std::string path() const;
};

// Whether other names than the schema's are refused in this group of specs.
constexpr bool is_closed(std::string_view group) {
    return !group.empty() && group != "encoder";
}

// And the tensor of it: where the reader puts it, and what the writer takes (null: not recorded).
template <typename Holder>
struct TensorSpec : DatasetSpec {
    std::vector<float>& (*slot)(Holder&);
    const std::vector<float>* (*find)(const Holder&);
};

// Below /clips/<id>/encoder/layer_NN, /weights/layer_NN, /clips/<id> and /weights.
std::span<const TensorSpec<LayerCase>> activation_specs();
std::span<const TensorSpec<LayerCase>> weight_specs();
std::span<const TensorSpec<ClipTensors>> clip_specs();
std::span<const TensorSpec<Norm>> end_specs();

// Attribute dims, e.g. "time,channel".
std::string_view dims_label(Extent extent);

// Weight matrices also say so in their attribute layout.
bool is_matrix(Extent extent);

// Audio and mel spectrograms are stored as f32 whatever the rest is stored as.
bool is_always_f32(Extent extent);

// `open` is the length that the shape leaves open: of samples or mel frames.
std::vector<std::int64_t> dimensions(Extent extent, const RecordingShape& shape, std::int64_t open = 0);

// "" where the open length is possible: frames must give the rows of the context with a stride of 1 or 2.
std::string length_objection(Extent extent, const RecordingShape& shape, std::int64_t open);

// "" when a recording may have these dimensions (no mels: 0), else what is wrong with them.
std::string shape_objection(std::int64_t context, std::int64_t heads, std::int64_t layers, std::int64_t mels);

// Control characters make more than one line of a text, and do worse to a terminal.
constexpr bool is_control(char c) {
    return (c >= 0 && c < 0x20) || c == 0x7F;
}

// The text with '?' for each of them.
std::string one_line(std::string text);

// "" when text may be the id of a clip (a link name that is safe to print), else what is wrong with it.
std::string clip_id_objection(std::string_view id);

// Attribute dtype_logical: "f32" or "bf16".
std::string_view dtype_label(DType dtype);

// "" when `text` is an SHA-256 as it is written here, else what is wrong with it.
std::string hash_objection(std::string_view text);

std::string layer_name(int layer);  // "layer_00"
std::string clip_group(std::string_view clip);
std::string activations_group(std::string_view clip, int layer);
std::string weights_group(int layer);

}  // namespace datasets
