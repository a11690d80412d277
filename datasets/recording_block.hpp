// One block of tensors as a small HDF5 file, for looking at it elsewhere: what went in, what came out, what
// should have.
//
// Layout: root attribute schema = "npu-attention-block", the given attributes, and one dataset
// [row, column] per tensor, f32 or f64. Any h5py reads it: h5py.File(name)["got"][:].
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace datasets {

// A dense matrix, kept as it is written: in f64, or, where `single` is set, in f32.
struct BlockTensor {
    std::string name;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::vector<double> values;
    bool single = true;
};

struct Block {
    std::map<std::string, std::string> texts;
    std::map<std::string, std::int64_t> numbers;
    std::vector<BlockTensor> tensors;
};

// Writes a temporary beside `file`, then renames it. Throws std::runtime_error that names the file, and
// std::invalid_argument for a tensor whose size is not rows x columns.
void write_block(const std::string& file, const Block& block);

// Throws ReadError for a file that is none of these.
Block read_block(const std::string& file);

}  // namespace datasets
