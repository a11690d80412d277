// How fast the golden encoder is, beside what bounds it: the same matrix products bare, over several row
// blocks; and what happens to single elements. Names: encoder/<context>, bare_encoder_sgemm/<context>/<row
// block>, gelu, layer_norm. One iteration of the first two is a whole Whisper base: stem of 80 mels, 6
// layers, end. At context 1500 the stem halves 3000 frames, at 3001 it halves nothing.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <array>
#include <cmath>
#include <map>
#include <memory>

#include "reference/bare_products.hpp"
#include "reference/elementwise.hpp"
#include "reference/golden.hpp"
#include "reference/layer_norm.hpp"

namespace {

using datasets::Op;
using reference::dense;
using reference::normal_tensor;

constexpr int heads = 8;
constexpr std::int64_t width = std::int64_t{heads} * datasets::head_width;
constexpr std::int64_t hidden = 4 * width;
constexpr int layers = 6;
constexpr int mels = 80;

datasets::Linear linear(std::int64_t outputs, std::int64_t inputs, unsigned seed) {
    const auto deviation = static_cast<float>(1 / std::sqrt(double(inputs)));
    return {normal_tensor(outputs * inputs, deviation, seed), normal_tensor(outputs, 0.1F, seed + 1)};
}

datasets::Norm norm(unsigned seed) {
    return {normal_tensor(width, 1, seed), normal_tensor(width, 0.1F, seed + 1)};
}

datasets::StemCase make_stem(std::int64_t context) {
    datasets::StemCase stem;
    stem.shape = {mels, context == 1500 ? 3000 : context, context == 1500 ? 2 : 1, heads};
    stem.weights = {linear(width, mels * 3, 1), linear(width, width * 3, 3),
                    normal_tensor(context * width, 0.5F, 5)};
    return stem;
}

datasets::LayerCase make_layer(std::int64_t context, int layer) {
    datasets::LayerCase made;
    made.layer = layer;
    made.shape = {context, heads};
    const unsigned seed = 100 * static_cast<unsigned>(layer + 1);
    datasets::BlockWeights& weights = made.weights;
    weights.attention_norm = norm(seed);
    weights.attention = {linear(width, width, seed + 2), linear(width, width, seed + 4),
                         linear(width, width, seed + 6), linear(width, width, seed + 8)};
    weights.attention.key.bias.clear();
    weights.mlp_norm = norm(seed + 10);
    weights.fc1 = linear(hidden, width, seed + 12);
    weights.fc2 = linear(width, hidden, seed + 14);
    return made;
}

// Hands the residual stream from piece to piece: it is all that is kept.
class Stream final : public datasets::Source, public datasets::Sink {
public:
    explicit Stream(std::int64_t context)
        : mel_(normal_tensor(make_stem(context).shape.frames * mels, 1, 9)),
          stream_(static_cast<std::size_t>(context * width)) {}

    void rows(Op op, datasets::Rows rows, std::span<float> out) const override {
        const std::vector<float>& from = op == Op::mel ? mel_ : stream_;
        std::copy_n(from.begin() + rows.begin * (op == Op::mel ? mels : width), out.size(), out.begin());
    }
    bool wants(Op op) const override { return op == Op::embedding || op == Op::block; }
    void accept(Op, datasets::Rows rows, const datasets::TensorView& values) override {
        for (std::int64_t i = 0; i < rows.count; ++i) {
            std::ranges::copy(values.row(i), stream_.begin() + (rows.begin + i) * width);
        }
    }

private:
    std::vector<float> mel_;
    std::vector<float> stream_;
};

class Encoder {
public:
    explicit Encoder(std::int64_t context)
        : stem_(make_stem(context)), end_{{context, heads}, norm(7)}, stream_(context) {
        for (int layer = 0; layer < layers; ++layer) {
            layers_.push_back(make_layer(context, layer));
        }
        pieces_.push_back({datasets::stem_ops, path_.prepare(stem_)});
        for (const datasets::LayerCase& layer : layers_) {
            pieces_.push_back({datasets::layer_ops, path_.prepare(layer)});
        }
        pieces_.push_back({datasets::end_ops, path_.prepare(end_)});
    }

    void run(std::map<Op, double>& seconds) {
        for (const auto& [ops, piece] : pieces_) {
            for (const datasets::Part& part : piece->compute({ops, -1}, stream_, stream_)) {
                seconds[part.ops.first] += part.seconds;
            }
        }
    }

private:
    struct Piece {
        datasets::OpRange ops;
        std::unique_ptr<datasets::PreparedLayer> prepared;
    };

