#include "datasets/recording_chunks.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "datasets/recording_hdf5.hpp"
#include "datasets/recording_schema.hpp"

namespace datasets {
namespace {

constexpr std::int64_t fletcher32_bytes = 4;

}  // namespace

std::int64_t bytes_of(DType dtype) {
    return dtype == DType::bf16 ? 2 : 4;
}

Chunking chunking_of(hid_t properties, std::span<const std::int64_t> dims, DType dtype) {
    std::array<hsize_t, H5S_MAX_RANK> chunk{};
    require(H5Pget_chunk(properties, H5S_MAX_RANK, chunk.data()), "read its chunk size");
    Chunking chunking{bytes_of(dtype), 1};
    for (std::size_t i = 0; i < dims.size(); ++i) {
        if (chunk[i] == 0 || chunk[i] > static_cast<hsize_t>(chunk_bytes_limit)) {
            throw Refusal(fmt::format("has chunks of {} elements along dimension {}", chunk[i], i));
        }
        const auto length = static_cast<std::int64_t>(chunk[i]);
        // Neither product comes near overflow: what is larger is refused at once.
        chunking.bytes *= length;
        chunking.count *= (dims[i] + length - 1) / length;
        if (chunking.bytes > chunk_bytes_limit) {
            throw Refusal(
                fmt::format("has chunks of more than {} bytes; store smaller ones", chunk_bytes_limit));
        }
    }
    return chunking;
}

void verify_chunk_list(hid_t dataset, hid_t space, const Chunking& chunking, ChunkFilters filters) {
    if (chunking.count > chunks_limit) {
        throw Refusal(fmt::format("has {} chunks; at most {} are read: store larger ones", chunking.count,
                                  chunks_limit));
    }
    const std::int64_t stored = chunking.bytes + (filters.fletcher32 ? fletcher32_bytes : 0);
    for (std::int64_t i = 0; i < chunking.count; ++i) {
        std::array<hsize_t, H5S_MAX_RANK> offset{};
        unsigned skipped_filters = 0;
        haddr_t address = 0;
        hsize_t size = 0;
        require(H5Dget_chunk_info(dataset, space, static_cast<hsize_t>(i), offset.data(), &skipped_filters,
                                  &address, &size),
                "look at its chunks");
        if (skipped_filters != 0) {
            throw Refusal(fmt::format("chunk {} was written without its filters", i));
        }
        if (!filters.deflate && std::cmp_not_equal(size, stored)) {
            throw Refusal(fmt::format("chunk {} has {} bytes in the file instead of {}", i, size, stored));
        }
    }
}

}  // namespace datasets
