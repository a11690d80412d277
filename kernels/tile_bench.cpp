// Speed of the tile kernels on one thread of this CPU, beside the rate of its fused multiply-add units: the
// share of the peak that a kernel reaches is its MAC/s over those of `fma_peak` in the same run.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <limits>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/tile_bench.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/kernel_module.hpp"
#include "kernels/tile_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Ten chains: enough for two units of latency 4 or 5, few enough for 16 registers. Returns the MACs done.
std::int64_t fma_chains(std::int64_t steps, float* sink) {
    const hn::CappedTag<float, 16> floats;
    auto c0 = hn::Set(floats, 0.5F), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0, c8 = c0,
         c9 = c0;
    const auto factor = hn::Set(floats, 0.75F);
    const auto addend = hn::Set(floats, sink[0]);
    for (std::int64_t step = 0; step < steps; ++step) {
        c0 = hn::MulAdd(c0, factor, addend);
        c1 = hn::MulAdd(c1, factor, addend);
        c2 = hn::MulAdd(c2, factor, addend);
        c3 = hn::MulAdd(c3, factor, addend);
        c4 = hn::MulAdd(c4, factor, addend);
        c5 = hn::MulAdd(c5, factor, addend);
        c6 = hn::MulAdd(c6, factor, addend);
        c7 = hn::MulAdd(c7, factor, addend);
        c8 = hn::MulAdd(c8, factor, addend);
        c9 = hn::MulAdd(c9, factor, addend);
        HWY_FENCE;
    }
    const auto low = hn::Add(hn::Add(hn::Add(c0, c1), hn::Add(c2, c3)), c8);
    const auto high = hn::Add(hn::Add(hn::Add(c4, c5), hn::Add(c6, c7)), c9);
    hn::StoreU(hn::Add(low, high), floats, sink);
    return 10 * steps * static_cast<std::int64_t>(hn::Lanes(floats));
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kernels {
namespace {

HWY_EXPORT(fma_chains);

constexpr std::int64_t macs_of_tile = std::int64_t{tile} * tile * tile;

std::vector<std::uint16_t> bf16_tile(std::uint32_t seed) {
    std::vector<std::uint16_t> bits(std::size_t{tile} * tile);
    for (std::uint16_t& value : bits) {
        seed = seed * 1664525U + 1013904223U;
        value = static_cast<std::uint16_t>(((seed >> 16U) & 0x80FFU) | 0x3F00U);  // +-0.5 ... +-2
    }
    return bits;
}

std::vector<float> score_tile() {
    std::vector<float> scores(std::size_t{tile} * tile);
    for (std::size_t i = 0; i < scores.size(); ++i) {
        scores[i] = static_cast<float>(i * 2654435761U % 1024U) / 64.0F;
    }
    return scores;
}

struct StateBuffers {
    std::vector<float> row_max = std::vector<float>(tile, -std::numeric_limits<float>::infinity());
    std::vector<float> row_sum = std::vector<float>(tile, 0.0F);
    std::vector<float> context = std::vector<float>(std::size_t{tile} * tile, 0.0F);

    SoftmaxState softmax() { return {row_max.data(), row_sum.data()}; }
    AttentionState attention() { return {softmax(), context.data()}; }
};

void report_macs(benchmark::State& state, std::int64_t macs_per_iteration) {
    state.counters["MAC/s"] = benchmark::Counter(static_cast<double>(macs_per_iteration * state.iterations()),
                                                 benchmark::Counter::kIsRate);
    state.SetLabel(tile_kernels().target);
}

void fma_peak(benchmark::State& state) {
    std::vector<float> sink(16, 0.1F);
    std::int64_t macs = 0;
    for (auto _ : state) {
        macs = HWY_DYNAMIC_DISPATCH(fma_chains)(10000, sink.data());
        benchmark::ClobberMemory();
    }
    report_macs(state, macs);
}

void multiply(benchmark::State& state, Right layout) {
    const auto left = bf16_tile(1);
    const auto right = bf16_tile(2);
    std::vector<float> acc(std::size_t{tile} * tile, 0.0F);
    for (auto _ : state) {
        tile_kernels().multiply(left.data(), right.data(), layout, acc.data());
        benchmark::ClobberMemory();
    }
    report_macs(state, macs_of_tile);
}

// The same product as the three loops a first port would write.
void multiply_plain_loop(benchmark::State& state) {
    const auto left = score_tile();
    const auto right = score_tile();
    std::vector<float> acc(std::size_t{tile} * tile, 0.0F);
    for (auto _ : state) {
        for (std::size_t i = 0; i < tile; ++i) {
            for (std::size_t k = 0; k < tile; ++k) {
                for (std::size_t j = 0; j < tile; ++j) {
                    acc[i * tile + j] += left[i * tile + k] * right[k * tile + j];
                }
            }
        }
        benchmark::ClobberMemory();
    }
    report_macs(state, macs_of_tile);
}

void finish(benchmark::State& state) {
    const auto acc = score_tile();
    auto out = bf16_tile(3);
    for (auto _ : state) {
        tile_kernels().finish(acc.data(), 0.125F, Store::bf16_floor, out.data());
        benchmark::ClobberMemory();
    }
}

void softmax_update(benchmark::State& state) {
    const auto scores = score_tile();
    StateBuffers buffers;
    for (auto _ : state) {
        tile_kernels().softmax_update(scores.data(), tile, buffers.softmax());
        benchmark::ClobberMemory();
    }
}

void softmax_finish(benchmark::State& state) {
    const auto scores = score_tile();
    StateBuffers buffers;
    tile_kernels().softmax_update(scores.data(), tile, buffers.softmax());
    auto p = bf16_tile(4);
    for (auto _ : state) {
        tile_kernels().softmax_finish(scores.data(), tile, buffers.softmax(), Store::bf16_floor, p.data());
        benchmark::ClobberMemory();
    }
}

void attention_update(benchmark::State& state) {
    const auto query = bf16_tile(5);
    const auto key = bf16_tile(6);
    const auto value = bf16_tile(7);
    StateBuffers buffers;
    for (auto _ : state) {
        tile_kernels().attention_update(query.data(), key.data(), value.data(), tile, 0.125F,
                                        buffers.attention());
        benchmark::ClobberMemory();
    }
    report_macs(state, 2 * macs_of_tile);
}

const KernelTable& core_kernels() {
    static const KernelTable table = aie2_module().table();
    return table;
}

// Rows of 512 channels, or a tile, by the chain kernels and by the module of the core's own.
void layer_norm(benchmark::State& state, const KernelTable& (*of)()) {
    const KernelTable& table = of();
    constexpr int columns = 512;
    const auto x = score_tile();
    const auto weights = bf16_tile(8);
    auto out = bf16_tile(9);
    for (auto _ : state) {
        table.layer_norm(x.data(), weights.data(), weights.data() + columns, tile * tile / columns, columns,
                         Store::bf16_floor, out.data());
        benchmark::ClobberMemory();
    }
}

void gelu(benchmark::State& state, const KernelTable& (*of)()) {
    const KernelTable& table = of();
    const auto x = score_tile();
    auto out = bf16_tile(10);
    for (auto _ : state) {
        table.gelu(x.data(), tile * tile, Store::bf16_floor, out.data());
        benchmark::ClobberMemory();
    }
}

BENCHMARK(fma_peak)->Name("kernels/fma_peak");
BENCHMARK_CAPTURE(multiply, k_by_n, Right::k_by_n)->Name("kernels/multiply/k_by_n");
BENCHMARK_CAPTURE(multiply, n_by_k, Right::n_by_k)->Name("kernels/multiply/n_by_k");
BENCHMARK(multiply_plain_loop)->Name("kernels/multiply/plain_loop");
BENCHMARK(finish)->Name("kernels/finish");
BENCHMARK(softmax_update)->Name("kernels/softmax_update");
BENCHMARK(softmax_finish)->Name("kernels/softmax_finish");
BENCHMARK(attention_update)->Name("kernels/attention_update");
BENCHMARK_CAPTURE(layer_norm, chain, tile_kernels)->Name("kernels/layer_norm/chain");
BENCHMARK_CAPTURE(layer_norm, aie2, core_kernels)->Name("kernels/layer_norm/aie2");
BENCHMARK_CAPTURE(gelu, chain, tile_kernels)->Name("kernels/gelu/chain");
BENCHMARK_CAPTURE(gelu, aie2, core_kernels)->Name("kernels/gelu/aie2");

}  // namespace
}  // namespace kernels
#endif
