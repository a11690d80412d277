#include "harness/error_terms.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/error_passes.hpp"
#include "harness/index.hpp"
#include "harness/rounding_error.hpp"

namespace harness {
namespace {

using reference::ConstMatrix;
using reference::Matrix;
using reference::Transpose;

ConstMatrix<float> slice_of(ConstMatrix<float> matrix, std::int64_t begin, std::int64_t count) {
    return matrix.data == nullptr ? matrix : matrix.slice(begin, count);
}

ConstMatrix<float> block_of(ConstMatrix<float> matrix, std::int64_t begin, std::int64_t count) {
    return matrix.data == nullptr ? matrix : matrix.block(begin, count);
}

std::int64_t columns_of(ConstMatrix<float> right, Transpose transpose) {
    return transpose == Transpose::yes ? right.rows : right.columns;
}

// Adds scale left right to `into`.
void add(float scale, ConstMatrix<float> left, ConstMatrix<float> right, Transpose transpose,
         std::vector<float>& into) {
    reference::gemm(Transpose::no, transpose, scale, left, right, 1.0F,
                    reference::dense(into.data(), left.rows, columns_of(right, transpose)));
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

// Whether sums are rounded on their way between k tiles.
bool sums_leave(const datasets::Arithmetic& arithmetic) {
    return arithmetic.tile_sum != datasets::TileSum::on_core && arithmetic.tile_store != datasets::DType::f32;
}

void for_each_k_tile(const datasets::Arithmetic& arithmetic, ConstMatrix<float> left,
                     ConstMatrix<float> right, Transpose transpose, const auto& step) {
    for (std::int64_t begin = 0; begin < left.columns; begin += arithmetic.k_tile) {
        const std::int64_t count = std::min<std::int64_t>(arithmetic.k_tile, left.columns - begin);
        step(left.slice(begin, count),
             transpose == Transpose::yes ? right.slice(begin, count) : right.block(begin, count));
    }
}

// [columns, rows], dense.
std::vector<float> transposed(ConstMatrix<float> matrix) {
    std::vector<float> out(index(matrix.rows * matrix.columns));
    for (std::int64_t row = 0; row < matrix.rows; ++row) {
        const auto values = matrix.row(row);
        for (std::size_t c = 0; c < values.size(); ++c) {
            out[c * index(matrix.rows) + index(row)] = values[c];
        }
    }
    return out;
}

// Sums that are stored as bf16 after every k tile and go on from there. A tile that changes a sum by less
// than the spacing of bf16 moves it by a whole spacing or not at all, and what lies below the accumulator's
// own resolution does not even count as a change: on a peaked row, whose other tiles weigh next to nothing,
// that is all of the error. It is known beforehand, so these sums are run as the core runs them, on golden
// factors. Larger changes round by chance.
class RunningSums {
public:
    // `start`: of each column, or empty.
    RunningSums(const datasets::Arithmetic& arithmetic, std::span<const float> start, std::size_t elements)
        : arithmetic_(arithmetic), exact_(elements, 0.0F), mean_(elements, 0.0F) {
        for (std::size_t i = 0; i < elements && !start.empty(); ++i) {
            exact_[i] = start[i % start.size()];
        }
        stored_ = exact_;
        std::ranges::for_each(stored_, [](float& value) { value = nearest(value); });
    }

    void add(ConstMatrix<float> left, ConstMatrix<float> right, Transpose transpose, float scale,
             Moments& into) {
        const std::vector<float> before = exact_;
        harness::add(scale, left, right, transpose, exact_);
        run(left, right, transpose, scale);
        for (std::size_t i = 0; i < sum_.size(); ++i) {
            const RoundingError chance =
                store_error(sum_[i], arithmetic_.tile_store, arithmetic_.tile_rounding);
            const bool known = std::abs(sum_[i] - stored_[i]) < bf16_spacing(sum_[i]);
            float error = chance.mean;
            if (known) {
                const float next = datasets::round_to_bf16(sum_[i], arithmetic_.tile_rounding);
                error = (next - stored_[i]) - (exact_[i] - before[i]);
                stored_[i] = next;
            } else {
                into.variance[i] += chance.variance;
            }
            mean_[i] += error;
            if (!known) {
                stored_[i] = nearest(exact_[i] + mean_[i]);
            }
            if (!into.mean.empty()) {
                into.mean[i] += error;
            }
        }
    }

private:
    static float nearest(float value) {
        return datasets::round_to_bf16(value, datasets::Rounding::nearest_even);
    }

    // sum_ = stored_ + scale left right.
    void run(ConstMatrix<float> left, ConstMatrix<float> right, Transpose transpose, float scale) {
        sum_ = stored_;
        std::vector<float> scaled(index(left.rows * left.columns));
        for (std::int64_t row = 0; row < left.rows; ++row) {
            std::ranges::transform(left.row(row), scaled.begin() + row * left.columns,
                                   [&](float value) { return scale * value; });
        }
        const std::vector<float> turned =
            transpose == Transpose::yes ? transposed(right) : std::vector<float>();
        add_terms(reference::dense(std::as_const(scaled).data(), left.rows, left.columns),
                  turned.empty() ? right : reference::dense(turned.data(), right.columns, right.rows), sum_);
    }

    const datasets::Arithmetic& arithmetic_;
    std::vector<float> exact_;   // golden partial sums
    std::vector<float> mean_;    // of what is stored, less the golden partial sum
    std::vector<float> stored_;  // a bf16 number that the store may hold
    std::vector<float> sum_;     // the same, and the next tile
};

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
    const bool leaves = sums_leave(arithmetic);
    const bool running = arithmetic.tile_sum == datasets::TileSum::rounded;
    if (leaves && running) {
        RunningSums sums(arithmetic, start, values.size());
        for_each_k_tile(arithmetic, left, right, transpose,
                        [&](ConstMatrix<float> left_tile, ConstMatrix<float> right_tile) {
                            sums.add(left_tile, right_tile, transpose, scale, into);
                        });
    } else if (leaves) {
        std::vector<float> sum(values.size());
        for_each_k_tile(arithmetic, left, right, transpose,
                        [&](ConstMatrix<float> left_tile, ConstMatrix<float> right_tile) {
                            reference::gemm(
                                Transpose::no, transpose, scale, left_tile, right_tile, 0.0F,
                                reference::dense(sum.data(), left.rows, columns_of(right, transpose)));
                            add_store(sum, arithmetic.tile_store, arithmetic.tile_rounding, into);
                        });
    }
    if (!leaves || !running || arithmetic.store != arithmetic.tile_store) {
        add_store(values, arithmetic.store, arithmetic.store_rounding, into);
    }
}

}  // namespace harness
