#include "harness/error_terms.hpp"

#include <algorithm>
#include <utility>

#include "harness/error_passes.hpp"
#include "harness/rounding_error.hpp"

namespace harness {
namespace {

using reference::ConstMatrix;
using reference::Matrix;
using reference::Transpose;

std::size_t index(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

ConstMatrix<float> slice_of(ConstMatrix<float> matrix, std::int64_t begin, std::int64_t count) {
    return matrix.data == nullptr ? matrix : matrix.slice(begin, count);
}

ConstMatrix<float> block_of(ConstMatrix<float> matrix, std::int64_t begin, std::int64_t count) {
    return matrix.data == nullptr ? matrix : matrix.block(begin, count);
}

// Adds scale left right to `into`.
void add(float scale, ConstMatrix<float> left, ConstMatrix<float> right, Transpose transpose,
         std::vector<float>& into) {
    const std::int64_t columns = transpose == Transpose::yes ? right.rows : right.columns;
    reference::gemm(Transpose::no, transpose, scale, left, right, 1.0F,
                    reference::dense(into.data(), left.rows, columns));
}

// The mean of a directed rounding; to nearest has none.
void add_means(std::span<const float> values, datasets::Rounding rounding, Moments& into,
               const auto& error_of) {
    if (into.mean.empty() || rounding == datasets::Rounding::nearest_even) {
        return;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        into.mean[i] += error_of(values[i]).mean;
    }
}

// What the sum has lost already, its mean error so far, decides the spacing that it is stored with.
void add_running_store(std::span<const float> sums, std::span<const float> before,
                       const datasets::Arithmetic& arithmetic, Moments& into) {
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const float sum = sums[i] + (into.mean.empty() ? 0.0F : into.mean[i]);
        const RoundingError error =
            running_store_error(sum, sums[i] - before[i], arithmetic.tile_store, arithmetic.tile_rounding);
        into.variance[i] += error.variance;
        if (!into.mean.empty()) {
            into.mean[i] += error.mean;
        }
    }
}

// Whether sums are rounded on their way between k tiles.
bool sums_leave(const datasets::Arithmetic& arithmetic) {
    return arithmetic.tile_sum != datasets::TileSum::on_core && arithmetic.tile_store != datasets::DType::f32;
}

}  // namespace

Factor Factor::slice(std::int64_t begin, std::int64_t count) const {
    return {slice_of(value, begin, count), slice_of(square, begin, count), slice_of(variance, begin, count),
            slice_of(mean, begin, count)};
}

Factor Factor::block(std::int64_t begin, std::int64_t count) const {
    return {block_of(value, begin, count), block_of(square, begin, count), block_of(variance, begin, count),
            block_of(mean, begin, count)};
}

Erring::Erring(std::int64_t row_count, std::int64_t column_count, bool biased)
    : rows(row_count),
      columns(column_count),
      value(index(rows * columns)),
      square(value.size()),
      moments{std::vector<float>(value.size()), std::vector<float>(biased ? value.size() : 0)} {}

Factor Erring::factor() const {
    const auto view = [this](const std::vector<float>& data) {
        return data.empty() ? ConstMatrix<float>{} : reference::dense(data.data(), rows, columns);
    };
    return {view(value), view(square), view(moments.variance), view(moments.mean)};
}

void Erring::square_values() {
    for (std::size_t i = 0; i < value.size(); ++i) {
        square[i] = value[i] * value[i];
    }
}

void Erring::round(const datasets::Arithmetic& consumer, bool spread) {
    if (spread) {
        add_store(value, consumer.operand, consumer.operand_rounding, moments);
    } else {
        add_operand(value, consumer.operand, consumer.operand_rounding, moments);
    }
}

float sum_variance(double terms) {
    return static_cast<float>(terms * 0x1p-48);
}

void add_store(std::span<const float> values, datasets::DType type, datasets::Rounding rounding,
               Moments& into) {
    if (type == datasets::DType::bf16) {
        add_bf16_variance(values, Rounded::erring, into.variance);
        add_means(values, rounding, into, [&](float value) { return store_error(value, type, rounding); });
    }
}

void add_operand(std::span<const float> values, datasets::DType type, datasets::Rounding rounding,
                 Moments& into) {
    if (type == datasets::DType::bf16) {
        add_bf16_variance(values, Rounded::known, into.variance);
        add_means(values, rounding, into, [&](float value) { return operand_error(value, type, rounding); });
    }
}

void add_product(const Factor& left, const Factor& right, Transpose transpose, float scale, Moments& into) {
    const std::int64_t rows = left.value.rows;
    const std::int64_t depth = left.value.columns;
    const float sums = sum_variance(double(depth));
    std::vector<float> spread(index(rows * depth));
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto variance = left.variance.row(row);
        const auto square = left.square.row(row);
        for (std::size_t k = 0; k < variance.size(); ++k) {
            spread[index(row * depth) + k] = variance[k] + sums * square[k];
        }
    }
    add(scale * scale, reference::dense(std::as_const(spread).data(), rows, depth), right.square, transpose,
        into.variance);
    add(scale * scale, left.square, right.variance, transpose, into.variance);
    if (left.mean.data != nullptr) {
        add(scale, left.mean, right.value, transpose, into.mean);
    }
    if (right.mean.data != nullptr) {
        add(scale, left.value, right.mean, transpose, into.mean);
    }
}

bool product_stores_err(const datasets::Arithmetic& arithmetic) {
    return sums_leave(arithmetic) || arithmetic.store != datasets::DType::f32;
}

void add_product_stores(const datasets::Arithmetic& arithmetic, ConstMatrix<float> left,
                        ConstMatrix<float> right, Transpose transpose, float scale,
                        std::span<const float> start, std::span<const float> values, Moments& into) {
    using datasets::TileSum;
    const bool leaves = sums_leave(arithmetic);
    const bool running = arithmetic.tile_sum == TileSum::rounded;
    const std::int64_t depth = left.columns;
    std::vector<float> sum(leaves ? values.size() : 0, 0.0F);
    for (std::size_t i = 0; running && !start.empty() && i < sum.size(); ++i) {
        sum[i] = start[i % start.size()];
    }
    std::vector<float> before = sum;
    for (std::int64_t begin = 0; leaves && begin < depth; begin += arithmetic.k_tile) {
        const std::int64_t count = std::min<std::int64_t>(arithmetic.k_tile, depth - begin);
        const auto part = transpose == Transpose::yes ? right.slice(begin, count) : right.block(begin, count);
        const std::int64_t columns = transpose == Transpose::yes ? right.rows : right.columns;
        reference::gemm(Transpose::no, transpose, scale, left.slice(begin, count), part,
                        running ? 1.0F : 0.0F, reference::dense(sum.data(), left.rows, columns));
        if (!running) {
            add_store(sum, arithmetic.tile_store, arithmetic.tile_rounding, into);
            continue;
        }
        add_running_store(sum, before, arithmetic, into);
        before = sum;
    }
    if (!leaves || !running || arithmetic.store != arithmetic.tile_store) {
        add_store(values, arithmetic.store, arithmetic.store_rounding, into);
    }
}

}  // namespace harness
