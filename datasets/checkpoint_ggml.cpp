// ggml .bin of whisper.cpp (`convert-pt-to-ggml.py`, `whisper_model_load`), all integers int32 little-endian:
// magic 0x67676d6c; 11 hyperparameters; mel filters: rows, columns, floats; vocabulary: count, then (length,
// bytes) each; then until the end of the file tensors: number of dims, length of the name, type, dims
// (innermost first), name, data without alignment.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "datasets/checkpoint_catalog.hpp"

namespace datasets {
namespace {

constexpr std::int32_t largest_dimension = 1 << 20;
constexpr std::int32_t largest_vocabulary = 1 << 24;
constexpr std::int32_t longest_name = 256;
constexpr std::int32_t most_dims = 4;
constexpr std::uint64_t float_bytes = 4;

struct Type {
    std::int32_t id;
    std::string_view name;
};

// `enum ggml_type`, as far as whisper.cpp has ever written it.
constexpr std::array<Type, 14> types{{{0, "F32"},
                                      {1, "F16"},
                                      {2, "q4_0"},
                                      {3, "q4_1"},
                                      {6, "q5_0"},
                                      {7, "q5_1"},
                                      {8, "q8_0"},
                                      {9, "q8_1"},
                                      {10, "q2_k"},
                                      {11, "q3_k"},
                                      {12, "q4_k"},
                                      {13, "q5_k"},
                                      {14, "q6_k"},
                                      {30, "bf16"}}};

// The hyperparameters in the order of the file.
enum Hyperparameter : std::uint8_t {
    vocabulary,
    audio_context,
    audio_state,
    audio_heads,
    audio_layers,
    text_context,
    text_state,
    text_heads,
    text_layers,
    mels,
    file_type,
    hyperparameter_count
};

constexpr std::array<std::string_view, hyperparameter_count> hyperparameter_names{
    "n_vocab",      "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer", "n_text_ctx",
    "n_text_state", "n_text_head", "n_text_layer",  "n_mels",       "ftype"};

// Reads from the front to the back.
class Cursor {
public:
    explicit Cursor(const CheckpointFile& file) : file_(file) {}

    [[nodiscard]] std::uint64_t offset() const { return offset_; }
    [[nodiscard]] std::uint64_t left() const { return file_.size() - offset_; }

    // `what` says in the error what is cut short.
    void skip(std::uint64_t bytes, std::string_view what) {
        if (bytes > left()) {
            throw file_.error(fmt::format("is cut short: {} takes {} bytes at byte {}, and {} are left", what,
                                          bytes, offset_, left()));
        }
        offset_ += bytes;
    }

    std::int32_t integer(std::string_view what) {
        std::array<std::uint8_t, 4> bytes{};
        const std::uint64_t begin = offset_;
        skip(bytes.size(), what);
        file_.read(begin, std::as_writable_bytes(std::span(bytes)));
        const std::uint32_t value = std::uint32_t{bytes[0]} | std::uint32_t{bytes[1]} << 8U |
                                    std::uint32_t{bytes[2]} << 16U | std::uint32_t{bytes[3]} << 24U;
        return static_cast<std::int32_t>(value);
    }

    // An integer of [least, most].
    std::int32_t integer(std::string_view what, std::int32_t least, std::int32_t most) {
        const std::uint64_t begin = offset_;
        const std::int32_t value = integer(what);
        if (value < least || value > most) {
            throw file_.error(
                fmt::format("has {} = {} at byte {}, expected {} to {}: it is damaged or not Whisper's", what,
                            value, begin, least, most));
        }
        return value;
    }

