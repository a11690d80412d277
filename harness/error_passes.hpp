// The passes of the error model over the rows of a block, in vectors (Highway, chosen at run time): a square
// tensor of a layer of Whisper base has 18 million elements, and each meets several of these. Spans of one
// call have one length. Sums are taken in the lanes of a vector, which are combined in a fixed order: the
// same bits on one machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "reference/blas.hpp"

namespace harness {

// Whether what is rounded is known exactly (an operand: nothing happens to what bf16 holds) or errs already.
enum class Rounded : std::uint8_t { known, erring };

// variance[i] += spacing^2 / 12, the spacing of bf16 about value[i] (rounding_error.hpp).
void add_bf16_variance(std::span<const float> value, Rounded rounded, std::span<float> variance);

// Variance of an exponential relative to itself, by its argument x <= 0: function where x is not 0, always
// rest, and argument times the squared spacing of bf16 about x.
struct ExpVariance {
    float function = 0;
    float rest = 0;
    float argument = 0;

    [[nodiscard]] float at(float x) const;
};

// weight[j] = p[j]^2 (weight[j] + variance of exp(score[j] - top)). Returns the sum of p.
float weigh(std::span<const float> score, float top, std::span<const float> p, const ExpVariance& variance,
            std::span<float> weight);

// sums += left right, dense [left rows, right columns], the terms of an element one after the other in fp32:
// what lies below half the spacing of the sum so far is lost, as in an accumulator.
void add_terms(reference::ConstMatrix<float> left, reference::ConstMatrix<float> right,
               std::span<float> sums);

float sum_of(std::span<const float> values);

// Largest of at least one; no NaN.
float largest_of(std::span<const float> values);

// variance[j] = max(weight[j] (1 - 2 p[j]) + p[j]^2 shared, p[j]^2 least): the weights of a row, of which its
// sum is divided out.
void divide_out_sum(std::span<const float> p, std::span<const float> weight, float shared, float least,
                    std::span<float> variance);

// sigma[i] = max(sqrt(variance[i]), least).
void deviations(std::span<const float> variance, float least, std::span<float> sigma);

// What at most 64 elements add to the figures of ZBlock; z = (got - golden - mean) / sigma. Elements that are
// not finite count nothing.
struct ZSums {
    double squares = 0, sum = 0, error_golden = 0, golden = 0, predicted = 0, error = 0, largest = 0;
    std::int64_t elements = 0;
};

ZSums z_sums(std::span<const float> got, std::span<const float> golden, std::span<const float> mean,
             std::span<const float> sigma);

}  // namespace harness
