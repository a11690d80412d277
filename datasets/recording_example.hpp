// Small recordings for the tests of this folder, in a temporary folder of their own.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "datasets/recording.hpp"

namespace datasets {

// A folder that lives as long as this.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "recording_test_XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error("no temporary folder");
        }
        folder_ = name;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    [[nodiscard]] std::string file(const std::string& name) const { return (folder_ / name).string(); }
    [[nodiscard]] const std::filesystem::path& path() const { return folder_; }

private:
    std::filesystem::path folder_;
};

inline RecordingInfo example_info(LayerShape shape, int layers, int clips) {
    RecordingInfo info;
    info.source = "synthetic";
    info.producer = "recording_test";
    info.producer_version = "1.2.3";
    info.created_utc = "2026-01-02T03:04:05Z";
    info.model_id = "example";
    info.model_sha256 = std::string(64, 'a');
    info.recipe = "example 1";
    info.blas = "none";
    info.seed = 0xFFFFFFFFFFFFFFFFULL;
    info.context = shape.context;
    info.heads = shape.heads;
    info.layers = layers;
    for (int clip = 0; clip < clips; ++clip) {
        info.clips.push_back({std::string(1, static_cast<char>('a' + clip)), 1.5 + clip, shape.context});
    }
    return info;
}

enum class Holds : std::uint8_t { everything, input_only };

// Pseudo-random values in [-1, 1).
inline void fill_example(std::vector<float>& tensor, std::int64_t size, int seed) {
    std::mt19937 engine(static_cast<std::uint32_t>(seed));
    tensor.resize(static_cast<std::size_t>(size));
    for (float& value : tensor) {
        value = static_cast<float>(static_cast<std::int32_t>(engine())) * 0x1p-31F;
    }
}

// Values that depend on clip, layer and tensor; of the weights only on layer and tensor.
inline LayerCase example_layer(const RecordingInfo& info, int clip, int layer,
                               Holds holds = Holds::everything) {
    LayerCase result;
    result.clip = info.clips.at(static_cast<std::size_t>(clip)).id;
    result.layer = layer;
    result.shape = info.shape();
    const std::int64_t width = info.shape().width();
    int seed = 1000 * (100 * clip + layer + 1);
    fill_example(result.input, info.context * width, seed);
    if (holds == Holds::everything) {
        for (const Op op : {Op::query, Op::key, Op::value, Op::context, Op::output}) {
            fill_example(result.recorded[op], info.context * width, ++seed);
        }
        fill_example(result.row_max, info.context * info.heads, ++seed);
        fill_example(result.row_log_sum_exp, info.context * info.heads, ++seed);
    }
    seed = 500 * (layer + 1);
    for (Linear* linear : {&result.weights.attention.query, &result.weights.attention.key,
                           &result.weights.attention.value, &result.weights.attention.output}) {
        fill_example(linear->weight, width * width, ++seed);
        if (linear != &result.weights.attention.key) {
            fill_example(linear->bias, width, ++seed);
        }
    }
    return result;
}

// The layer of a recording of a whole encoder.
inline LayerCase example_whole_layer(const RecordingInfo& info, int clip, int layer) {
    LayerCase result = example_layer(info, clip, layer);
    const std::int64_t width = info.shape().width();
    const std::int64_t hidden = info.shape().mlp_width();
    int seed = 1000 * (100 * clip + layer + 1) + 100;
    for (const Op op : {Op::attention_residual, Op::mlp_norm, Op::fc2, Op::block}) {
        fill_example(result.recorded[op], info.context * width, ++seed);
    }
    fill_example(result.recorded[Op::gelu], info.context * hidden, ++seed);
    seed = 500 * (layer + 1) + 100;
    BlockWeights& weights = result.weights;
    for (auto* tensor : {&weights.attention_norm.gain, &weights.attention_norm.bias, &weights.mlp_norm.gain,
                         &weights.mlp_norm.bias, &weights.fc2.bias}) {
        fill_example(*tensor, width, ++seed);
    }
    fill_example(weights.fc1.bias, hidden, ++seed);
    fill_example(weights.fc1.weight, hidden * width, ++seed);
    fill_example(weights.fc2.weight, hidden * width, ++seed);
    return result;
}

inline Norm example_end(const RecordingInfo& info) {
    Norm norm;
    fill_example(norm.gain, info.shape().width(), 7);
    fill_example(norm.bias, info.shape().width(), 8);
    return norm;
}

// `frames` of the mel spectrogram.
inline ClipTensors example_clip(const RecordingInfo& info, int clip, std::int64_t frames) {
    ClipTensors tensors;
    const int seed = 100000 * (clip + 1);
    fill_example(tensors.audio, 160 * frames, seed + 1);
    fill_example(tensors.mel, info.mels * frames, seed + 2);
    fill_example(tensors.embedding, info.context * info.shape().width(), seed + 3);
    fill_example(tensors.encoder, info.context * info.shape().width(), seed + 4);
    return tensors;
}

inline void write_example(const std::string& file, const RecordingInfo& info, DType store = DType::f32,
                          Holds holds = Holds::everything) {
    RecordingWriter writer(file, info, {.store = store});
    for (int clip = 0; clip < std::ssize(info.clips); ++clip) {
        for (int layer = 0; layer < info.layers; ++layer) {
            writer.write(example_layer(info, clip, layer, holds));
        }
    }
    writer.finish();
}

inline std::string read_bytes(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

inline void write_bytes(const std::string& file, const std::string& bytes) {
    std::ofstream stream(file, std::ios::binary | std::ios::trunc);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace datasets
