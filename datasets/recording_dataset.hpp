// One dataset of a recording: proof that it is what the schema says, and its verified values.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/recording_schema.hpp"

namespace datasets {

// A dataset whose structure was verified, but not yet its values.
struct StoredDataset {
    std::string object;  // absolute path in the file
    const DatasetSpec* spec = nullptr;
    std::vector<std::int64_t> dims;
    DType dtype = DType::f32;
    bool deflated = false;
    std::string sha256;
};

// Verifies layout, filters, type, dimensions, sizes and attributes; reads no values. Throws Refusal.
StoredDataset verify_structure(hid_t file, const std::string& object, const DatasetSpec& spec,
                               const LayerShape& shape);

// Reads the values and verifies SHA-256 and finiteness. bf16 widens to float exactly. Throws Refusal.
std::vector<float> read_values(hid_t file, const StoredDataset& stored);

}  // namespace datasets