    std::string text(std::size_t length, std::string_view what) {
        const std::uint64_t begin = offset_;
        skip(length, what);
        return file_.read_text(begin, length);
    }

private:
    const CheckpointFile& file_;
    std::uint64_t offset_ = 0;
};

GgmlDimensions read_hyperparameters(Cursor& cursor) {
    std::array<std::int32_t, hyperparameter_count> values{};
    for (std::size_t index = 0; index < values.size(); ++index) {
        const bool may_be_zero = index == file_type;
        values[index] = cursor.integer(hyperparameter_names[index], may_be_zero ? 0 : 1, largest_dimension);
    }
    return {values[audio_context], values[audio_state], values[audio_heads], values[audio_layers],
            values[mels]};
}

void skip_mel_filters(Cursor& cursor) {
    const std::int32_t rows = cursor.integer("the number of mel filters", 1, largest_dimension);
    const std::int32_t columns = cursor.integer("the length of a mel filter", 1, largest_dimension);
    cursor.skip(static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns) * float_bytes,
                "the table of mel filters");
}

void skip_vocabulary(Cursor& cursor) {
    const std::int32_t words = cursor.integer("the size of the vocabulary", 0, largest_vocabulary);
    for (std::int32_t word = 0; word < words; ++word) {
        const std::int32_t length = cursor.integer("the length of a word", 0, largest_dimension);
        cursor.skip(static_cast<std::uint64_t>(length), "a word of the vocabulary");
    }
}

// Size of the data in bytes. Quantised data are refused: rounded twice, no reference can be made of them.
std::uint64_t data_bytes(const CheckpointFile& file, const StoredTensor& tensor, std::int32_t type) {
    const auto* const known = std::ranges::find(types, type, &Type::id);
    if (known == types.end() || type > 1) {
        throw file.error(
            tensor.name,
            fmt::format("is of type {}, and only f32 and f16 are read; take the f16 or f32 file of "
                        "this model, as it is before whisper.cpp's `quantize`",
                        known == types.end() ? std::to_string(type) : std::string(known->name)));
    }
    const std::optional<std::uint64_t> elements = checked_elements(tensor.dims);
    if (!elements) {
        throw file.error(tensor.name, "has a shape of more than 2^58 elements");
    }
    return *elements * (type == 0 ? 4 : 2);
}

StoredTensor read_tensor(const CheckpointFile& file, Cursor& cursor) {
    StoredTensor tensor;
    const std::int32_t dims = cursor.integer("a tensor's number of dims", 1, most_dims);
    const std::int32_t name_length = cursor.integer("the length of a tensor's name", 1, longest_name);
    const std::int32_t type = cursor.integer("a tensor's type");
    for (std::int32_t index = 0; index < dims; ++index) {
        tensor.dims.push_back(cursor.integer("a tensor's dim", 1, INT32_MAX));
    }
    std::ranges::reverse(tensor.dims);
    tensor.name = cursor.text(static_cast<std::size_t>(name_length), "a tensor's name");
    const std::uint64_t bytes = data_bytes(file, tensor, type);
    tensor.dtype = type == 0 ? "F32" : "F16";
    tensor.begin = cursor.offset();
    if (bytes > cursor.left()) {
        throw file.error(tensor.name, fmt::format("takes {} bytes, and {} are left: the file is cut short",
                                                  bytes, cursor.left()));
    }
    cursor.skip(bytes, tensor.name);
    tensor.end = cursor.offset();
    // whisper.cpp adds the biases of the convolutions as columns.
    const bool is_column = tensor.dims.size() == 2 && tensor.dims.back() == 1;
    if (is_column && tensor.name.ends_with(".bias")) {
        tensor.dims.pop_back();
    }
    return tensor;
}

}  // namespace

CheckpointCatalog open_ggml(const CheckpointFile& file) {
    CheckpointCatalog catalog{file.file(), CheckpointFormat::ggml, {file}, {}, std::nullopt};
    Cursor cursor(file);
    cursor.skip(sizeof(std::int32_t), "the magic");
    catalog.ggml = read_hyperparameters(cursor);
    skip_mel_filters(cursor);
    skip_vocabulary(cursor);
    std::set<std::string> names;
    while (cursor.left() > 0) {
        StoredTensor tensor = read_tensor(file, cursor);
        if (!names.insert(tensor.name).second) {
            throw file.error(tensor.name, "stands twice in the file");
        }
        catalog.tensors.push_back(std::move(tensor));
    }
    return catalog;
}

}  // namespace datasets
