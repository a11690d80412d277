// Writing one dataset. Chunks go to HDF5 with their checksum already behind them: its own filter pipeline
// allocates every chunk anew, which costs twice the processor time of all else here together.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "datasets/recording_dataset.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/sha256.hpp"

namespace datasets {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{512} << 10;

// The checksum of HDF5's filter fletcher32 (H5_checksum_fletcher32) over an even number of bytes: Fletcher's
// sums over big-endian 16-bit words, modulo 65535 with 65535 in the place of a 0 that is not empty. Words go
// to eight columns, which a compiler adds as vectors; with c columns, word j of a column has c times the
// weight that it has there, less j.
std::uint32_t fletcher32(std::span<const std::byte> bytes) {
    constexpr std::size_t columns = 8;
    constexpr std::size_t steps_without_overflow = 360;
    using Words = std::uint16_t __attribute__((vector_size(2 * columns)));
    using Sums = std::uint32_t __attribute__((vector_size(4 * columns)));
    const auto remainder = [](std::uint64_t sum) { return sum == 0 ? 0 : (sum - 1) % 65535 + 1; };
    std::uint64_t sum = 0;
    std::uint64_t sum_of_sums = 0;
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(bytes.size(), steps_without_overflow * sizeof(Words)));
        const std::size_t count = piece.size() / 2;
        std::size_t begin = piece.size() % sizeof(Words);  // the first step is filled up in front, with zeros
        Sums column{};
        Sums column_of_sums{};
        const auto step = [&](const Words& words) {
            column += __builtin_convertvector((words << 8) | (words >> 8), Sums);
            column_of_sums += column;
        };
        Words words{};
        std::memcpy(reinterpret_cast<std::byte*>(&words) + (sizeof words - begin), piece.data(), begin);
        step(words);
        for (; begin < piece.size(); begin += sizeof words) {
            std::memcpy(&words, piece.data() + begin, sizeof words);
            step(words);
        }
        sum_of_sums += sum * count;
        for (std::size_t c = 0; c < columns; ++c) {
            sum += column[c];
            sum_of_sums += columns * std::uint64_t{column_of_sums[c]} - c * column[c];
        }
        sum = remainder(sum);
        sum_of_sums = remainder(sum_of_sums);
        bytes = bytes.subspan(piece.size());
    }
    return static_cast<std::uint32_t>(sum_of_sums << 16U | sum);
}

// Chunks of whole rows, about 512 KiB each.
std::vector<hsize_t> chunk_dims(const std::vector<std::int64_t>& dims, std::size_t element_bytes) {
    std::vector<hsize_t> chunk(dims.begin(), dims.end());
    const hsize_t row_bytes = (dims.size() == 2 ? chunk[1] : 1) * element_bytes;
    chunk[0] = std::clamp<hsize_t>(chunk_bytes / row_bytes, 1, chunk[0]);
    return chunk;
}

// No time stamps, so that equal content gives equal bytes.
Handle creation_properties(const std::vector<hsize_t>& chunk) {
    Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "prepare to create it");
    require(H5Pset_chunk(properties.get(), static_cast<int>(chunk.size()), chunk.data()),
            "prepare to create it");
    require(H5Pset_fletcher32(properties.get()), "prepare to create it");
    require(H5Pset_obj_track_times(properties.get(), false), "prepare to create it");
    return properties;
}

// Every chunk goes to the disk when it is written, so that a full disk shows there. The last one is filled up
// with zeros, as HDF5 does it.
void write_chunks(hid_t dataset, const std::vector<hsize_t>& chunk, std::span<const std::byte> bytes,
                  std::size_t row_bytes) {
    std::vector<std::byte> buffer(chunk[0] * row_bytes + sizeof(std::uint32_t));
    const auto values = std::span(buffer).first(chunk[0] * row_bytes);
    std::array<hsize_t, 2> offset{0, 0};
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(bytes.size(), values.size()));
        std::ranges::copy(piece, values.begin());
        std::ranges::fill(values.subspan(piece.size()), std::byte{0});
        const std::uint32_t checksum = fletcher32(values);
        std::memcpy(buffer.data() + values.size(), &checksum, sizeof checksum);
        require(H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, offset.data(), buffer.size(), buffer.data()),
                "write its values");
        offset[0] += chunk[0];
        bytes = bytes.subspan(piece.size());
    }
}

