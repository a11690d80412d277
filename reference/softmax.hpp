// The pieces of a row softmax, vectorised for the CPU at hand (Highway, chosen at run time).
//
// Same bits on one machine whatever the row stride or the thread: a row is summed in the lanes of the vector
// and those are combined in a fixed order. Machines with other vector widths may differ in the last bits of
// the sum.
#pragma once

#include "reference/blas.hpp"

namespace reference {

// scores [rows, columns] -> exp(score - row maximum), in place. row_max and row_sum take one entry per row:
// the maximum and the fp32 sum of the exponentials. Each exponential exp(x) errs by at most 2^-22 + |x| 2^-23
// of itself; differences below about -87.3, whose exponential is not a normal float, give 0, so that no later
// product meets a denormal. At least one column. A row with a NaN or +infinity yields NaN sums.
void exponentials(Matrix<float> scores, std::span<float> row_max, std::span<float> row_sum);

// values[i, :] /= divisor[i], correctly rounded.
void divide_rows(Matrix<float> values, std::span<const float> divisor);

// scores -> probabilities in fp64: value[j] = exp(score[j] - max) / sum. The exponential errs by a few 2^-53.
// distance (may be empty) takes max - score[j], rounded to fp32.
void wide_softmax_row(std::span<const float> scores, std::span<double> value, std::span<float> distance);

}  // namespace reference
