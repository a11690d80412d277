// The core of the array design row_softmax: the kernels of kernels/aie2/softmax.cc with the state of the rows
// kept on the core between calls, so that the design passes tiles only.
#include <limits>

#include "kernels/aie2/softmax.cc"

namespace {

alignas(64) float row_max[64];
alignas(64) float row_sum[64];

}  // namespace

extern "C" {

// Before the first key tile of a row block.
void row_softmax_begin() {
    for (unsigned row = 0; row < 64; ++row) {
        row_max[row] = -std::numeric_limits<float>::infinity();
        row_sum[row] = 0;
    }
}

// Every key tile, [64, 64], of which the first `keys` columns are real; then all again with the other.
void row_softmax_update(const float* scores, int keys) {
    softmax_update(scores, keys, row_max, row_sum);
}

void row_softmax_finish(const float* scores, int keys, bfloat16* out) {
    softmax_finish_even(scores, keys, row_max, row_sum, out);
}

}  // extern "C"