    reference::GoldenPath path_;
    datasets::StemCase stem_;
    std::vector<datasets::LayerCase> layers_;
    datasets::EndCase end_;
    Stream stream_;
    std::vector<Piece> pieces_;
};

void encoder(benchmark::State& state) {
    Encoder golden(state.range(0));
    std::map<Op, double> seconds;
    // Memory is allocated by the first run and kept, here and below.
    golden.run(seconds);
    seconds.clear();
    for ([[maybe_unused]] auto _ : state) {
        golden.run(seconds);
    }
    for (const auto& [op, sum] : seconds) {
        state.counters[std::string(datasets::name(op)) + "_ms"] =
            1e3 * sum / static_cast<double>(state.iterations());
    }
    state.SetLabel(reference::blas_info().core_type);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    state.counters["peak_process_mb"] = static_cast<double>(usage.ru_maxrss) / 1024;
}

// The products of the whole encoder. The strips that the convolutions multiply are there beforehand.
class BareEncoder {
public:
    BareEncoder(std::int64_t context, std::int64_t block)
        : stem_(make_stem(context)), context_(context), products_(block) {
        for (int layer = 0; layer < layers; ++layer) {
            layers_.push_back(make_layer(context, layer));
        }
        mel_strip_ = normal_tensor(stem_.shape.frames * mels * 3, 1, 9);
        conv1_.resize(static_cast<std::size_t>(stem_.shape.frames * width));
        conv1_strip_ = normal_tensor(context * width * 3, 1, 10);
        for (std::vector<float>& tensor : tensors_) {
            tensor = normal_tensor(context * width, 1, 11);
        }
    }

    void run() {
        products_.multiply(dense(mel_strip_.data(), stem_.shape.frames, mels * 3), stem_.weights.conv1.weight,
                           dense(conv1_.data(), stem_.shape.frames, width));
        products_.multiply(dense(conv1_strip_.data(), context_, width * 3), stem_.weights.conv2.weight,
                           of(0));
        for (const datasets::LayerCase& layer : layers_) {
            const datasets::BlockWeights& weights = layer.weights;
            products_.multiply(of(0), weights.attention.query.weight, of(1));
            products_.multiply(of(0), weights.attention.key.weight, of(2));
            products_.multiply(of(0), weights.attention.value.weight, of(3));
            products_.attend(of(1), of(2), of(3), of(4));
            products_.multiply(of(4), weights.attention.output.weight, of(5));
            products_.multiply_twice(of(0), weights.fc1.weight, weights.fc2.weight, of(5));
        }
    }

private:
    reference::Matrix<float> of(std::size_t tensor) {
        return dense(tensors_[tensor].data(), context_, width);
    }

    datasets::StemCase stem_;
    std::vector<datasets::LayerCase> layers_;
    std::int64_t context_;
    reference::BareProducts products_;
    std::vector<float> mel_strip_, conv1_, conv1_strip_;
    std::array<std::vector<float>, 6> tensors_;
};

void bare_encoder_sgemm(benchmark::State& state) {
    BareEncoder products(state.range(0), state.range(1));
    products.run();
    for ([[maybe_unused]] auto _ : state) {
        products.run();
    }
}

// On one thread, on elements that stay in cache.
void gelu(benchmark::State& state) {
    const std::vector<float> x = normal_tensor(8192, 2, 1);
    std::vector<float> y(x.size());
    double elements = 0;
    for ([[maybe_unused]] auto _ : state) {
        y = x;
        reference::gelu(y);
        benchmark::DoNotOptimize(y.data());
        elements += static_cast<double>(y.size());
    }
    state.counters["ns_per_element"] =
        benchmark::Counter(1e-9 * elements, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void layer_norm(benchmark::State& state) {
    constexpr std::int64_t rows = 16;
    const datasets::Norm weights = norm(1);
    const std::vector<float> x = normal_tensor(rows * width, 2, 3);
    std::vector<float> y(x.size());
    double elements = 0;
    for ([[maybe_unused]] auto _ : state) {
        reference::layer_norm(weights, dense(x.data(), rows, width), dense(y.data(), rows, width));
        benchmark::DoNotOptimize(y.data());
        elements += static_cast<double>(y.size());
    }
    state.counters["ns_per_element"] =
        benchmark::Counter(1e-9 * elements, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void with_row_blocks(benchmark::internal::Benchmark* bench) {
    for (const std::int64_t context : {1500, 3001}) {
        for (const std::int64_t block : {64, 128, 192, 256, 384, 512}) {
            bench->Args({context, block});
        }
    }
}

BENCHMARK(encoder)
    ->Arg(1500)
    ->Arg(3001)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();
BENCHMARK(bare_encoder_sgemm)
    ->Apply(with_row_blocks)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();
BENCHMARK(gelu);
BENCHMARK(layer_norm);

}  // namespace
