// The core of the array design whole_product where results leave as bf16: sums stay here and are stored once,
// after the last k tile. A bias comes as a row of a tile in blocks 4x8.
#include "kernels/aie2/kernels.h"
#include "kernels/array/core_state.h"

namespace {

alignas(64) bfloat16 bias[kernels::array::tile];
alignas(64) float sums[kernels::array::tile_elements];

}  // namespace

extern "C" {

void product_bf16_zero() {
    zero_tile(sums);
}

// The sums start at the bias, row `row` of `rows`.
void product_bf16_bias(const bfloat16* rows, int row) {
    kernels::array::take_row(rows, row, bias);
    start_tile(bias, sums);
}

// The sums += a b; with b [k, n] and [n, k].
void product_bf16_add(const bfloat16* a, const bfloat16* b) {
    matmul_tile(a, b, sums);
}

void product_bf16_add_nk(const bfloat16* a, const bfloat16* b) {
    matmul_tile_nk(a, b, sums);
}

// out = bf16(2^power * sums).
void product_bf16_store(int power, bfloat16* out) {
    store_tile_even(sums, kernels::array::power_of_two(power), out);
}

}  // extern "C"
