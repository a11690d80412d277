// Fused attention over key tiles, two strips of four query rows at a time, so that a block of keys or values
// is loaded once for eight rows; their scores, 8 x 64, never leave the core.
//
// Contract: kernels.h. Rounding points: scale * query is exact but for underflow; a score is a chain of 8
// VMACs of 8 ascending channels from 0; exp_differences (exp.h); every addition in the core's fp32 adder;
// context * factor and row_sum * factor in 3 VMACs each (wide.h), exact where the factor is 1 and skipped for
// a strip whose maxima stood; context + e value in VMACs of 8 ascending keys, of which the padded ones enter
// as 0 * 0. At the end 1 / row_sum as in softmax.cc, context * (hi + lo) in 6 VMACs: within 2^-16 of context
// / row_sum, before the store.
// The sum of a row: lane i of 4 adds e[i], e[i + 4], ... in this order, then (0 + 2) + (1 + 3). L1: query,
// key, value 8 KB each, context 16 KB, state 512 B, tables 4 KB, stack about 6 KB. VMACs: update 4,096 for 64
// keys, 256 for the exponentials, 256 for the query's scale, 4 for the state of each strip and 48 for its
// context where a maximum grew; finish 1,536.
#include <aie_kernel_utils.h>
#include <aie_api/aie.hpp>

#include "exp.h"
#include "kernels.h"
#include "wide.h"

