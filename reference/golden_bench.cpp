// How fast the golden attention is, beside what bounds it: the same matrix products bare, without softmax, in
// the schedule that golden uses, over several row blocks; and the softmax alone. Names: golden/<context>,
// bare_sgemm/<context>/<row block>, softmax/<context>. One iteration is one layer of Whisper base (8 heads).
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>

#include "reference/bare_products.hpp"
#include "reference/golden.hpp"
#include "reference/softmax.hpp"

namespace {

using datasets::head_width;
using reference::dense;
using reference::normal_tensor;

constexpr int heads = 8;
constexpr std::int64_t width = std::int64_t{heads} * head_width;

// Logits of a few units, as trained attention has them.
datasets::LayerCase make_layer(std::int64_t context) {
    datasets::LayerCase layer;
    layer.shape = {context, heads};
    unsigned seed = 1;
    layer.input = normal_tensor(context * width, 1, seed);
    for (datasets::Linear* linear : {&layer.weights.attention.query, &layer.weights.attention.key,
                                     &layer.weights.attention.value, &layer.weights.attention.output}) {
        linear->weight = normal_tensor(width * width, 0.06F, ++seed);
        linear->bias = normal_tensor(width, 0.1F, ++seed);
    }
    layer.weights.attention.key.bias.clear();
    return layer;
}

class InputSource final : public datasets::Source {
public:
    explicit InputSource(const std::vector<float>& input) : input_(input) {}
    void rows(datasets::Op, datasets::Rows rows, std::span<float> out) const override {
        std::copy_n(input_.begin() + rows.begin * width, out.size(), out.begin());
    }

private:
    const std::vector<float>& input_;
};

void golden(benchmark::State& state) {
    const datasets::LayerCase layer = make_layer(state.range(0));
    const InputSource source(layer.input);
    datasets::NullSink sink;
    reference::GoldenLayer prepared(layer);
    // Buffers are allocated by the first run and kept, here and below.
    prepared.compute({}, source, sink);
    std::vector<double> seconds(datasets::attention_op_count, 0.0);
    for ([[maybe_unused]] auto _ : state) {
        const std::vector<datasets::Part> parts = prepared.compute({}, source, sink);
        for (std::size_t i = 0; i < parts.size(); ++i) {
            seconds[i] += parts[i].seconds;
        }
    }
    const auto ops = datasets::ops_in(datasets::attention_ops);
    for (std::size_t i = 0; i < seconds.size(); ++i) {
        state.counters[std::string(ops[i].name) + "_ms"] =
            1e3 * seconds[i] / static_cast<double>(state.iterations());
    }
    state.SetLabel(reference::blas_info().core_type);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    state.counters["peak_process_mb"] = static_cast<double>(usage.ru_maxrss) / 1024;
}

// The products of one layer's attention and nothing else, with every tensor in place.
class BareLayer {
public:
    BareLayer(std::int64_t context, std::int64_t block) : layer_(make_layer(context)), products_(block) {
        for (std::vector<float>* tensor : {&query_, &key_, &value_, &context_, &output_}) {
            tensor->resize(layer_.input.size());
        }
    }

    void run() {
        const datasets::AttentionWeights& weights = layer_.weights.attention;
        products_.multiply(of(layer_.input), weights.query.weight, of(query_));
        products_.multiply(of(layer_.input), weights.key.weight, of(key_));
        products_.multiply(of(layer_.input), weights.value.weight, of(value_));
        products_.attend(of(query_), of(key_), of(value_), of(context_));
        products_.multiply(of(context_), weights.output.weight, of(output_));
    }

private:
    reference::Matrix<float> of(std::vector<float>& tensor) {
        return dense(tensor.data(), layer_.shape.context, width);
    }

    datasets::LayerCase layer_;
    reference::BareProducts products_;
    std::vector<float> query_, key_, value_, context_, output_;
};

void bare_sgemm(benchmark::State& state) {
    BareLayer layer(state.range(0), state.range(1));
    layer.run();
    for ([[maybe_unused]] auto _ : state) {
        layer.run();
    }
}

// The exponentials of one head's slab of 192 rows at a time, as many as a layer has; on one thread.
void softmax(benchmark::State& state) {
    const std::int64_t context = state.range(0);
    constexpr std::int64_t rows = 192;
    const std::vector<float> scores = normal_tensor(rows * context, 3, 1);
    std::vector<float> slab(scores.size());
    std::vector<float> maxima(rows);
    std::vector<float> sums(rows);
    double elements = 0;
    for ([[maybe_unused]] auto _ : state) {
        state.PauseTiming();
        slab = scores;
        state.ResumeTiming();
        reference::exponentials(dense(slab.data(), rows, context), maxima, sums);
        benchmark::DoNotOptimize(sums.data());
        elements += static_cast<double>(slab.size());
    }
    state.counters["elements_per_second"] = benchmark::Counter(elements, benchmark::Counter::kIsRate);
}

void with_row_blocks(benchmark::internal::Benchmark* bench) {
    for (const std::int64_t context : {1500, 3001}) {
        for (const std::int64_t block : {64, 128, 192, 256, 384, 512}) {
            bench->Args({context, block});
        }
    }
}

BENCHMARK(golden)
    ->Arg(1500)
    ->Arg(3001)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();
BENCHMARK(bare_sgemm)
    ->Apply(with_row_blocks)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();
BENCHMARK(softmax)
    ->Arg(1500)
    ->Arg(3001)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();

}  // namespace
