#include "datasets/candidate_dataset.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "datasets/bf16.hpp"
#include "datasets/recording_chunks.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/recording_schema.hpp"

namespace datasets {
namespace {

// Values are used as they lie in memory.
static_assert(std::endian::native == std::endian::little);

// Chunks that one slab of 64 rows of all heads meets should stay in memory until the next slab.
constexpr std::size_t chunk_cache_bytes = std::size_t{64} << 20;
constexpr std::size_t chunk_cache_slots = 12421;  // a prime, as HDF5 asks for

struct Filters {
    bool fletcher32 = false;
    bool deflate = false;
    bool any = false;
};

// In terms of one of the elements of `dims`, which are few enough to be counted.
std::int64_t elements_of(const std::vector<std::int64_t>& dims) {
    std::int64_t elements = 1;
    for (const std::int64_t dim : dims) {
        elements *= dim;
    }
    return elements;
}

std::vector<std::int64_t> dims_of(Op op, const LayerShape& shape) {
    switch (info(op).form) {
        case Form::square:
            return {shape.heads, shape.context, shape.context};
        case Form::hidden_rows:
            return {shape.context, shape.mlp_width()};
        default:
            return {shape.context, shape.width()};
    }
}

std::string_view dims_label(Op op) {
    switch (info(op).form) {
        case Form::square:
            return "head,query time,key time";
        case Form::hidden_rows:
            return "time,4 channel";
        default:
            return "time,channel";
    }
}

Filters verify_filters(hid_t properties) {
    Filters filters;
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
        filters.any = true;
        filters.fletcher32 = filters.fletcher32 || filter == H5Z_FILTER_FLETCHER32;
        filters.deflate = filters.deflate || filter == H5Z_FILTER_DEFLATE;
    }
    return filters;
}

// f32 or bf16 as recordings have them, or bf16 in unsigned integers that say so.
void verify_type(hid_t dataset, DumpedDataset& dumped) {
    const Handle type(H5Dget_type(dataset), H5Tclose, "read its type");
    const auto is = [&](hid_t other) { return require(H5Tequal(type.get(), other), "compare its type") > 0; };
    const bool labelled = has_attribute(dataset, "dtype_logical");
    const std::string label = labelled ? read_text(dataset, "dtype_logical") : std::string();
    if (is(H5T_STD_U16LE)) {
        if (label != "bf16") {
            throw Refusal("holds 16-bit integers; the attribute dtype_logical = \"bf16\" makes them bf16");
        }
        dumped.dtype = DType::bf16;
        dumped.as_integers = true;
        return;
    }
    for (const DType dtype : {DType::f32, DType::bf16}) {
        if (is(stored_type(dtype).get())) {
            if (labelled && label != dtype_label(dtype)) {
                throw Refusal(fmt::format("attribute dtype_logical is \"{:.60}\", its values are {}", label,
                                          dtype_label(dtype)));
            }
            dumped.dtype = dtype;
            return;
        }
    }
    throw Refusal(
        fmt::format("holds {}; only little-endian float32, bf16, and bf16 bits in uint16 with the attribute "
                    "dtype_logical = \"bf16\" are read",
                    describe_type(type.get())));
}

std::vector<std::int64_t> verify_dims(hid_t dataset, Op op, const LayerShape& shape) {
    const Handle space(H5Dget_space(dataset), H5Sclose, "read its dimensions");
    const int rank = require(H5Sget_simple_extent_ndims(space.get()), "read its dimensions");
    std::array<hsize_t, H5S_MAX_RANK> found{};
    require(H5Sget_simple_extent_dims(space.get(), found.data(), nullptr), "read its dimensions");
    const auto dims = std::span(found).first(static_cast<std::size_t>(rank));
    const auto expected = dims_of(op, shape);
    if (!std::ranges::equal(dims, expected, [](hsize_t a, std::int64_t b) { return std::cmp_equal(a, b); })) {
        throw Refusal(fmt::format("has the shape [{}]; the recording asks for {} [{}]", fmt::join(dims, ", "),
                                  dims_label(op), fmt::join(expected, ", ")));
    }
    return expected;
}

// All values must be in the file: what HDF5 would fill in was computed by nobody.
void verify_storage(hid_t dataset, hid_t properties, const DumpedDataset& dumped, const Filters& filters) {
    const std::int64_t bytes = elements_of(dumped.dims) * bytes_of(dumped.dtype);
    const hsize_t storage = H5Dget_storage_size(dataset);
    const std::int64_t needed = filters.deflate ? bytes / deflate_ratio_limit : bytes;
    bool whole = std::cmp_greater_equal(storage, needed);
    if (H5Pget_layout(properties) == H5D_CHUNKED) {
        const Chunking chunking = chunking_of(properties, dumped.dims, dumped.dtype);
        const Handle space(H5Dget_space(dataset), H5Sclose, "count its chunks");
        hsize_t written = 0;
        require(H5Dget_num_chunks(dataset, space.get(), &written), "count its chunks");
        whole = whole && std::cmp_equal(written, chunking.count);
        if (whole && filters.any) {
            verify_chunk_list(dataset, space.get(), chunking, {filters.fletcher32, filters.deflate});
        }
    }
    if (!whole) {
        throw Refusal(
            fmt::format("is partly unwritten: {} bytes in the file for {} bytes of values", storage, bytes));
    }
}

void verify_layout(hid_t properties) {
    if (H5Pget_external_count(properties) > 0) {
        throw Refusal("keeps its values in another file (external storage); store them in this one");
    }
    const auto layout = H5Pget_layout(properties);
    if (layout == H5D_VIRTUAL) {
        throw Refusal("is a virtual dataset; store the values themselves");
    }
    if (layout != H5D_CHUNKED && layout != H5D_CONTIGUOUS && layout != H5D_COMPACT) {
        throw Refusal("has an unknown layout");
    }
}

// Where a slab lies in the dataset.
struct Slab {
    std::vector<hsize_t> start;
    std::vector<hsize_t> count;
};

Slab slab_of(const DumpedDataset& dumped, Rows rows) {
    const auto at = [](std::int64_t value) { return static_cast<hsize_t>(value); };
    if (is_square(dumped.op)) {
        return {{at(rows.head), at(rows.begin), 0}, {1, at(rows.count), at(dumped.dims[2])}};
    }
    if (rows.head < 0) {
        return {{at(rows.begin), 0}, {at(rows.count), at(dumped.dims[1])}};
    }
    return {{at(rows.begin), at(rows.head) * head_width}, {at(rows.count), head_width}};
}

Handle open_cached(hid_t file, const std::string& object) {
    const Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose, "prepare to read it");
    require(H5Pset_chunk_cache(access.get(), chunk_cache_slots, chunk_cache_bytes, 1.0),
            "prepare to read it");
    return {H5Dopen2(file, object.c_str(), access.get()), H5Dclose, "open it"};
}

}  // namespace

