// How long the emulated device takes for one attention layer: host time, which says nothing about an NPU.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>

#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"

namespace npu_impl {
namespace {

void fill(std::vector<float>& values, std::size_t size, double deviation, std::mt19937& random) {
    std::normal_distribution<float> normal(0, static_cast<float>(deviation));
    values.resize(size);
    for (float& value : values) {
        value = normal(random);
    }
}

datasets::LayerCase layer_of(datasets::LayerShape shape) {
    std::mt19937 random(1);
    datasets::LayerCase layer;
    layer.shape = shape;
    const auto width = static_cast<std::size_t>(shape.width());
    fill(layer.input, static_cast<std::size_t>(shape.context) * width, 1, random);
    auto& [query, key, value, output] = layer.weights.attention;
    for (datasets::Linear* linear : {&query, &key, &value, &output}) {
        fill(linear->weight, width * width, 1 / std::sqrt(double(width)), random);
        fill(linear->bias, width, 1, random);
    }
    return layer;
}

class InputSource final : public datasets::Source {
public:
    explicit InputSource(const datasets::LayerCase& layer) : layer_(layer) {}
    void rows(datasets::Op, datasets::Rows rows, std::span<float> out) const override {
        std::copy_n(layer_.input.begin() + rows.begin * layer_.shape.width(), out.size(), out.begin());
    }

private:
    const datasets::LayerCase& layer_;
};

void emulated_layer(benchmark::State& state, const char* name, datasets::Emulation emulation) {
    const datasets::LayerCase layer = layer_of({state.range(0), 8});
    const InputSource source(layer);
    const auto device = open_device("emulated", emulation);
    NpuPath path(*device, *find_design(name));
    const auto prepared = path.prepare(layer);
    datasets::NullSink sink;
    for (auto _ : state) {
        prepared->compute({datasets::attention_ops, -1}, source, sink);
    }
    double flop = 0;
    for (const datasets::OpInfo& op : datasets::ops_in(datasets::attention_ops)) {
        flop += op.flop(layer.shape);
    }
    state.counters["flop"] = benchmark::Counter(flop, benchmark::Counter::kIsIterationInvariantRate);
}

void at_the_canonical_context(benchmark::internal::Benchmark* bench) {
    bench->Arg(1500)->Unit(benchmark::kMillisecond)->UseRealTime();
}

BENCHMARK_CAPTURE(emulated_layer, unfused_fast, "unfused", datasets::Emulation::fast)
    ->Apply(at_the_canonical_context);
BENCHMARK_CAPTURE(emulated_layer, fused_fast, "fused", datasets::Emulation::fast)
    ->Apply(at_the_canonical_context);
BENCHMARK_CAPTURE(emulated_layer, unfused_exact, "unfused", datasets::Emulation::exact)
    ->Apply(at_the_canonical_context);
BENCHMARK_CAPTURE(emulated_layer, fused_exact, "fused", datasets::Emulation::exact)
    ->Apply(at_the_canonical_context);

}  // namespace
}  // namespace npu_impl
