// What the error model is made of: tensors that err, and how products and softmax pass errors on. All in fp32
// and in blocks of rows; a variance is the square of a standard deviation in the units of the value.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "datasets/path.hpp"
#include "reference/blas.hpp"

namespace harness {

// One factor of a product. `variance` and `mean` are those of its error; a mean without data is zero.
struct Factor {
    reference::ConstMatrix<float> value;
    reference::ConstMatrix<float> square;
    reference::ConstMatrix<float> variance;
    reference::ConstMatrix<float> mean;

    [[nodiscard]] Factor slice(std::int64_t begin, std::int64_t count) const;
    [[nodiscard]] Factor block(std::int64_t begin, std::int64_t count) const;
};

// Errors of a result, [rows, columns] dense. An empty mean is zero.
struct Moments {
    std::vector<float> variance;
    std::vector<float> mean;
};

// Owns a factor, dense.
struct Erring {
    // `biased`: whether means are kept.
    Erring(std::int64_t rows, std::int64_t columns, bool biased);

    [[nodiscard]] Factor factor() const;
    void square_values();
    // Adds the rounding as an operand, of what is known exactly or (`spread`) of what errs already.
    void round(const datasets::Arithmetic& consumer, bool spread);

    std::int64_t rows;
    std::int64_t columns;
    std::vector<float> value, square;
    Moments moments;
};

// Variance of fp32 sums of so many terms, relative to the sum of squared terms: one rounding error of 2^-24
// per term, of random sign. It stands for the golden's own sums as well.
float sum_variance(double terms);

// Adds the rounding of values that err already (store_error), or that are known exactly (operand_error).
void add_store(std::span<const float> values, datasets::DType type, datasets::Rounding rounding,
               Moments& into);
void add_operand(std::span<const float> values, datasets::DType type, datasets::Rounding rounding,
                 Moments& into);

// Adds to `into`, dense [left rows, right columns (Transpose::yes: rows)], scale^2 times the variance and
// scale times the mean of the error of left right:
//   variance = (v_left + sum_variance(K) left^2) right^2 + left^2 v_right, mean = m_left right + left m_right
void add_product(const Factor& left, const Factor& right, reference::Transpose transpose, float scale,
                 Moments& into);

// Whether the stores of a product add anything: not where sums are fp32 and stay on the core.
bool product_stores_err(const datasets::Arithmetic& arithmetic);

// Adds the stores of left right, whose golden values are `values`: the op's own, and what it costs that the
// sum leaves the accumulator after every k tile: a store of the running sum (TileSum::rounded; the last is
// the op's own), or of each tile's own product (on_host), which are computed here. `start`: the bias that
// the sum begins with, or empty.
void add_product_stores(const datasets::Arithmetic& arithmetic, reference::ConstMatrix<float> left,
                        reference::ConstMatrix<float> right, reference::Transpose transpose, float scale,
                        std::span<const float> start, std::span<const float> values, Moments& into);

}  // namespace harness
