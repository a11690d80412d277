// One dataset of a candidate: proof that it is what the schema says, and slabs of its values.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "datasets/op.hpp"
#include "datasets/path.hpp"
#include "datasets/recording_hdf5.hpp"

namespace datasets {

// A dataset whose structure was verified. `as_integers`: bf16 in uint16.
struct DumpedDataset {
    std::string object;  // absolute path in the file
    Op op{};
    std::vector<std::int64_t> dims;
    DType dtype = DType::f32;
    bool as_integers = false;
    bool deflated = false;
};

// Verifies layout, filters, type, dimensions and sizes; reads no values. Throws Refusal.
DumpedDataset verify_dumped(hid_t file, const std::string& object, Op op, const LayerShape& shape);

// Reads slabs of one dataset and keeps the chunks that the next slab may lie in. Refers to `dumped`.
class DumpedReader {
public:
    // Throws Refusal.
    DumpedReader(hid_t file, const DumpedDataset& dumped);

    // See Candidate::read. Throws Refusal.
    void read(Rows rows, std::span<float> out) const;

private:
    const DumpedDataset& dumped_;
    Handle dataset_;
};

}  // namespace datasets
