// The front door: which format lies there, and what else might have been meant.
#include "datasets/checkpoint_catalog.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>

namespace datasets {
namespace {

constexpr std::size_t recognised_bytes = 24;

constexpr std::string_view export_mend =
    "export it once with Python: import torch, safetensors.torch as s; c = torch.load('FILE', "
    "map_location='cpu', weights_only=True); c = c.get('model_state_dict', c); s.save_file({k: "
    "v.clone().contiguous() for k, v in c.items()}, 'whisper.safetensors')";

// A format that is recognised in order to say what to do about it.
struct Stranger {
    std::string_view magic;
    std::string_view reason;
    std::string_view mend;
};

constexpr std::array<Stranger, 5> strangers{{
    {"PK\x03\x04",
     "is a zip archive as torch.save writes it; a pickle inside runs code when read, so it is not",
     export_mend},
    {"\x80", "is a pickle, which runs code when read, so it is not", export_mend},
    {"GGUF", "is GGUF, which whisper.cpp does not use for Whisper",
     "take whisper.cpp's ggml-*.bin in f16 or f32, or the safetensors of the model"},
    {"\x89HDF", "is an HDF5 file: a recording of activations, not a checkpoint",
     "give the model's safetensors or ggml file"},
    {"version https://git-lfs", "is a pointer of Git LFS, not the file itself", "run `git lfs pull` there"},
}};

constexpr std::string_view ggml_magic = "lmgg";  // 0x67676d6c, little-endian

// The one file of a folder that ends in `extension`; of several, the one that Hugging Face calls "model".
std::string only_file(const std::string& folder, const std::vector<std::string>& names,
                      const std::string& extension) {
    std::vector<std::string> found;
    std::ranges::copy_if(names, std::back_inserter(found),
                         [&](const std::string& name) { return name.ends_with(extension); });
    const std::string preferred = "model" + extension;
    if (std::ranges::find(found, preferred) != found.end()) {
        return preferred;
    }
    if (found.size() > 1) {
        throw ReadError(folder, "",
                        fmt::format("holds {}, which may belong to different models; name one of them",
                                    fmt::join(found, ", ")));
    }
    return found.empty() ? std::string() : found.front();
}

// The file to open in a folder: one file before shards, as Hugging Face's own loader prefers.
std::string file_in_folder(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code failure;
    for (std::filesystem::directory_iterator entry(folder, failure), end; !failure && entry != end;
         entry.increment(failure)) {
        names.push_back(entry->path().filename().string());
    }
    if (failure) {
        throw ReadError(folder, "", fmt::format("cannot be listed: {}", failure.message()));
    }
    std::ranges::sort(names);
    std::string name =
        std::ranges::find(names, "model.safetensors") != names.end() ? "model.safetensors" : std::string();
    for (const std::string& extension :
         {std::string(".safetensors.index.json"), std::string(".safetensors")}) {
        name = name.empty() ? only_file(folder, names, extension) : name;
    }
    if (name.empty()) {
        throw ReadError(folder, "", "is a folder without a .safetensors file or a .safetensors.index.json");
    }
    return (std::filesystem::path(folder) / name).string();
}

}  // namespace

std::string_view name(CheckpointFormat format) {
    switch (format) {
        case CheckpointFormat::safetensors:
            return "safetensors";
        case CheckpointFormat::safetensors_shards:
            return "safetensors (shards)";
        case CheckpointFormat::ggml:
            return "ggml";
    }
    return "unknown";
}

std::optional<std::uint64_t> checked_elements(const std::vector<std::int64_t>& dims) {
    // Of at most 64 bits each.
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max() / 64;
    std::uint64_t elements = 1;
    for (const std::int64_t dim : dims) {
        const auto factor = static_cast<std::uint64_t>(dim);
        if (dim < 0 || (factor != 0 && elements > most / factor)) {
            return std::nullopt;
        }
        elements *= factor;
    }
    return elements;
}

CheckpointFormat recognise_checkpoint(const CheckpointFile& file) {
    const std::string head =
        file.read_text(0, static_cast<std::size_t>(std::min<std::uint64_t>(recognised_bytes, file.size())));
    if (head.empty()) {
        throw file.error("is empty");
    }
    // The first eight bytes of safetensors are a length of at most 100 MB: never these letters, never text.
    if (head.starts_with(ggml_magic)) {
        return CheckpointFormat::ggml;
    }
    if (head.front() == '{' && (head.size() < 8 || head[7] != '\0')) {
        return CheckpointFormat::safetensors_shards;
    }
    // Before the strangers: a header of 128 bytes begins as a pickle does.
    if (head.size() > 8 && head[8] == '{') {
        return CheckpointFormat::safetensors;
    }
    for (const Stranger& stranger : strangers) {
        if (head.starts_with(stranger.magic)) {
            throw file.error(fmt::format("{}; {}", stranger.reason, stranger.mend));
        }
    }
    throw file.error(
        "is no checkpoint: neither safetensors, whose ninth byte is '{', nor ggml, which begins with "
        "\"lmgg\", "
        "nor an index of shards, which begins with '{'");
}

CheckpointCatalog open_checkpoint(const std::string& file) {
    std::error_code ignored;
    const bool is_folder = std::filesystem::is_directory(file, ignored);
    const CheckpointFile opened(is_folder ? file_in_folder(file) : file);
    switch (recognise_checkpoint(opened)) {
        case CheckpointFormat::safetensors_shards:
            return open_safetensors_index(opened);
        case CheckpointFormat::ggml:
            return open_ggml(opened);
        case CheckpointFormat::safetensors:
            break;
    }
    return open_safetensors(opened);
}

}  // namespace datasets
