// Layer normalisation, vectorised for the CPU at hand (Highway, chosen at run time).
#pragma once

#include "datasets/layer_case.hpp"
#include "reference/blas.hpp"

namespace reference {

// result[i, :] = (x - mean) / sqrt(biased variance + 1e-5) * gain + bias over each row of x [rows, width], in
// fp64 by two passes, rounded once to fp32; on this thread. In place is allowed. A row is summed in the lanes
// of the vector and those are combined in a fixed order: same bits on one machine. Throws
// std::invalid_argument where a size does not fit.
void layer_norm(const datasets::Norm& norm, ConstMatrix<float> x, Matrix<float> result);

}  // namespace reference