// The length that the shape leaves open.
std::int64_t open_length(const DatasetSpec& spec, const RecordingShape& shape, std::size_t elements) {
    const auto count = static_cast<std::int64_t>(elements);
    return spec.extent == Extent::mel_frame ? count / std::max<std::int64_t>(shape.mels, 1) : count;
}

// Whether all values stay finite in the file: the largest magnitude, as bits, tells.
bool stays_finite(std::span<const float> values, DType dtype) {
    constexpr std::int32_t infinity = 0x7F800000;
    constexpr std::int32_t rounds_to_infinity = 0x7F7F8000;  // half-way above the largest bf16
    std::int32_t largest = 0;
    for (const float value : values) {
        largest = std::max(largest, std::bit_cast<std::int32_t>(value) & 0x7FFFFFFF);
    }
    return largest < (dtype == DType::bf16 ? rounds_to_infinity : infinity);
}

DType dtype_of(const DatasetSpec& spec, DType store) {
    return is_always_f32(spec.extent) ? DType::f32 : store;
}

}  // namespace

std::string tensor_objection(const DatasetSpec& spec, const RecordingShape& shape, DType store,
                             const std::vector<float>* values) {
    if (values == nullptr) {
        return spec.presence == Presence::required
                   ? fmt::format("a layer without {} cannot be recorded", spec.role)
                   : "";
    }
    const auto open = open_length(spec, shape, values->size());
    if (const auto objection = length_objection(spec.extent, shape, open); !objection.empty()) {
        return fmt::format("{} {}", spec.role, objection);
    }
    std::size_t elements = 1;
    for (const auto dim : dimensions(spec.extent, shape, open)) {
        elements *= static_cast<std::size_t>(dim);
    }
    if (values->size() != elements) {
        return fmt::format("{} has {} elements instead of {}", spec.role, values->size(), elements);
    }
    const auto dtype = dtype_of(spec, store);
    return stays_finite(*values, dtype)
               ? ""
               : fmt::format("{} holds NaN or a value beyond {}", spec.role, dtype_label(dtype));
}

StoredBits::StoredBits(const DatasetSpec& spec, DType store, std::span<const float> values)
    : dtype_(dtype_of(spec, store)), bytes_(std::as_bytes(values)) {
    if (dtype_ == DType::bf16) {
        rounded_.resize(values.size());
        std::ranges::transform(values, rounded_.begin(),
                               [](float value) { return to_bf16(value, Rounding::nearest_even); });
        bytes_ = std::as_bytes(std::span(rounded_));
    }
    sha256_ = sha256_hex(bytes_);
}

void write_values(hid_t group, const DatasetSpec& spec, const RecordingShape& shape, const StoredBits& bits) {
    const std::size_t element_bytes = bits.dtype() == DType::bf16 ? sizeof(bf16) : sizeof(float);
    const auto dims =
        dimensions(spec.extent, shape, open_length(spec, shape, bits.bytes().size() / element_bytes));
    const std::vector<hsize_t> extent(dims.begin(), dims.end());
    const Handle space(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose,
                       "prepare to create it");
    const auto chunk = chunk_dims(dims, element_bytes);
    const std::string name(spec.name);
    Handle dataset(H5Dcreate2(group, name.c_str(), stored_type(bits.dtype()).get(), space.get(), H5P_DEFAULT,
                              creation_properties(chunk).get(), H5P_DEFAULT),
                   H5Dclose, "create it");
    write_chunks(dataset.get(), chunk, bits.bytes(), bits.bytes().size() / extent[0]);
    write_text(dataset.get(), "dims", dims_label(spec.extent));
    write_text(dataset.get(), "dtype_logical", dtype_label(bits.dtype()));
    write_text(dataset.get(), "rounding", bits.dtype() == DType::bf16 ? "rne" : "none");
    write_text(dataset.get(), "sha256", bits.sha256());
    write_text(dataset.get(), "tensor_role", spec.role);
    if (!spec.scale.empty()) {
        write_text(dataset.get(), "scale_applied", spec.scale);
    }
    if (is_matrix(spec.extent)) {
        write_text(dataset.get(), "layout", dims_label(spec.extent));
    }
    dataset.close("write its last blocks");
}

}  // namespace datasets
