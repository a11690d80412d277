// out = bf16(scale * (x + bias)): how queries leave their projection.
//
// Contract: kernels.h. Rounding points: x + bias in the core's fp32 adder; its conversion to bf16. The
// multiplication by a power of two after it is exact, so that it is scale * (x + bias) that is rounded
// wherever neither leaves the range of normal bf16.
// L1 for 64 x 64: x 16 KB, out 8 KB, bias 128 B. 1 VMAC for 16 elements.
#include <aie_api/aie.hpp>

#include "kernels.h"
#include "wide.h"

namespace kernels::aie2 {
namespace {

template <aie::rounding_mode rounding>
inline void bias_scale(const float* __restrict x, const bfloat16* __restrict bias, float scale, int rows,
                       int columns, bfloat16* __restrict out) {
    aie::set_rounding(rounding);
    const Bf16s factor = aie::broadcast<bfloat16, lanes>(bfloat16(scale));
    for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; column += static_cast<int>(lanes)) {
            const int at = row * columns + column;
            const Accum sum = aie::add(Accum(aie::load_v<lanes>(x + at)), aie::load_v<lanes>(bias + column));
            const Bf16s rounded = sum.template to_vector<bfloat16>();
            aie::store_v(out + at, aie::mul(rounded, factor).template to_vector<bfloat16>());
        }
    }
    aie::set_rounding(aie::rounding_mode::floor);
}

}  // namespace
}  // namespace kernels::aie2

extern "C" {

void bias_scale_even(const float* x, const bfloat16* bias, float scale, int rows, int columns,
                     bfloat16* out) {
    kernels::aie2::bias_scale<aie::rounding_mode::conv_even>(x, bias, scale, rows, columns, out);
}

void bias_scale_floor(const float* x, const bfloat16* bias, float scale, int rows, int columns,
                      bfloat16* out) {
    kernels::aie2::bias_scale<aie::rounding_mode::floor>(x, bias, scale, rows, columns, out);
}

}  // extern "C"
