// The tile under diagnosis, what a hypothesis predicts for it, and how well that agrees with what came.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "harness/diagnosis.hpp"
#include "harness/judge.hpp"

namespace harness {

// Up to 64 x 64 elements of a block, dense.
struct ErrorTile {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t first_column = 0;  // within the block
    std::vector<double> got;
    std::vector<double> expected;  // fp64
    std::vector<double> right;     // expected, rounded as the store declares
    std::vector<double> bound;

    [[nodiscard]] std::size_t at(std::int64_t row, std::int64_t column) const {
        return static_cast<std::size_t>(row * columns + column);
    }
};

// Whether an element is outside its bound.
bool outside(const ErrorTile& tile, std::size_t i);

// The tile with columns from `first_column`, a multiple of 64.
ErrorTile error_tile(const JudgedBlock& block, std::int64_t first_column);

// What a block was computed from: rows of upstream ops, and how wide they are.
struct OperandRows {
    datasets::Op op{};
    datasets::Rows rows;
    std::int64_t columns = 0;
};

std::vector<OperandRows> operand_rows(const JudgedBlock& block, const datasets::LayerShape& shape);

// What would have been stored, element by element; NaN where the hypothesis says nothing.
struct Prediction {
    Pattern pattern{};
    std::string text;
    std::vector<double> values;
    std::int64_t parameters = 0;  // fitted to what came
};

// The share of the error's energy that a prediction explains (diagnosis.hpp); 0 where there is no error, or
// where the prediction says nothing of more than half of the tile.
double explained(const ErrorTile& tile, const Prediction& prediction);

// Keeps the best prediction of each pattern.
class Hypotheses {
public:
    explicit Hypotheses(const ErrorTile& tile) : tile_(tile) {}

    void add(const Prediction& prediction);

    // The pattern to name and what it explains; unknown, with the largest share, where none explains enough.
    [[nodiscard]] Diagnosis best() const;

private:
    struct Tried {
        Pattern pattern{};
        std::string text;
        double explained = 0;
        bool believed = false;  // what it leaves is rounding, or nothing of it was fitted
    };

    const ErrorTile& tile_;
    std::vector<Tried> tried_;
};

// As a kernel with this arithmetic would store them.
double stored(const datasets::Arithmetic& arithmetic, double value);
std::vector<double> stored(const datasets::Arithmetic& arithmetic, std::vector<double> values);

// Hypotheses about where results lie (diagnosis_places.cpp).
void suspect_places(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                    const Scene& scene);

// Hypotheses about the order of right results within the tile (diagnosis_order.cpp).
void suspect_order(Hypotheses& hypotheses, const ErrorTile& tile);

// Hypotheses about the formula and the operands of a norm (diagnosis_norm.cpp).
void suspect_norm(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                  const Scene& scene);

// Hypotheses about products and sums: weights, operands, slices of k (diagnosis_products.cpp).
void suspect_products(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                      const Scene& scene);

// Hypotheses about the softmax of probabilities and of fused attention (diagnosis_softmax.cpp).
void suspect_softmax(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                     const Scene& scene);

// Rows of the logits that a softmax reads, [row, key], and their softmax; from scores or, fused, from query
// and key.
struct SoftmaxRows {
    std::int64_t keys = 0;
    std::vector<double> logits;
    std::vector<double> weights;  // e^(logit - largest)
    std::vector<double> sums;     // of the weights, by row
    std::vector<double> largest;  // logit, by row
};

SoftmaxRows softmax_rows(const JudgedBlock& block, const Scene& scene, double logit_factor);

}  // namespace harness
