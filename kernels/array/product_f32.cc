// The core of the array design whole_product where results leave as fp32: sums are made in the tile that is
// sent (matmul_tile, zero_tile). A bias comes as a row of a tile in blocks 4x8.
#include "kernels/aie2/kernels.h"
#include "kernels/array/core_state.h"

namespace {

alignas(64) bfloat16 bias[kernels::array::tile];

}  // namespace

extern "C" {

// c[i, j] = bias[j], the first of it row `row` of `rows`.
void product_f32_bias(const bfloat16* rows, int row, float* c) {
    kernels::array::take_row(rows, row, bias);
    start_tile(bias, c);
}

// c *= 2^power.
void product_f32_scale(int power, float* c) {
    scale_tile(c, kernels::array::power_of_two(power));
}

}  // extern "C"