DumpedDataset verify_dumped(hid_t file, const std::string& object, Op op, const LayerShape& shape) {
    const auto dataset = open_dataset(file, object);
    // The layout first: asking a virtual dataset for its dimensions opens other files.
    const Handle properties(H5Dget_create_plist(dataset.get()), H5Pclose, "read its properties");
    verify_layout(properties.get());
    const Filters filters = verify_filters(properties.get());
    DumpedDataset dumped;
    dumped.object = object;
    dumped.op = op;
    dumped.deflated = filters.deflate;
    verify_type(dataset.get(), dumped);
    dumped.dims = verify_dims(dataset.get(), op, shape);
    verify_storage(dataset.get(), properties.get(), dumped, filters);
    return dumped;
}

DumpedReader::DumpedReader(hid_t file, const DumpedDataset& dumped)
    : dumped_(dumped), dataset_(open_cached(file, dumped.object)) {}

void DumpedReader::read(Rows rows, std::span<float> out) const {
    const Slab slab = slab_of(dumped_, rows);
    const Handle space(H5Dget_space(dataset_.get()), H5Sclose, "read its values");
    require(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, slab.start.data(), nullptr, slab.count.data(),
                                nullptr),
            "read its values");
    const auto elements = static_cast<hsize_t>(out.size());
    const Handle memory(H5Screate_simple(1, &elements, nullptr), H5Sclose, "read its values");
    const auto load = [&](hid_t type, void* to) {
        require(H5Dread(dataset_.get(), type, memory.get(), space.get(), H5P_DEFAULT, to), "read its values");
    };
    if (dumped_.dtype == DType::f32) {
        load(stored_type(DType::f32).get(), out.data());
        return;
    }
    std::vector<bf16> bits(out.size());
    if (dumped_.as_integers) {
        load(H5T_STD_U16LE, bits.data());
    } else {
        load(bf16_type().get(), bits.data());
    }
    std::ranges::transform(bits, out.begin(), to_float);
}

}  // namespace datasets
