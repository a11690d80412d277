// The chunks of a dataset: how large they are, and whether each is in the file as it must be. HDF5 would fill
// in what is missing, and read beyond the end of a chunk that is too short.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <span>

#include "datasets/arithmetic.hpp"

namespace datasets {

std::int64_t bytes_of(DType dtype);

// Bytes of one chunk in memory, and how many chunks the dataset must have.
struct Chunking {
    std::int64_t bytes = 0;
    std::int64_t count = 0;
};

// Of a chunked dataset. Throws Refusal for chunks larger than chunk_bytes_limit.
Chunking chunking_of(hid_t properties, std::span<const std::int64_t> dims, DType dtype);

// What chunks were filtered by.
struct ChunkFilters {
    bool fletcher32 = false;
    bool deflate = false;
};

// Looks at every chunk. Throws Refusal where one was written without its filters, or, undeflated, has another
// size than its values and checksum take, and for more chunks than chunks_limit.
void verify_chunk_list(hid_t dataset, hid_t space, const Chunking& chunking, ChunkFilters filters);

}  // namespace datasets
