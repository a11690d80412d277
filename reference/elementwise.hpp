// What an encoder does to one element at a time, vectorised for the CPU at hand (Highway, chosen at run
// time). An element's result does not depend on where in a tensor it stands.
#pragma once

#include <span>

#include "reference/blas.hpp"

namespace reference {

// x Phi(x) with the exact normal distribution function (PyTorch's default, not its tanh form), in place; on
// this thread. Computed in fp64 and rounded once: before that rounding it errs by at most gelu_error of
// itself wherever it is a normal float; where x is below -16 it is -0.
void gelu(std::span<float> x);

inline constexpr double gelu_error = 0x1p-27;

// result = a + b, correctly rounded; on this thread. In place is allowed. The shapes must be equal.
void add(ConstMatrix<float> a, ConstMatrix<float> b, Matrix<float> result);

// values[i, :] += addend, the same for every row, correctly rounded; on this thread.
void add_to_rows(Matrix<float> values, std::span<const float> addend);

}  // namespace reference