namespace kernels::aie2 {
namespace {

using Block = aie::mmul<4, 8, 4, bfloat16, bfloat16, accauto>;
using Pair = aie::vector<bfloat16, 32>;  // an operand of the multiplier, 4x8 or 8x4

constexpr unsigned strip_blocks = tile / 4;  // 4x4 blocks of a strip
constexpr unsigned depth_blocks = tile / 8;  // 4x8 blocks of a strip
constexpr unsigned strips = 2;               // taken at a time
constexpr unsigned group = 4;                // independent chains, which hide the latency of a VMAC

constexpr unsigned blocks_of(int keys, unsigned size) {
    return (static_cast<unsigned>(keys) + size - 1) / size;
}

// The real lanes of a 4x4 block of which the first `keys` columns are real.
inline Lanes real_columns(int keys) {
    const unsigned count = keys < 0 ? 0U : (keys > 4 ? 4U : static_cast<unsigned>(keys));
    return Lanes::from_uint32(((1U << count) - 1U) * 0x1111U);
}

// scores[i][j], block 4x4 of strip i and keys 4 j to 4 j + 3, = (scale * query) . key for the blocks that
// hold real keys, 0 for the others.
inline void score_strips(const bfloat16* __restrict query, const bfloat16* __restrict key, unsigned blocks,
                         const Bf16s& scale, Floats (&scores)[strips][strip_blocks]) {
    Pair scaled[strips][depth_blocks];
    for (unsigned i = 0; i < strips; ++i) {
        for (unsigned k = 0; k < depth_blocks; ++k) {
            const Pair block = aie::load_v<32>(query + (i * depth_blocks + k) * Block::size_A);
            scaled[i][k] = aie::concat(aie::mul(block.extract<lanes>(0), scale).to_vector<bfloat16>(),
                                       aie::mul(block.extract<lanes>(1), scale).to_vector<bfloat16>());
        }
        for (unsigned j = blocks; j < strip_blocks; ++j) {
            scores[i][j] = aie::zeros<float, lanes>();
        }
    }
    for (unsigned first = 0; first < blocks; first += group) {
        Block sums[strips][group];
        AIE_PREPARE_FOR_PIPELINING
        for (unsigned k = 0; k < depth_blocks; ++k) {
            for (unsigned j = 0; j < group; ++j) {
                const bfloat16* block = key + ((first + j) * depth_blocks + k) * Block::size_B;
                const Pair right = aie::transpose(aie::load_v<Block::size_B>(block), 4, 8);
                for (unsigned i = 0; i < strips; ++i) {
                    sums[i][j].mac(scaled[i][k], right);
                }
            }
        }
        for (unsigned i = 0; i < strips; ++i) {
            for (unsigned j = 0; j < group; ++j) {
                scores[i][first + j] = sums[i][j].to_vector<float>();
            }
        }
    }
}

// The largest of `previous` and the real scores of each row, over the row's lanes.
inline Floats strip_maxima(const Floats (&scores)[strip_blocks], int keys, const Floats& previous) {
    Words largest = ordered(previous);
    for (unsigned j = 0; j < strip_blocks; ++j) {
        const Lanes real = real_columns(keys - static_cast<int>(4 * j));
        largest = aie::max(largest, aie::select(largest, ordered(scores[j]), real));
    }
    Words columns = aie::transpose(largest, 4, 4);
    columns = aie::max(columns, aie::shuffle_down(columns, 8));
    columns = aie::max(columns, aie::shuffle_down(columns, 4));
    return of_rows(from_ordered(columns).extract<4>(0));
}

// The sum of each row, over the row's lanes.
inline Floats strip_totals(const Bf16s (&e)[strip_blocks]) {
    Accum sum(e[0]);
    for (unsigned j = 1; j < strip_blocks; ++j) {
        sum = aie::add(sum, e[j]);
    }
    Floats columns = aie::transpose(sum.to_vector<float>(), 4, 4);
    columns = aie::add(columns, aie::shuffle_down(columns, 8));
    columns = aie::add(columns, aie::shuffle_down(columns, 4));
    return of_rows(columns.extract<4>(0));
}

inline void store_rows(float* state, const Floats& of_lanes) {
    aie::store_v(state, aie::transpose(of_lanes, 4, 4).extract<4>(0));
}

inline void rescale_strip(const Rescale& rescale, float* context) {
    for (unsigned j = 0; j < strip_blocks; ++j) {
        aie::store_v(context + j * lanes, rescale(aie::load_v<lanes>(context + j * lanes)));
    }
}

// Block 8x4 of value; padded keys become zeros, whatever they hold.
inline Pair value_block(const bfloat16* value, unsigned k, unsigned column, int keys) {
    const Pair block = aie::load_v<Block::size_B>(value + (k * strip_blocks + column) * Block::size_B);
    const unsigned real = static_cast<unsigned>(keys) - 8 * k;
    if (real >= 8) {
        return block;
    }
    return aie::select(aie::zeros<bfloat16, 32>(), block,
                       aie::mask<32>::from_uint32((1U << (4 * real)) - 1U));
}

// context += e value for the real keys.
inline void add_values(const Bf16s (&e)[strips][strip_blocks], const bfloat16* __restrict value, int keys,
                       float* __restrict context) {
    const unsigned depth = blocks_of(keys, 8);
    Pair left[strips][depth_blocks];
    for (unsigned i = 0; i < strips; ++i) {
        for (unsigned k = 0; k < depth; ++k) {
            const auto [upper, lower] = aie::interleave_zip(e[i][2 * k], e[i][2 * k + 1], 4);
            left[i][k] = aie::concat(upper, lower);
        }
    }
    for (unsigned first = 0; first < strip_blocks; first += group) {
        Block sums[strips][group];
        for (unsigned i = 0; i < strips; ++i) {
            for (unsigned j = 0; j < group; ++j) {
                sums[i][j] = Block(aie::load_v<lanes>(context + (i * strip_blocks + first + j) * lanes));
            }
        }
        AIE_PREPARE_FOR_PIPELINING
        for (unsigned k = 0; k < depth; ++k) {
            for (unsigned j = 0; j < group; ++j) {
                const Pair right = value_block(value, k, first + j, keys);
                for (unsigned i = 0; i < strips; ++i) {
                    sums[i][j].mac(left[i][k], right);
                }
            }
        }
        for (unsigned i = 0; i < strips; ++i) {
            for (unsigned j = 0; j < group; ++j) {
                aie::store_v(context + (i * strip_blocks + first + j) * lanes, sums[i][j].to_vector<float>());
            }
        }
    }
}

template <aie::rounding_mode rounding>
inline void attention_finish(const float* __restrict context, const float* row_sum,
                             bfloat16* __restrict out) {
    for (unsigned row = 0; row < tile; row += lanes) {
        const Reciprocal inverse(aie::load_v<lanes>(row_sum + row));
        const Floats high = Accum(inverse.high).to_vector<float>();
        const Floats low = Accum(inverse.low).to_vector<float>();
        aie::set_rounding(rounding);
        for (unsigned strip = 0; strip < lanes / 4; ++strip) {
            const Bf16s strip_high = upper_halves(of_rows(high.extract<4>(strip)));
            const Bf16s strip_low = upper_halves(of_rows(low.extract<4>(strip)));
            const unsigned first = (row + 4 * strip) * tile;
            for (unsigned j = 0; j < strip_blocks; ++j) {
                const Split x(aie::load_v<lanes>(context + first + j * lanes));
                const Accum product = multiply_add(multiply(x, strip_low), x, strip_high);
                aie::store_v(out + first + j * lanes, product.template to_vector<bfloat16>());
            }
        }
    }
    aie::set_rounding(aie::rounding_mode::floor);
}

// Takes a strip's scores into its state, rescales its context and leaves the exponentials.
inline void update_strip(const Floats (&scores)[strip_blocks], int keys, float* row_max, float* row_sum,
                         float* context, Bf16s (&e)[strip_blocks]) {
    const Floats previous = of_rows(aie::load_v<4>(row_max));
    const Floats m = strip_maxima(scores, keys, previous);
    exp_differences(scores, m, e);
    for (unsigned j = 0; j < strip_blocks; ++j) {
        const Lanes real = real_columns(keys - static_cast<int>(4 * j));
        e[j] = aie::select(aie::zeros<bfloat16, lanes>(), e[j], real);
    }
    const Floats before = of_rows(aie::load_v<4>(row_sum));
    const Rescale rescale(previous, m);
    if (!rescale.grew.empty()) {
        rescale_strip(rescale, context);
        store_rows(row_max, m);
    }
    store_rows(row_sum, aie::add(rescale(before), strip_totals(e)));
}

inline void attention_update(const bfloat16* query, const bfloat16* key, const bfloat16* value, int keys,
                             float scale, float* row_max, float* row_sum, float* context) {
    const Bf16s factor = aie::broadcast<bfloat16, lanes>(bfloat16(scale));
    for (unsigned row = 0; keys > 0 && row < tile; row += 4 * strips) {
        Floats scores[strips][strip_blocks];
        Bf16s e[strips][strip_blocks];
        score_strips(query + row * tile, key, blocks_of(keys, 4), factor, scores);
        for (unsigned i = 0; i < strips; ++i) {
            const unsigned first = row + 4 * i;
            update_strip(scores[i], keys, row_max + first, row_sum + first, context + first * tile, e[i]);
        }
        add_values(e, value, keys, context + row * tile);
    }
    aie::set_rounding(aie::rounding_mode::floor);
}

}  // namespace
}  // namespace kernels::aie2

extern "C" {

void attention_update(const bfloat16* query, const bfloat16* key, const bfloat16* value, int keys,
                      float scale, float* row_max, float* row_sum, float* context) {
    kernels::aie2::attention_update(query, key, value, keys, scale, row_max, row_sum, context);
}

void attention_finish_even(const float* context, const float* row_sum, bfloat16* out) {
    kernels::aie2::attention_finish<aie::rounding_mode::conv_even>(context, row_sum, out);
}

void attention_finish_floor(const float* context, const float* row_sum, bfloat16* out) {
    kernels::aie2::attention_finish<aie::rounding_mode::floor>(context, row_sum, out);
}

}  // extern "C"
