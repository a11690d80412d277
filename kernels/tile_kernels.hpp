// One 64x64 tile of arithmetic: what a core of the array computes between two DMA transfers.
//
// Leaves: raw pointers in, tile out; no allocation, threads, logging or state. bf16 is passed as its 16 bits.
// All tiles and rows are dense and row-major, of any alignment; `acc` tiles are fp32. Outputs do not overlap
// inputs.
//
// The arithmetic is fixed to the bit and the same on every machine and for every vector width. A product of
// two bf16 is exact in fp32; every other operation named below is one IEEE fp32 operation, rounded to nearest
// even, in the order stated. Denormals are kept. Two limits: which NaN comes out of an operation is not
// defined; and where a product of two bf16 itself leaves fp32 (2^128 and more, or below 2^-134 and not 0),
// CPUs without a fused multiply-add round it before they add it, the others do not.
//
// Each kernel's MACs and bytes of core memory (L1) are those of the computation on the core: operands and
// results once each, without the second buffers of a pipeline, the stack or the code.
#pragma once

#include <cstdint>
#include <functional>

namespace kernels {

inline constexpr int tile = 64;

// How an fp32 result leaves the core.
enum class Store : std::uint8_t { f32, bf16_nearest_even, bf16_toward_zero, bf16_floor };

// Layout of the right operand of a product.
enum class Right : std::uint8_t {
    k_by_n,  // [k, n]
    n_by_k,  // [n, k]: weights [out, in], keys [key, channel]
};

// Running state of a softmax over key tiles, one entry per row. Starts at row_max = -infinity, row_sum = 0.
struct SoftmaxState {
    float* row_max;  // [64]
    float* row_sum;  // [64], fp32 sum of the bf16 exponentials, rescaled when row_max grows
};

// Running state of fused attention: softmax state and the unnormalised context, fp32 [64, 64], which starts
// at 0.
struct AttentionState {
    SoftmaxState softmax;
    float* context;
};

// The functions of one set of kernels. A table, so that a core's kernels can be exchanged, as a whole or one
// by one. Copyable; what the functions refer to must outlive the copies.
//
// `keys` (0 to 64) says how many of a tile's keys are real. What the padded ones hold, be it NaN, never
// matters. With 0 keys an update changes nothing. A row that no update has given a key finishes as zeros.
//
// A NaN or +infinity among a row's real scores, or real scores that are all -infinity while row_max still is,
// make its row_sum and all its results NaN (but never those of another row).
struct KernelTable {
    const char* target;  // the instructions in use: a target of Highway, or a level of x86-64

    // Puts the core into its state after reset (its rounding mode). Before a core's first kernel of a launch,
    // on the thread that runs it.
    std::function<void()> reset;

    // acc[i, j] = bias[j] (0 where bias is null), exact. 0 MAC; L1: bias 128 B, acc 16 KB.
    std::function<void(const std::uint16_t* bias, float* acc)> start;

    // acc[i, j] += sum over k of left[i, k] * right[k, j], ascending k, one fp32 rounding per addition.
    // 262,144 MAC; L1: left 8 KB, right 8 KB, acc 16 KB.
    std::function<void(const std::uint16_t* left, const std::uint16_t* right, Right layout, float* acc)>
        multiply;

    // c = store(c + left right), c bf16 bits [64, 64]: the sum of `multiply` from c, stored once per call.
    // `store` is one of the bf16 modes. 262,144 MAC; L1: left 8 KB, right 8 KB, c 8 KB.
    std::function<void(const std::uint16_t* left, const std::uint16_t* right, Right layout, Store store,
                       std::uint16_t* c)>
        multiply_stored;

    // out[i, j] = store(scale * acc[i, j]); scale must be a power of two, so that only the store rounds (and,
    // to a denormal, the product). `out` is float or bf16 bits by `store`. 4,096 multiplications; L1: acc 16
    // KB, out 16 KB (in place of acc) or 8 KB.
    std::function<void(const float* acc, float scale, Store store, void* out)> finish;

