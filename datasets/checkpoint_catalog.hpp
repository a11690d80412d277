// What the readers of single formats find in a checkpoint: which tensors lie where. Their values come later.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datasets/checkpoint.hpp"
#include "datasets/checkpoint_file.hpp"

namespace datasets {

// A tensor as stored.
struct StoredTensor {
    std::string name;
    std::string dtype;               // as safetensors spells it: "F32", "F16", "BF16", ...
    std::vector<std::int64_t> dims;  // outermost first, row-major
    std::size_t file = 0;            // index in the catalog
    std::uint64_t begin = 0;         // byte offset in that file, of any alignment
    std::uint64_t end = 0;
};

// What the header of a ggml file says about the encoder, besides the tensors.
struct GgmlDimensions {
    std::int64_t context = 0;
    std::int64_t width = 0;
    std::int64_t heads = 0;
    std::int64_t layers = 0;
    std::int64_t mels = 0;
};

// All tensors of a checkpoint. Readers guarantee that names are unique, that every tensor of F32, F16 or BF16
// has as many bytes as its dims say, that it lies inside its file, and that none overlaps another.
struct CheckpointCatalog {
    std::string file;  // as the user named it
    CheckpointFormat format = CheckpointFormat::safetensors;
    std::vector<CheckpointFile> files;
    std::vector<StoredTensor> tensors;
    std::optional<GgmlDimensions> ggml;  // of that format only
};

// The catalog of whatever lies at `file`. Throws ReadError.
[[nodiscard]] CheckpointCatalog open_checkpoint(const std::string& file);

// The format by the first bytes; throws ReadError for a format that is recognised and not read, with the way
// out, and for an unknown one. Shards are recognised by their index, the only JSON file here.
[[nodiscard]] CheckpointFormat recognise_checkpoint(const CheckpointFile& file);

// The readers of single formats.
[[nodiscard]] CheckpointCatalog open_safetensors(const CheckpointFile& file);
[[nodiscard]] CheckpointCatalog open_safetensors_index(const CheckpointFile& index);
[[nodiscard]] CheckpointCatalog open_ggml(const CheckpointFile& file);

// Elements of a tensor of `dims`, nothing if 64 bits do not hold their bits.
[[nodiscard]] std::optional<std::uint64_t> checked_elements(const std::vector<std::int64_t>& dims);

}  // namespace datasets
