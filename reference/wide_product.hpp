// Products of the wide reference: each in fp64, its magnitude in fp32 beside it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "datasets/path.hpp"
#include "reference/blas.hpp"
#include "reference/wide.hpp"

namespace reference {

// A matrix in fp64 and its absolute values in fp32.
struct Factor {
    ConstMatrix<double> value;
    ConstMatrix<float> magnitude;

    [[nodiscard]] Factor slice(std::int64_t begin, std::int64_t count) const {
        return {value.slice(begin, count), magnitude.slice(begin, count)};
    }
};

// A dense one, and its memory.
class Operand {
public:
    Operand() = default;
    explicit Operand(std::span<const float> from) { assign(from); }

    // Rows of an op, [rows.count, columns]. Reuses what it has.
    void pull(const datasets::Source& operands, datasets::Op op, datasets::Rows rows, std::int64_t columns) {
        magnitude_.resize(static_cast<std::size_t>(rows.count * columns));
        assign(operands.view(op, rows, magnitude_).values);
    }

    [[nodiscard]] Factor factor(std::int64_t columns) const {
        const std::int64_t rows = static_cast<std::int64_t>(value_.size()) / columns;
        return {dense(value_.data(), rows, columns), dense(magnitude_.data(), rows, columns)};
    }

private:
    // `from` may be the magnitudes themselves.
    void assign(std::span<const float> from) {
        value_.assign(from.begin(), from.end());
        magnitude_.resize(from.size());
        std::ranges::transform(from, magnitude_.begin(), [](float x) { return std::abs(x); });
    }

    std::vector<double> value_;
    std::vector<float> magnitude_;
};

// [columns, rows] of a dense [rows, columns].
std::vector<float> transposed(std::span<const float> matrix, std::int64_t columns);

// Where the results of one call go, dense.
struct Result {
    std::span<double> value;
    std::span<float> magnitude;
    KTiles tiles;

    [[nodiscard]] bool has_magnitude() const { return !magnitude.empty(); }
    [[nodiscard]] bool has_tiles() const { return tiles.width > 0; }
};

// Part of a result.
struct Target {
    Matrix<double> value;
    Matrix<float> magnitude{};
    Matrix<double> tiles{};
};

// Columns from `first` of a dense result that is `columns` wide.
Target target_of(const Result& result, std::int64_t rows, std::int64_t columns, std::int64_t first,
                 std::int64_t count);

// One product of both kinds: value = scale left right, magnitude the same of the absolute values.
struct Product {
    double scale = 1;
    bool begun = false;  // what is in the target stays and is added to

    // left [rows, terms], right [terms, columns].
    void run(const Factor& left, const Factor& right, const Target& into, const KTiles& tiles) const;

private:
    void sum_tiles(ConstMatrix<double> left, ConstMatrix<double> right, const Target& into,
                   const KTiles& tiles) const;
};

}  // namespace reference
