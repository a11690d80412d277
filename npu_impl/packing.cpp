#include "npu_impl/packing.hpp"

#include <algorithm>
#include <cstring>

#include "datasets/bf16.hpp"
#include "npu_impl/design.hpp"

namespace npu_impl {
namespace {

using datasets::Rounding;

template <Rounding rounding>
void round_row(const float* values, std::int64_t count, std::uint16_t* into) {
    for (std::int64_t i = 0; i < count; ++i) {
        into[i] = datasets::to_bf16(values[i], rounding).bits;
    }
}

void round_row(const float* values, std::int64_t count, Rounding rounding, std::uint16_t* into) {
    switch (rounding) {
        case Rounding::nearest_even:
            return round_row<Rounding::nearest_even>(values, count, into);
        case Rounding::toward_zero:
            return round_row<Rounding::toward_zero>(values, count, into);
        case Rounding::floor:
            return round_row<Rounding::floor>(values, count, into);
    }
}

}  // namespace

HostMatrix HostMatrix::at(std::int64_t row, std::int64_t column) const {
    return {data + row * stride + column * bytes_of(type), type, stride};
}

void pack(std::span<const float> values, const PackShape& shape, Rounding rounding, const HostMatrix& into) {
    const std::int64_t size = bytes_of(into.type);
    for (std::int64_t row = 0; row < shape.padded_rows; ++row) {
        std::byte* out = into.data + row * into.stride;
        const std::int64_t columns = row < shape.rows ? shape.columns : 0;
        if (columns > 0) {
            const float* in = values.subspan(static_cast<std::size_t>(row * columns)).data();
            if (into.type == datasets::DType::f32) {
                std::memcpy(out, in, static_cast<std::size_t>(columns * size));
            } else {
                round_row(in, columns, rounding, reinterpret_cast<std::uint16_t*>(out));
            }
        }
        std::fill(out + columns * size, out + shape.padded_columns * size, std::byte{0});
    }
}

void unpack(const HostMatrix& from, std::int64_t rows, std::int64_t columns, std::span<float> values) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const std::byte* in = from.data + row * from.stride;
        float* out = values.subspan(static_cast<std::size_t>(row * columns)).data();
        if (from.type == datasets::DType::f32) {
            std::memcpy(out, in, static_cast<std::size_t>(columns) * sizeof(float));
            continue;
        }
        const auto* bits = reinterpret_cast<const std::uint16_t*>(in);
        for (std::int64_t column = 0; column < columns; ++column) {
            out[column] = datasets::to_float({bits[column]});
        }
    }
}

}  // namespace npu_impl
