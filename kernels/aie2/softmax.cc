// Softmax over key tiles of row-major scores: one pass that takes a tile into the running state, one that
// leaves probabilities.
//
// Contract: kernels.h. Rounding points: those of exp_differences (exp.h); every addition in the core's fp32
// adder; row_sum * factor in 3 VMACs (wide.h), exact where the factor is 1; 1 / row_sum in IEEE fp32 (the
// core's scalar unit is software), split into bf16 hi + lo, both conv_even; e hi (exact), then + e lo, one
// VMAC each; the store of p.
// The sum of a row: lane i of 16 adds e[i], e[i + 16], e[i + 32], e[i + 48] in this order, then the lanes are
// folded, i with i + 8, i + 4, i + 2, i + 1 (aie::reduce_add).
// A NaN with the sign clear becomes the row's maximum and stays it; every NaN makes the row's sum NaN.
// L1: scores 16 KB, state 512 B, tables 4 KB, p 8 KB. VMACs: update 272, finish 768.
#include <aie_api/aie.hpp>

#include "exp.h"
#include "kernels.h"
#include "wide.h"

namespace kernels::aie2 {
namespace {

constexpr unsigned row_vectors = tile / lanes;

// The first vectors of one row.
inline void load_row(const float* row, Floats (&s)[row_vectors]) {
    for (unsigned i = 0; i < row_vectors; ++i) {
        s[i] = aie::load_v<lanes>(row + i * lanes);
    }
}

// exp_difference of one row, 0 for the padded keys.
inline void exponentials(const Floats (&s)[row_vectors], int keys, const Floats& m, Bf16s (&e)[row_vectors]) {
    exp_differences(s, m, e);
    for (unsigned i = 0; i < row_vectors; ++i) {
        const Lanes real = first_lanes(keys - static_cast<int>(i * lanes));
        e[i] = aie::select(aie::zeros<bfloat16, lanes>(), e[i], real);
    }
}

// The largest of `previous` and the real scores of one row, as ordered integers.
inline int32 row_maximum(const Floats (&s)[row_vectors], int keys, int32 previous) {
    Words largest = aie::broadcast<int32, lanes>(previous);
    for (unsigned i = 0; i < row_vectors; ++i) {
        const Lanes real = first_lanes(keys - static_cast<int>(i * lanes));
        largest = aie::max(largest, aie::select(largest, ordered(s[i]), real));
    }
    return aie::reduce_max(largest);
}

inline float row_total(const Bf16s (&e)[row_vectors]) {
    Accum sum(e[0]);
    for (unsigned i = 1; i < row_vectors; ++i) {
        sum = aie::add(sum, e[i]);
    }
    return aie::reduce_add(sum.to_vector<float>());
}

// Sixteen rows, so that their state is one vector each.
inline void update_rows(const float* scores, int keys, float* row_max, float* row_sum) {
    const Floats previous = aie::load_v<lanes>(row_max);
    const Words before = ordered(previous);
    Words maxima = before;
    Floats totals = previous;
    for (unsigned row = 0; row < lanes; ++row) {
        Floats s[row_vectors];
        Bf16s e[row_vectors];
        load_row(scores + row * tile, s);
        const int32 maximum = row_maximum(s, keys, before.get(row));
        exponentials(s, keys, from_ordered(aie::broadcast<int32, lanes>(maximum)), e);
        maxima.set(maximum, row);
        totals.set(row_total(e), row);
    }
    const Floats m = from_ordered(maxima);
    const Floats kept = Rescale(previous, m)(aie::load_v<lanes>(row_sum));
    aie::store_v(row_max, m);
    aie::store_v(row_sum, aie::add(kept, totals));
}

inline void softmax_update(const float* scores, int keys, float* row_max, float* row_sum) {
    for (unsigned row = 0; keys > 0 && row < tile; row += lanes) {
        update_rows(scores + row * tile, keys, row_max + row, row_sum + row);
    }
    aie::set_rounding(aie::rounding_mode::floor);
}

template <aie::rounding_mode rounding>
inline void finish_rows(const float* scores, int keys, const float* row_max, const float* row_sum,
                        bfloat16* p) {
    const Floats maxima = aie::load_v<lanes>(row_max);
    const Floats sums = aie::load_v<lanes>(row_sum);
    const Reciprocal inverse(sums);
    for (unsigned row = 0; row < lanes; ++row) {
        Floats s[row_vectors];
        Bf16s e[row_vectors];
        load_row(scores + row * tile, s);
        const int real_keys = sums.get(row) == 0.0F ? 0 : keys;
        exponentials(s, real_keys, aie::broadcast<float, lanes>(maxima.get(row)), e);
        const Bf16s high = aie::broadcast<bfloat16, lanes>(inverse.high.get(row));
        const Bf16s low = aie::broadcast<bfloat16, lanes>(inverse.low.get(row));
        aie::set_rounding(rounding);
        for (unsigned i = 0; i < row_vectors; ++i) {
            const Bf16s probability =
                aie::mac(aie::mul(e[i], high), e[i], low).template to_vector<bfloat16>();
            const Lanes real = first_lanes(real_keys - static_cast<int>(i * lanes));
            aie::store_v(p + row * tile + i * lanes,
                         aie::select(aie::zeros<bfloat16, lanes>(), probability, real));
        }
    }
}

template <aie::rounding_mode rounding>
inline void softmax_finish(const float* scores, int keys, const float* row_max, const float* row_sum,
                           bfloat16* p) {
    for (unsigned row = 0; row < tile; row += lanes) {
        finish_rows<rounding>(scores + row * tile, keys, row_max + row, row_sum + row, p + row * tile);
    }
    aie::set_rounding(aie::rounding_mode::floor);
}

}  // namespace
}  // namespace kernels::aie2

extern "C" {

void softmax_update(const float* scores, int keys, float* row_max, float* row_sum) {
    kernels::aie2::softmax_update(scores, keys, row_max, row_sum);
}

void softmax_finish_even(const float* scores, int keys, const float* row_max, const float* row_sum,
                         bfloat16* p) {
    kernels::aie2::softmax_finish<aie::rounding_mode::conv_even>(scores, keys, row_max, row_sum, p);
}

void softmax_finish_floor(const float* scores, int keys, const float* row_max, const float* row_sum,
                          bfloat16* p) {
    kernels::aie2::softmax_finish<aie::rounding_mode::floor>(scores, keys, row_max, row_sum, p);
}

}  // extern "C"
