// What the judge costs beside the golden that it judges by: replays the blocks of one emulated layer, wave by
// wave as a path pushes them, into a judge of isolated runs. What a path pulls before each wave is pulled
// here too, outside the time that is measured.
#include <benchmark/benchmark.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "datasets/synthetic.hpp"
#include "harness/judge.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;

struct Block {
    Op op;
    datasets::Rows rows;
    std::int64_t columns;
    std::vector<float> values;
};

class BlockSink final : public datasets::Sink {
public:
    bool wants(Op) const override { return true; }
    void accept(Op op, datasets::Rows rows, const datasets::TensorView& values) override {
        Block block{op, rows, values.columns, {}};
        for (std::int64_t row = 0; row < values.rows; ++row) {
            const auto from = values.row(row);
            block.values.insert(block.values.end(), from.begin(), from.end());
        }
        const std::scoped_lock lock(mutex_);
        blocks_.push_back(std::move(block));
    }
    std::vector<Block> blocks() { return std::move(blocks_); }

private:
    std::mutex mutex_;
    std::vector<Block> blocks_;
};

datasets::LayerCase hard_layer(std::int64_t context) {
    datasets::SyntheticModel model;
    model.shape.context = context;
    datasets::LayerCase layer;
    layer.shape = model.shape;
    layer.stream = datasets::synthetic_embedding(model);
    layer.weights = datasets::synthetic_block(model, 0);
    return layer;
}

// Blocks of one op that are there at once: 16 pairs of head and row block.
std::vector<std::span<const Block>> waves_of(std::span<const Block> blocks) {
    std::vector<std::span<const Block>> out;
    for (std::size_t begin = 0, end = 0; begin < blocks.size(); begin = end) {
        while (end < blocks.size() && end < begin + 16 && blocks[end].op == blocks[begin].op) {
            ++end;
        }
        out.push_back(blocks.subspan(begin, end - begin));
    }
    return out;
}

void pull_squares(const reference::GoldenSource& source, std::span<const Block> wave, std::int64_t context) {
    tbb::parallel_for(std::size_t{0}, wave.size(), [&](std::size_t i) {
        for (const Op input : datasets::info(wave[i].op).inputs) {
            if (datasets::is_square(input)) {
                std::vector<float> rows(static_cast<std::size_t>(wave[i].rows.count * context));
                source.rows(input, wave[i].rows, rows);
            }
        }
    });
}

// `op`: judged alone; null: all that the design emits.
void judge_layer(benchmark::State& state, const char* design, const char* op) {
    const datasets::LayerCase layer = hard_layer(state.range(0));
    const reference::GoldenSource source(layer);
    const auto device = npu_impl::open_device("emulated", datasets::Emulation::fast);
    npu_impl::NpuPath path(*device, *npu_impl::find_design(design));
    BlockSink sink;
    const auto prepared = path.prepare(layer);
    for (const datasets::OpRange step : path.steps()) {
        if (datasets::attention_ops.contains(step.first)) {
            prepared->compute({step, -1}, source, sink);
        }
    }
    std::vector<Block> blocks = sink.blocks();
    std::erase_if(blocks, [&](const Block& block) {
        return std::string_view(op) != "" && block.op != datasets::parse_op(op);
    });
    const datasets::LayerCase rounded = rounded_weights(layer, path);
    const std::vector<std::span<const Block>> waves = waves_of(blocks);
    for (auto _ : state) {
        Judge judge(rounded, datasets::attention_ops, path, source, Input::isolated, -1);
        for (const std::span<const Block> wave : waves) {
            state.PauseTiming();
            pull_squares(source, wave, layer.shape.context);
            state.ResumeTiming();
            tbb::parallel_for(std::size_t{0}, wave.size(), [&](std::size_t i) {
                const Block& block = wave[i];
                judge.accept(block.op, block.rows,
                             {block.values.data(), block.rows.count, block.columns, block.columns});
            });
        }
        benchmark::DoNotOptimize(judge.statistics(blocks.front().op).rho);
    }
}

void golden_layer(benchmark::State& state) {
    const datasets::LayerCase layer = hard_layer(state.range(0));
    const reference::GoldenSource source(layer);
    reference::GoldenPath path;
    const auto prepared = path.prepare(layer);
    datasets::NullSink sink;
    for (auto _ : state) {
        prepared->compute({datasets::attention_ops, -1}, source, sink);
    }
}

void canonical(benchmark::internal::Benchmark* bench) {
    bench->Arg(1500)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
}

BENCHMARK(golden_layer)->Name("judge/golden")->Apply(canonical);
BENCHMARK_CAPTURE(judge_layer, unfused, "unfused", "")->Apply(canonical);
BENCHMARK_CAPTURE(judge_layer, fused, "fused", "")->Apply(canonical);
BENCHMARK_CAPTURE(judge_layer, query, "unfused", "query")->Apply(canonical);
BENCHMARK_CAPTURE(judge_layer, scores, "unfused", "scores")->Apply(canonical);
BENCHMARK_CAPTURE(judge_layer, probabilities, "unfused", "probabilities")->Apply(canonical);
BENCHMARK_CAPTURE(judge_layer, context, "unfused", "context")->Apply(canonical);
BENCHMARK_CAPTURE(judge_layer, output, "unfused", "output")->Apply(canonical);

}  // namespace
}  // namespace harness
