// How long the log-mel spectrogram of 30 s takes, and its Fourier transforms alone on one thread. Names:
// log_mel/<mels>, power_spectra. log_mel_peer_bench.py compares with numpy and PyTorch in the same run.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>

#include "reference/fourier.hpp"
#include "reference/log_mel.hpp"

namespace {

std::vector<float> noise(std::int64_t samples) {
    std::minstd_rand random(1);
    std::uniform_real_distribution<float> distribution(-0.5F, 0.5F);
    std::vector<float> values(static_cast<std::size_t>(samples));
    std::ranges::generate(values, [&] { return distribution(random); });
    return values;
}

void log_mel(benchmark::State& state) {
    const std::vector<float> samples = noise(30 * 16000);
    for (auto _ : state) {
        benchmark::DoNotOptimize(reference::log_mel(samples, static_cast<int>(state.range(0))));
    }
}

void power_spectra(benchmark::State& state) {
    constexpr std::int64_t frames = 3000;
    const std::vector<float> samples = noise(30 * 16000 + reference::fourier_samples);
    const std::vector<double> window(reference::fourier_samples, 1.0);
    std::vector<double> power(frames * reference::fourier_bins);
    for (auto _ : state) {
        reference::power_spectra(samples, window, frames, power);
        benchmark::DoNotOptimize(power.data());
    }
}

BENCHMARK(log_mel)->Arg(80)->Arg(128)->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK(power_spectra)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
