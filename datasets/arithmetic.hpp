// What a path declares about the arithmetic of one op. Declared by its author, never measured: the judge
// derives its bounds from this and fails a kernel that computes otherwise.
#pragma once

#include <cstdint>

#include "datasets/bf16.hpp"

namespace datasets {

enum class DType : std::uint8_t { f32, bf16 };

// How the products of a dot product are summed.
enum class Accumulation : std::uint8_t {
    blas_f32,   // any order, fp32
    chain_f32,  // ascending k from the bias (or zero), one fp32 rounding per addition
};

struct Arithmetic {
    DType operand = DType::f32;  // of both factors, the bias included
    Rounding operand_rounding = Rounding::nearest_even;
    DType store = DType::f32;
    Rounding store_rounding = Rounding::nearest_even;
    Accumulation accumulation = Accumulation::blas_f32;
    int round_every_k = 0;  // > 0: the result is rounded to `store` after every so many products
    int key_tile = 0;       // > 0: softmax by running max and sum over tiles of so many keys
    DType exp_argument = DType::f32;
    Rounding exp_argument_rounding = Rounding::nearest_even;
    double exp_error = 0;  // largest relative error of exp on its own argument in [-87, 0]
};

}  // namespace datasets