    // Takes one tile of scores [64 rows, 64 keys], of which the first `keys` are real, into the running
    // state.
    //   m' = max(m, row max), never -0
    //   e = exp_difference(s, m') of exp_table.hpp, a bf16; 0 for a padded key
    //   l' = l * exp_difference(m, m') + sum of e, two roundings; the factor is exactly 1 where m' = m
    // The sum: 16 partial sums, of which lane i adds e[i], e[i + 16], e[i + 32], e[i + 48] in this order;
    // then lane i adds lane i + 8 (i < 8), i + 4 (i < 4), i + 2 (i < 2), i + 1: the core's 16-lane vectors.
    // 4,096 exponentials, 4,096 additions; L1: scores 16 KB, state 512 B, exp tables 4 KB.
    std::function<void(const float* scores, int keys, const SoftmaxState& state)> softmax_update;

    // p[i, j] = store(exp_difference(s, m) / l) for the real keys, 0 for the padded ones, where the state has
    // taken in these scores (else s > m gives NaN). The reciprocal r = 1 / l, rounded to fp32, is split into
    // two bf16, both to nearest even, hi and lo of r - hi; p = e * hi + e * lo in fp32 (the sum rounds)
    // before the store. `store` is one of the bf16 modes; throws std::invalid_argument for f32. The state is
    // only read. 4,096 exponentials, 8,192 MAC; L1: scores 16 KB, state 512 B, exp tables 4 KB, p 8 KB.
    std::function<void(const float* scores, int keys, const SoftmaxState& state, Store store,
                       std::uint16_t* p)>
        softmax_finish;

    // Fused attention over one key tile [64 keys, 64 channels]: the scores s = scale * (query . key), the dot
    // product as in `multiply` from 0 and then one multiplication; softmax_update's running state; then
    //   context = context * exp_difference(m, m'), rounded, where m' > m
    //   context[i, c] += e[i, j] * value[j, c] over the real keys, ascending, as in `multiply` (e is bf16)
    // 524,288 MAC, 4,096 exponentials, up to 4,096 multiplications; L1: query, key, value 8 KB each, context
    // 16 KB, state 512 B, exp tables 4 KB, and 256 B for every row of scores held at a time (the exponentials
    // replace them).
    std::function<void(const std::uint16_t* query, const std::uint16_t* key, const std::uint16_t* value,
                       int keys, float scale, const AttentionState& state)>
        attention_update;

    // out = store(context * r), r = 1 / l: the reciprocal and the product both rounded to fp32. The state is
    // only read. 64 reciprocals, 4,096 multiplications; L1: context 16 KB, state 512 B, out 16 KB (in place
    // of context) or 8 KB.
    std::function<void(const AttentionState& state, Store store, void* out)> attention_finish;

    // out[i, :] = store((x[i, :] - mean) / sqrt(variance + 1e-5) * gain + bias): mean and biased variance of
    // row i over `columns`, a multiple of 16 up to 4096. Two passes; each sum as softmax_update's, over as
    // many columns. The reciprocal root, (x - mean) * it, * gain and + bias round once each. `store` is one
    // of the bf16 modes; throws std::invalid_argument for f32. The error before the store is at most
    // (columns / 16 + 8) 2^-23 (1 + mean |x| / deviation) of |gain| (1 + |normalised|) + |bias|. L1: 10 B a
    // column for one row.
    std::function<void(const float* x, const std::uint16_t* gain, const std::uint16_t* bias, int rows,
                       int columns, Store store, std::uint16_t* out)>
        layer_norm;

    // out[i] = store(GELU(x[i])), the erf form, over `count` values, a multiple of 16: x Phi(x) with the
    // polynomials of aie2/gelu_table.h by Horner's scheme, two roundings a step. `store` as in layer_norm.
    // The error before the store is at most 2^-11.4 max(|GELU(x)|, 2^-8). L1 for a tile: x 16 KB, out 8 KB.
    std::function<void(const float* x, int count, Store store, std::uint16_t* out)> gelu;
};

// The kernels for the best vector instructions of this CPU, chosen at run time (once, unless a test of
// Highway's targets asks for others).
const KernelTable& tile_kernels();

}  // namespace kernels
