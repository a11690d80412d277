// One dataset of a recording: proof that it is what the schema says, its verified values, and how it is
// written.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/bf16.hpp"
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
                               const RecordingShape& shape);

// Reads the values and verifies SHA-256 and finiteness. bf16 widens to float exactly. Throws Refusal.
std::vector<float> read_values(hid_t file, const StoredDataset& stored);

// SHA-256 over the lines "<name> <sha256>\n" of datasets by name: the identity of content.
std::string content_hash(const std::map<std::string, std::string>& hashes);

// "" where the writer may store `values` (null: not given) as this dataset, else why not: it is required, has
// another number of elements, or the reader would meet NaN or an infinity.
std::string tensor_objection(const DatasetSpec& spec, const RecordingShape& shape, DType store,
                             const std::vector<float>* values);

// What is stored of values, themselves or their bf16 by rounding to nearest even, and its SHA-256. Refers to
// the values that it was made of.
class StoredBits {
public:
    StoredBits() = default;
    StoredBits(const DatasetSpec& spec, DType store, std::span<const float> values);
    StoredBits(StoredBits&&) = default;
    StoredBits& operator=(StoredBits&&) = default;

    [[nodiscard]] DType dtype() const { return dtype_; }
    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
    [[nodiscard]] const std::string& sha256() const { return sha256_; }

private:
    DType dtype_ = DType::f32;
    std::vector<bf16> rounded_;
    std::span<const std::byte> bytes_;
    std::string sha256_;
};

// Writes a dataset whose values pass `tensor_objection` into an open group, with its checksums and labels.
// Throws Refusal.
void write_values(hid_t group, const DatasetSpec& spec, const RecordingShape& shape, const StoredBits& bits);

}  // namespace datasets
