// How long the emulated device takes for the attention, or the MLP, of one layer: host time, which says
// nothing about an NPU.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>

#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"

namespace npu_impl {
namespace {

constexpr datasets::OpRange mlp{datasets::Op::mlp_norm, datasets::Op::fc2};
constexpr datasets::OpRange gelu_alone{datasets::Op::gelu, datasets::Op::gelu};
constexpr datasets::OpRange norm_alone{datasets::Op::mlp_norm, datasets::Op::mlp_norm};

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
    fill(layer.weights.mlp_norm.gain, width, 1, random);
    fill(layer.weights.mlp_norm.bias, width, 1, random);
    for (datasets::Linear* linear : {&layer.weights.fc1, &layer.weights.fc2}) {
        const bool first = linear == &layer.weights.fc1;
        fill(linear->weight, 4 * width * width, 1 / std::sqrt(double(width)), random);
        fill(linear->bias, (first ? 4 : 1) * width, 1, random);
    }
    return layer;
}

class InputSource final : public datasets::Source {
public:
    explicit InputSource(const datasets::LayerCase& layer) : layer_(layer) {}
    // The layer's input stands for any tensor, repeated to its width.
    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override {
        const std::int64_t repeat = op == datasets::Op::fc1 ? 4 : 1;
        const auto part = static_cast<std::ptrdiff_t>(out.size()) / repeat;
        for (std::int64_t i = 0; i < repeat; ++i) {
            std::copy_n(layer_.input.begin() + rows.begin * layer_.shape.width(), part,
                        out.begin() + i * part);
        }
    }

private:
    const datasets::LayerCase& layer_;
};

void emulated(benchmark::State& state, const char* name, datasets::OpRange ops,
              datasets::Emulation emulation) {
    const datasets::LayerCase layer = layer_of({state.range(0), 8});
    const InputSource source(layer);
    const auto device = open_device("emulated", emulation);
    NpuPath path(*device, *find_design(name));
    const auto prepared = path.prepare(layer);
    datasets::NullSink sink;
    for (auto _ : state) {
        prepared->compute({ops, -1}, source, sink);
    }
    double flop = 0;
    for (const datasets::OpInfo& op : datasets::ops_in(ops)) {
        flop += op.flop(layer.shape);
    }
    state.counters["flop"] = benchmark::Counter(flop, benchmark::Counter::kIsIterationInvariantRate);
}

void emulated_layer(benchmark::State& state, const char* name, datasets::Emulation emulation) {
    emulated(state, name, datasets::attention_ops, emulation);
}

void emulated_mlp(benchmark::State& state, datasets::OpRange ops, datasets::Emulation emulation) {
    emulated(state, "unfused", ops, emulation);
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
BENCHMARK_CAPTURE(emulated_mlp, all_fast, mlp, datasets::Emulation::fast)->Apply(at_the_canonical_context);
BENCHMARK_CAPTURE(emulated_mlp, all_exact, mlp, datasets::Emulation::exact)->Apply(at_the_canonical_context);
BENCHMARK_CAPTURE(emulated_mlp, gelu_fast, gelu_alone, datasets::Emulation::fast)
    ->Apply(at_the_canonical_context);
BENCHMARK_CAPTURE(emulated_mlp, gelu_exact, gelu_alone, datasets::Emulation::exact)
    ->Apply(at_the_canonical_context);
BENCHMARK_CAPTURE(emulated_mlp, norm_fast, norm_alone, datasets::Emulation::fast)
    ->Apply(at_the_canonical_context);
BENCHMARK_CAPTURE(emulated_mlp, norm_exact, norm_alone, datasets::Emulation::exact)
    ->Apply(at_the_canonical_context);

}  // namespace
}  // namespace npu_impl
