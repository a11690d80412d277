#include "datasets/recording_dataset.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "datasets/bf16.hpp"
#include "datasets/recording_chunks.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/sha256.hpp"

namespace datasets {
namespace {

// The stored bytes are hashed and used as they lie in memory.
static_assert(std::endian::native == std::endian::little);

std::int64_t product(const std::vector<std::int64_t>& dims) {
    std::int64_t elements = 1;
    for (const std::int64_t dim : dims) {
        if (__builtin_mul_overflow(elements, dim, &elements)) {
            throw Refusal("has more elements than can be counted");
        }
    }
    return elements;
}

void verify_layout(hid_t properties) {
    if (H5Pget_external_count(properties) > 0) {
        throw Refusal("keeps its values in another file (external storage); store them in this one");
    }
    switch (H5Pget_layout(properties)) {
        case H5D_CHUNKED:
            return;
        case H5D_VIRTUAL:
            throw Refusal("is a virtual dataset; store the values themselves");
        case H5D_CONTIGUOUS:
        case H5D_COMPACT:
            throw Refusal("is not chunked; create it with chunks and fletcher32");
        default:
            throw Refusal("has an unknown layout");
    }
}

// True if deflate is among the filters.
bool verify_filters(hid_t properties) {
    bool fletcher32 = false;
    bool deflate = false;
    const int count = require(H5Pget_nfilters(properties), "count its filters");
    for (int i = 0; i < count; ++i) {
        unsigned flags = 0;
        std::size_t values = 0;
        const auto filter = H5Pget_filter2(properties, static_cast<unsigned>(i), &flags, &values, nullptr, 0,
                                           nullptr, nullptr);
        if (filter != H5Z_FILTER_FLETCHER32 && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_DEFLATE) {
            throw Refusal(fmt::format("uses filter {}; only fletcher32, shuffle and deflate (gzip) are read",
                                      static_cast<int>(filter)));
        }
        fletcher32 = fletcher32 || filter == H5Z_FILTER_FLETCHER32;
        deflate = deflate || filter == H5Z_FILTER_DEFLATE;
    }
    if (!fletcher32) {
        throw Refusal("has no fletcher32 checksum; create it with fletcher32");
    }
    return deflate;
}

DType verify_type(hid_t dataset, const DatasetSpec& spec) {
    const Handle type(H5Dget_type(dataset), H5Tclose, "read its type");
    for (const DType dtype : {DType::f32, DType::bf16}) {
        if (require(H5Tequal(type.get(), stored_type(dtype).get()), "compare its type") == 0) {
            continue;
        }
        if (dtype != DType::f32 && is_always_f32(spec.extent)) {
            throw Refusal(fmt::format("holds {}; it is stored as f32 only", dtype_label(dtype)));
        }
        return dtype;
    }
    throw Refusal(
        fmt::format("holds {}; only little-endian IEEE float32 and bf16 (exponent bias 127) are read",
                    describe_type(type.get())));
}

std::vector<std::int64_t> verify_dims(hid_t dataset, const DatasetSpec& spec, const RecordingShape& shape) {
    const Handle space(H5Dget_space(dataset), H5Sclose, "read its dimensions");
    const int rank = require(H5Sget_simple_extent_ndims(space.get()), "read its dimensions");
    std::array<hsize_t, H5S_MAX_RANK> found{};
    require(H5Sget_simple_extent_dims(space.get(), found.data(), nullptr), "read its dimensions");
    const auto dims = std::span(found).first(static_cast<std::size_t>(rank));
    const auto open = static_cast<std::int64_t>(
        dims.empty() ? 0 : std::min<hsize_t>(dims.back(), hsize_t{std::numeric_limits<int>::max()}));
    const auto expected = dimensions(spec.extent, shape, open);
    if (!std::ranges::equal(dims, expected, [](hsize_t a, std::int64_t b) { return std::cmp_equal(a, b); })) {
        throw Refusal(fmt::format("has {} dimensions [{}]; n_ctx, n_head and head_dim ask for {} [{}]", rank,
                                  fmt::join(dims, ", "), dims_label(spec.extent), fmt::join(expected, ", ")));
    }
    if (const auto objection = length_objection(spec.extent, shape, open); !objection.empty()) {
        throw Refusal(objection);
    }
    return expected;
}

// Every chunk must be in the file, and as large there as its values need.
void verify_chunks(hid_t dataset, hid_t properties, const StoredDataset& stored) {
    const Chunking chunking = chunking_of(properties, stored.dims, stored.dtype);
    if (chunking.count > chunks_limit) {
        throw Refusal(fmt::format("has {} chunks; at most {} are read", chunking.count, chunks_limit));
    }
    const Handle space(H5Dget_space(dataset), H5Sclose, "count its chunks");
    hsize_t written = 0;
    require(H5Dget_num_chunks(dataset, space.get(), &written), "count its chunks");
    const hsize_t storage = H5Dget_storage_size(dataset);
    const std::int64_t bytes = product(stored.dims) * bytes_of(stored.dtype);
    const std::int64_t needed = stored.deflated ? bytes / deflate_ratio_limit : bytes;
    if (std::cmp_not_equal(written, chunking.count) || std::cmp_less(storage, needed)) {
        throw Refusal(
            fmt::format("is partly unwritten: {} of {} chunks, {} bytes in the file for {} bytes of values",
                        written, chunking.count, storage, bytes));
    }
    verify_chunk_list(dataset, space.get(), chunking, {true, stored.deflated});
}

void verify_label(hid_t dataset, const std::string& name, std::string_view expected) {
    const auto found = read_text(dataset, name);
    if (found != expected) {
        throw Refusal(fmt::format("attribute {} is \"{:.60}\" instead of \"{}\"", name, found, expected));
    }
}

void verify_attributes(hid_t dataset, const DatasetSpec& spec, DType dtype) {
    verify_label(dataset, "dims", dims_label(spec.extent));
    verify_label(dataset, "dtype_logical", dtype_label(dtype));
    if (is_matrix(spec.extent)) {
        verify_label(dataset, "layout", dims_label(spec.extent));
    }
    // What a recorder says beyond the schema must not contradict it.
    if (has_attribute(dataset, "tensor_role")) {
        verify_label(dataset, "tensor_role", spec.role);
    }
    if (!spec.scale.empty() && has_attribute(dataset, "scale_applied")) {
        verify_label(dataset, "scale_applied", spec.scale);
    }
    constexpr std::array roundings{"none", "rne", "trunc", "floor"};
    const auto rounding = read_text(dataset, "rounding");
    if (std::ranges::find(roundings, rounding) == roundings.end()) {
        throw Refusal(
            fmt::format("attribute rounding is \"{:.60}\", not one of none, rne, trunc, floor", rounding));
    }
}

std::string read_hash(hid_t dataset) {
    const auto hash = read_text(dataset, "sha256");
    if (const auto objection = hash_objection(hash); !objection.empty()) {
        throw Refusal("attribute sha256 " + objection);
    }
    return hash;
}

// Reads the stored bits and compares their hash.
template <typename Element>
std::vector<Element> read_stored(hid_t dataset, const StoredDataset& stored) {
    std::vector<Element> values(static_cast<std::size_t>(product(stored.dims)));
    const auto type = stored_type(stored.dtype);
    try {
        require(H5Dread(dataset, type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
                "read its values");
    } catch (const Refusal& refusal) {
        // HDF5 1.14 only says that a filter failed.
        throw Refusal(
            fmt::format("{} (checksum or compression); copy or record the file again", refusal.what()));
    }
    const auto found = sha256_hex(std::as_bytes(std::span(values)));
    if (found != stored.sha256) {
        throw Refusal(
            fmt::format("its values have SHA-256 {:.12}..., its attribute sha256 says {:.12}...: the file is "
                        "damaged, copy or record it again",
                        found, stored.sha256));
    }
    return values;
}

void verify_finite(std::span<const float> values, const StoredDataset& stored) {
    const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
    if (bad == values.end()) {
        return;
    }
    const auto columns = stored.dims.back();
    const auto index = bad - values.begin();
    const auto where = stored.dims.size() == 1 ? fmt::format("[{}]", index)
                                               : fmt::format("[{}, {}]", index / columns, index % columns);
    throw Refusal(fmt::format("holds {} at {}", std::isnan(*bad) ? "NaN" : "an infinity", where));
}

}  // namespace

StoredDataset verify_structure(hid_t file, const std::string& object, const DatasetSpec& spec,
                               const RecordingShape& shape) {
    const auto dataset = open_dataset(file, object);
    // The layout first: asking a virtual dataset for its dimensions opens other files.
    const Handle properties(H5Dget_create_plist(dataset.get()), H5Pclose, "read its properties");
    verify_layout(properties.get());
    StoredDataset stored;
    stored.deflated = verify_filters(properties.get());
    stored.object = object;
    stored.spec = &spec;
    stored.dtype = verify_type(dataset.get(), spec);
    stored.dims = verify_dims(dataset.get(), spec, shape);
    if (product(stored.dims) > dataset_bytes_limit / bytes_of(stored.dtype)) {
        throw Refusal(fmt::format("is larger than {} bytes", dataset_bytes_limit));
    }
    verify_chunks(dataset.get(), properties.get(), stored);
    verify_attributes(dataset.get(), spec, stored.dtype);
    stored.sha256 = read_hash(dataset.get());
    return stored;
}

std::vector<float> read_values(hid_t file, const StoredDataset& stored) {
    const auto dataset = open_dataset(file, stored.object);
    std::vector<float> values;
    if (stored.dtype == DType::f32) {
        values = read_stored<float>(dataset.get(), stored);
    } else {
        const auto bits = read_stored<bf16>(dataset.get(), stored);
        values.resize(bits.size());
        std::ranges::transform(bits, values.begin(), to_float);
    }
    verify_finite(values, stored);
    return values;
}

std::string content_hash(const std::map<std::string, std::string>& hashes) {
    Sha256 hash;
    for (const auto& [name, sha256] : hashes) {
        hash.update(fmt::format("{} {}\n", name, sha256));
    }
    return hash.finish();
}

}  // namespace datasets
