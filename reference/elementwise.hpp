// What an encoder does to one element at a time, vectorised for the CPU at hand (Highway, chosen at run
// time). An element's result does not depend on where in a tensor it stands.
#pragma once

#include <span>

#include "reference/blas.hpp"

namespace reference {

// x Phi(x) with the exact normal distribution function (PyTorch's default, not its tanh form), in place; on
// this thread. max(x, 0) - |x| Phi(-|x|): the subtrahend is computed in fp64 and rounded, then the
// difference. Wherever the result is a normal float it errs by at most gelu_error of itself before it is
// rounded, 1.3e-7 with that; where x is below -16 it is -0.
void gelu(std::span<float> x);

// Half an ulp of the subtrahend, which is no larger than the result, and 2^-27 of the approximations.
inline constexpr double gelu_error = 0x1p-24 + 0x1p-27;

// result = a + b, correctly rounded; on this thread. In place is allowed. The shapes must be equal.
void add(ConstMatrix<float> a, ConstMatrix<float> b, Matrix<float> result);

// values[i, :] += addend, the same for every row, correctly rounded; on this thread.
void add_to_rows(Matrix<float> values, std::span<const float> addend);

}  // namespace reference
