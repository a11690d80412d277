// safetensors: eight bytes of header length N (little-endian), N bytes of JSON, then the raw tensors. The
// rules are those of the format's own description and of its Rust reader (`SafeTensors::read_metadata`).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "datasets/checkpoint_catalog.hpp"

namespace datasets {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t length_bytes = 8;
constexpr std::uint64_t largest_header = 100'000'000;
constexpr int deepest_header = 3;  // header, tensor, its shape

struct NamedBits {
    std::string_view name;
    std::uint64_t bits;
};

// Of one element, by the dtypes that the format knows. Only the first three are ever converted.
constexpr std::array<NamedBits, 20> dtype_bits{{
    {"F32", 32},    {"F16", 16}, {"BF16", 16}, {"F64", 64},    {"I64", 64},    {"U64", 64},    {"I32", 32},
    {"U32", 32},    {"I16", 16}, {"U16", 16},  {"I8", 8},      {"U8", 8},      {"BOOL", 8},    {"F8_E4M3", 8},
    {"F8_E5M2", 8}, {"C64", 64}, {"F4", 4},    {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E8M0", 8},
}};

// A JSON document in which no object has a key twice; nlohmann's own parser keeps the last silently.
Json parse(const CheckpointFile& file, const std::string& text) {
    std::vector<std::set<std::string>> keys;
    const auto watch = [&](int depth, Json::parse_event_t event, const Json& parsed) {
        if (depth > deepest_header) {
            throw file.error("has a JSON header that is nested too deeply");
        }
        if (event == Json::parse_event_t::object_start) {
            keys.emplace_back();
        } else if (event == Json::parse_event_t::object_end) {
            keys.pop_back();
        } else if (event == Json::parse_event_t::key) {
            const auto& key = parsed.get_ref<const std::string&>();
            if (!keys.back().insert(key).second) {
                throw file.error(key, "stands twice in the header");
            }
        }
        return true;
    };
    try {
        return Json::parse(text, watch);
    } catch (const Json::exception& reason) {
        throw file.error(fmt::format("has a header that is not JSON: {}", reason.what()));
    }
}

std::string_view without_trailing_spaces(std::string_view text) {
    return text.substr(0, text.find_last_not_of(' ') + 1);
}

// The header's text, and where the tensors begin.
struct Header {
    std::string text;
    std::uint64_t payload = 0;
};

Header read_header(const CheckpointFile& file) {
    if (file.size() < length_bytes) {
        throw file.error(
            fmt::format("has {} bytes, a safetensors file at least {}", file.size(), length_bytes));
    }
    std::array<std::uint8_t, length_bytes> bytes{};
    file.read(0, std::as_writable_bytes(std::span(bytes)));
    std::uint64_t length = 0;
    for (std::size_t index = 0; index < bytes.size(); ++index) {
        length |= std::uint64_t{bytes[index]} << (8 * index);
    }
    if (length > largest_header) {
        throw file.error(
            fmt::format("announces a header of {} bytes, and {} are allowed", length, largest_header));
    }
    if (length > file.size() - length_bytes) {
        throw file.error(fmt::format("announces a header of {} bytes, but only {} follow: it is cut short",
                                     length, file.size() - length_bytes));
    }
    Header header{file.read_text(length_bytes, static_cast<std::size_t>(length)), length_bytes + length};
    header.text = without_trailing_spaces(header.text);
    if (!header.text.starts_with('{')) {
        throw file.error("has a header that does not begin with '{'");
    }
    return header;
}

void require_metadata(const CheckpointFile& file, const Json& metadata) {
    const bool is_map = metadata.is_object() &&
                        std::ranges::all_of(metadata, [](const Json& value) { return value.is_string(); });
    if (!is_map) {
        throw file.error("__metadata__", "is not a map of strings");
    }
}

// An array of whole numbers that are not negative and fit 63 bits.
std::vector<std::int64_t> whole_numbers(const CheckpointFile& file, const std::string& tensor,
                                        const Json& entry, const char* key) {
    const auto found = entry.find(key);
    if (found == entry.end() || !found->is_array()) {
        throw file.error(tensor, fmt::format("has no array {} in the header", key));
    }
    std::vector<std::int64_t> numbers;
    for (const Json& number : *found) {
        if (!number.is_number_unsigned() || number.get<std::uint64_t>() > INT64_MAX) {
            throw file.error(tensor,
                             fmt::format("has {} in {}, where a whole number is expected",
                                         number.dump(-1, ' ', true, Json::error_handler_t::replace), key));
        }
        numbers.push_back(number.get<std::int64_t>());
    }
    return numbers;
}

void require_size(const CheckpointFile& file, const StoredTensor& tensor) {
    const auto* const dtype = std::ranges::find(dtype_bits, tensor.dtype, &NamedBits::name);
    const std::optional<std::uint64_t> elements = checked_elements(tensor.dims);
    if (!elements) {
        throw file.error(tensor.name, fmt::format("has a shape of more than 2^58 elements"));
    }
    if (dtype == dtype_bits.end()) {
        return;  // newer than this reader: refused where it belongs to the encoder
    }
    const std::uint64_t bits = *elements * dtype->bits;
    if (bits % 8 != 0 || bits / 8 != tensor.end - tensor.begin) {
        throw file.error(tensor.name, fmt::format("has {} bytes in the file, its shape in {} takes {}",
                                                  tensor.end - tensor.begin, tensor.dtype, (bits + 7) / 8));
    }
}

StoredTensor read_entry(const CheckpointFile& file, std::uint64_t payload, const std::string& name,
                        const Json& entry) {
    if (!entry.is_object()) {
        throw file.error(name, "is not described by an object in the header");
    }
    for (const auto& item : entry.items()) {
        if (item.key() != "dtype" && item.key() != "shape" && item.key() != "data_offsets") {
            throw file.error(name, fmt::format("has an unknown field \"{}\" in the header", item.key()));
        }
    }
    const auto dtype = entry.find("dtype");
    if (dtype == entry.end() || !dtype->is_string()) {
        throw file.error(name, "has no dtype in the header");
    }
    StoredTensor tensor;
    tensor.name = name;
    tensor.dtype = dtype->get<std::string>();
    tensor.dims = whole_numbers(file, name, entry, "shape");
    const std::vector<std::int64_t> offsets = whole_numbers(file, name, entry, "data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1]) {
        throw file.error(name, "has data_offsets that are not a begin and an end");
    }
    const std::uint64_t available = file.size() - payload;
    if (static_cast<std::uint64_t>(offsets[1]) > available) {
        throw file.error(name,
                         fmt::format("ends at byte {} of the data, which has only {}: the file is cut short",
                                     offsets[1], available));
    }
    tensor.begin = payload + static_cast<std::uint64_t>(offsets[0]);
    tensor.end = payload + static_cast<std::uint64_t>(offsets[1]);
    require_size(file, tensor);
    return tensor;
}

// That the tensors tile the payload: no overlap, no hole, nothing behind.
void require_tiling(const CheckpointFile& file, std::uint64_t payload, std::vector<StoredTensor>& tensors) {
    std::ranges::sort(tensors, [](const StoredTensor& left, const StoredTensor& right) {
        return std::pair(left.begin, left.end) < std::pair(right.begin, right.end);
    });
    std::uint64_t end = payload;
    for (const StoredTensor& tensor : tensors) {
        if (tensor.begin < end) {
            throw file.error(tensor.name,
                             fmt::format("overlaps the tensor before it by {} bytes", end - tensor.begin));
        }
        if (tensor.begin > end) {
            throw file.error(tensor.name,
                             fmt::format("leaves a hole of {} bytes before it", tensor.begin - end));
        }
        end = tensor.end;
    }
    if (end != file.size()) {
        throw file.error(fmt::format("has {} bytes behind its last tensor", file.size() - end));
    }
}

std::vector<StoredTensor> read_tensors(const CheckpointFile& file) {
    const Header header = read_header(file);
    const Json entries = parse(file, header.text);
    std::vector<StoredTensor> tensors;
    for (const auto& item : entries.items()) {
        if (item.key() == "__metadata__") {
            require_metadata(file, item.value());
        } else {
            tensors.push_back(read_entry(file, header.payload, item.key(), item.value()));
        }
    }
    require_tiling(file, header.payload, tensors);
    return tensors;
}

// Tensor -> shard, as the index says.
std::map<std::string, std::string> read_weight_map(const CheckpointFile& index) {
    if (index.size() > largest_header) {
        throw index.error(
            fmt::format("is an index of {} bytes, and {} are allowed", index.size(), largest_header));
    }
    const Json document = parse(index, index.read_text(0, static_cast<std::size_t>(index.size())));
    const auto found = document.find("weight_map");
    if (found == document.end() || !found->is_object() || found->empty()) {
        throw index.error("weight_map", "is missing: not an index of safetensors shards");
    }
    std::map<std::string, std::string> shards;
    for (const auto& item : found->items()) {
        const bool is_text = item.value().is_string();
        const std::string shard = is_text ? item.value().get<std::string>() : std::string();
        // An index must not make the reader open files elsewhere.
        const bool is_plain = shard.find('/') == std::string::npos && shard.find('\0') == std::string::npos;
        if (shard.empty() || !is_plain || shard == "." || shard == "..") {
            throw index.error(item.key(), "is not mapped to the name of a file beside the index");
        }
        shards.emplace(item.key(), shard);
    }
    return shards;
}

}  // namespace

CheckpointCatalog open_safetensors(const CheckpointFile& file) {
    return {file.file(), CheckpointFormat::safetensors, {file}, read_tensors(file), std::nullopt};
}

CheckpointCatalog open_safetensors_index(const CheckpointFile& index) {
    const std::map<std::string, std::string> shard_of = read_weight_map(index);
    std::set<std::string> shards;
    for (const auto& [tensor, shard] : shard_of) {
        shards.insert(shard);
    }
    CheckpointCatalog catalog{index.file(), CheckpointFormat::safetensors_shards, {}, {}, std::nullopt};
    std::set<std::string> seen;
    const std::filesystem::path folder = std::filesystem::path(index.file()).parent_path();
    for (const std::string& shard : shards) {
        const CheckpointFile& file = catalog.files.emplace_back((folder / shard).string());
        for (StoredTensor& tensor : read_tensors(file)) {
            const auto mapped = shard_of.find(tensor.name);
            if (mapped == shard_of.end()) {
                throw file.error(tensor.name, "is in this shard, but the index does not name it");
            }
            if (mapped->second != shard) {
                throw file.error(tensor.name,
                                 fmt::format("is in this shard, but the index says {}", mapped->second));
            }
            seen.insert(tensor.name);
            tensor.file = catalog.files.size() - 1;
            catalog.tensors.push_back(std::move(tensor));
        }
    }
    for (const auto& [tensor, shard] : shard_of) {
        if (!seen.contains(tensor)) {
            throw index.error(tensor, fmt::format("is missing in its shard {}", shard));
        }
    }
    return catalog;
}

}  // namespace datasets
