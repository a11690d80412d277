// How long it takes to model time: the worst plan there is, one launch for every 64x64x64 product, and good
// ones; and a product of 2048^3, pass by pass.
#include <benchmark/benchmark.h>

#include "npu_impl/layer_time.hpp"

namespace npu_impl {
namespace {

// Six layers, planned anew each time.
void model_an_encoder(benchmark::State& state, const char* design) {
    const Design& composed = *find_design(design);
    const CostModel model;
    std::int64_t launches = 0;
    for (auto _ : state) {
        launches = 0;
        for (int layer = 0; layer < 6; ++layer) {
            for (const StepCost& step : step_costs(composed, {state.range(0), 8}, model)) {
                launches += step.launches;
                benchmark::DoNotOptimize(step.seconds.total());
            }
        }
    }
    state.counters["launches"] = double(launches);
}

void model_a_product(benchmark::State& state) {
    const DeviceSpec& spec = *find_device_spec("8700g");
    const ArrayWork work = gemm_work({{2048, 2048, 2048}, {64, 64, 32}}, spec);
    const CostModel model{spec};
    for (auto _ : state) {
        benchmark::DoNotOptimize(model.cost(work).total());
    }
}

BENCHMARK_CAPTURE(model_an_encoder, tile_per_launch, "tile64")
    ->Arg(1500)
    ->Arg(3001)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(model_an_encoder, whole_array, "unfused")
    ->Arg(1500)
    ->Arg(3001)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(model_an_encoder, fused, "fused")->Arg(1500)->Arg(3001)->Unit(benchmark::kMillisecond);
BENCHMARK(model_a_product)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace npu_impl
