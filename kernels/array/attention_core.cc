// The core of the array design whole_attention: the kernels of kernels/aie2/attention.cc with query, context
// and the state of the rows kept on the core between calls, so that the design passes tiles only.
#include <limits>

#include "kernels/aie2/kernels.h"
#include "kernels/array/core_state.h"

namespace {

using kernels::array::tile;
using kernels::array::tile_elements;

alignas(64) bfloat16 query[tile_elements];
alignas(64) float context[tile_elements];
alignas(64) float row_max[tile];
alignas(64) float row_sum[tile];

}  // namespace

extern "C" {

// Before the first key tile of a row block: keeps a copy of its query.
void attention_core_begin(const bfloat16* q) {
    constexpr unsigned lanes = 16;
    for (unsigned i = 0; i < tile_elements; i += lanes) {
        aie::store_v(query + i, aie::load_v<lanes>(q + i));
    }
    for (unsigned row = 0; row < tile; ++row) {
        row_max[row] = -std::numeric_limits<float>::infinity();
        row_sum[row] = 0;
    }
    zero_tile(context);
}

// Every key tile with its values; the first `keys` rows are real, scores are scaled by 2^power.
void attention_core_update(const bfloat16* key, const bfloat16* value, int keys, int power) {
    attention_update(query, key, value, keys, kernels::array::power_of_two(power), row_max, row_sum, context);
}

void attention_core_finish(bfloat16* out) {
    attention_finish_even(context, row_sum, out);
}

}  // extern "C"
