// One 64x64 tile of arithmetic: what a core of the array computes between two DMA transfers.
//
// Leaves: raw pointers in, tile out; no allocation, threads, logging or state. bf16 is passed as its 16 bits. All
// tiles are dense and row-major; `acc` tiles are fp32. The arithmetic is fixed to the bit and the same on every
// machine: products of bf16 are exact in fp32, every addition is one fp32 rounding, in the order stated.
#pragma once

#include <cstdint>

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

// Running state of fused attention: softmax state and the unnormalised context, fp32 [64, 64].
struct AttentionState {
    SoftmaxState softmax;
    float* context;
};

// The functions of one set of kernels. A table, so that a core's kernels can be exchanged as a whole.
struct KernelTable {
    const char* target;  // the vector instructions in use

    // acc[i, j] = bias[j] (0 where bias is null).
    void (*start)(const std::uint16_t* bias, float* acc);

    // acc[i, j] += sum over k of left[i, k] * right[k, j], ascending k, one fp32 rounding per addition.
    void (*multiply)(const std::uint16_t* left, const std::uint16_t* right, Right layout, float* acc);

    // out[i, j] = store(scale * acc[i, j]); scale must be a power of two. `out` is float or bf16 bits by `store`.
    void (*finish)(const float* acc, float scale, Store store, void* out);

    // Takes one tile of scores [64 rows, 64 keys], of which the first `keys` are real, into the running state:
    // m' = max(m, row max); l = l * exp(m - m') + sum of exp(s - m'), where exp is the bf16 table exp below.
    void (*softmax_update)(const float* scores, int keys, const SoftmaxState& state);

    // p[i, j] = store(exp(s - m) / l) for the real keys, 0 for the padded ones. The reciprocal is split into two
    // bf16, hi + lo, and p = e * hi + e * lo in fp32 before the store. `store` is one of the bf16 modes.
    void (*softmax_finish)(const float* scores, int keys, const SoftmaxState& state, Store store, std::uint16_t* p);

    // Fused attention over one key tile: s = scale * (query . key) in fp32; softmax_update's running state;
    // context = context * exp(m - m') + sum over keys of bf16 exp(s - m') * value[key], ascending keys.
    void (*attention_update)(const std::uint16_t* query, const std::uint16_t* key, const std::uint16_t* value,
                             int keys, float scale, const AttentionState& state);

    // out = store(context / l): the fp32 reciprocal of l times context, both rounded to fp32.
    void (*attention_finish)(const AttentionState& state, Store store, void* out);
};

// The kernels for this CPU, chosen once at run time.
const KernelTable& tile_kernels();

}  // namespace kernels
