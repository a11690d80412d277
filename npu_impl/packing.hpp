// Between the floats of the host and the padded bf16 or fp32 matrices in mapped buffers. The only arithmetic
// is the conversion, rounded as the design declares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "datasets/arithmetic.hpp"

namespace npu_impl {

// A matrix in mapped memory: dtype, and bytes from one row to the next.
struct HostMatrix {
    std::byte* data = nullptr;
    datasets::DType type = datasets::DType::f32;
    std::int64_t stride = 0;

    // Element (row, column) onwards.
    [[nodiscard]] HostMatrix at(std::int64_t row, std::int64_t column) const;
};

// Rows and columns of a matrix and of the part of it that holds values; the rest is padding.
struct PackShape {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t padded_rows = 0;
    std::int64_t padded_columns = 0;
};

// Writes dense `values` [rows, columns] rounded to the matrix's type, and zeros into the padding.
void pack(std::span<const float> values, const PackShape& shape, datasets::Rounding rounding,
          const HostMatrix& into);

// Reads [rows, columns] into dense floats. Exact.
void unpack(const HostMatrix& from, std::int64_t rows, std::int64_t columns, std::span<float> values);

}  // namespace npu_impl
