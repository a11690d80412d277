// LayerNorm of whole rows, fp32 in, bf16 out.
//
// Contract: kernels.h. Rounding points: sums in 16 lanes of the core's fp32 adder (squares: VMACs), folded by
// aie::reduce_add, i with i + 8, i + 4, i + 2, i + 1; division by the number of columns and the reciprocal
// square root in scalar IEEE fp32 (software on the core); x - mean in the adder; fp32 products from three
// bf16 each, 6 VMACs (wide.h); * gamma + beta in 3 VMACs; the store. Before the store the error is at most
// (columns / 16 + 8) 2^-23 (1 + mean |x| / deviation) of |gamma| (1 + |normalised|) + |beta|, by far the most
// of it from the sums; measured over 512 columns of deviation 1 and mean 8: 2^-19.
// L1: one row of x and out each, gamma, beta: 10 bytes a column. 15 VMACs for 16 elements.
#include <aie_api/aie.hpp>

#include "kernels.h"
#include "wide.h"

namespace kernels::aie2 {
namespace {

constexpr float epsilon = 1e-5F;

// 1 / sqrt(x) by three steps of Newton's method from the classic guess on the bits, whose error of 3.5 % they
// take to 1.8e-3, 5e-6 and fp32's rounding.
inline float reciprocal_root(float x) {
    float y = __builtin_bit_cast(float, int32(0x5F3759DF - (__builtin_bit_cast(int32, x) >> 1)));
    for (int step = 0; step < 3; ++step) {
        y = y * (1.5F - 0.5F * x * y * y);
    }
    return y;
}

inline Floats difference(const float* x, const Floats& mean) {
    return aie::sub(Accum(aie::load_v<lanes>(x)), mean).to_vector<float>();
}

inline float row_sum(const float* x, int columns) {
    Accum sum = aie::zeros<accfloat, lanes>();
    for (int column = 0; column < columns; column += static_cast<int>(lanes)) {
        sum = aie::add(sum, aie::load_v<lanes>(x + column));
    }
    return aie::reduce_add(sum.to_vector<float>());
}

inline float sum_of_squares(const float* x, int columns, const Floats& mean) {
    Accum sum = aie::zeros<accfloat, lanes>();
    for (int column = 0; column < columns; column += static_cast<int>(lanes)) {
        const Split d(difference(x + column, mean));
        sum = multiply_add(sum, d, d);
    }
    return aie::reduce_add(sum.to_vector<float>());
}

template <aie::rounding_mode rounding>
inline void layer_norm_rows(const float* x, const bfloat16* __restrict gamma, const bfloat16* __restrict beta,
                            int rows, int columns, bfloat16* __restrict out) {
    aie::set_rounding(rounding);
    const float count = static_cast<float>(columns);
    for (int row = 0; row < rows; ++row, x += columns, out += columns) {
        const Floats mean = aie::broadcast<float, lanes>(row_sum(x, columns) / count);
        const float variance = sum_of_squares(x, columns, mean) / count;
        const Split inverse(aie::broadcast<float, lanes>(reciprocal_root(variance + epsilon)));
        for (int column = 0; column < columns; column += static_cast<int>(lanes)) {
            const Accum normalised = multiply(Split(difference(x + column, mean)), inverse);
            const Accum shifted = multiply_add(Accum(aie::load_v<lanes>(beta + column)),
                                               Split(normalised.template to_vector<float>()),
                                               aie::load_v<lanes>(gamma + column));
            aie::store_v(out + column, shifted.template to_vector<bfloat16>());
        }
    }
    aie::set_rounding(aie::rounding_mode::floor);
}

}  // namespace
}  // namespace kernels::aie2

extern "C" {

void layer_norm_rows_even(const float* x, const bfloat16* gamma, const bfloat16* beta, int rows, int columns,
                          bfloat16* out) {
    kernels::aie2::layer_norm_rows<aie::rounding_mode::conv_even>(x, gamma, beta, rows, columns, out);
}

void layer_norm_rows_floor(const float* x, const bfloat16* gamma, const bfloat16* beta, int rows, int columns,
                           bfloat16* out) {
    kernels::aie2::layer_norm_rows<aie::rounding_mode::floor>(x, gamma, beta, rows, columns, out);
}

}  // extern "C"
