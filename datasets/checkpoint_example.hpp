// Checkpoints for the tests and fuzz targets of this folder: an encoder written as the formats describe it,
// without the readers' code.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "datasets/bf16.hpp"
#include "datasets/layer_case.hpp"
#include "datasets/positions.hpp"

namespace datasets {

enum class ExampleNames : std::uint8_t { hugging_face, hugging_face_encoder, openai };
enum class ExampleDtype : std::uint8_t { f32, f16, bf16 };

// A tensor on its way into a file.
struct ExampleTensor {
    std::string name;
    std::vector<std::int64_t> dims;
    std::vector<float> values;
    ExampleDtype dtype = ExampleDtype::f32;
};

// To nearest even, by scaling to units of the last place: another way than a reader's shifts.
inline std::uint16_t half_bits(float value) {
    const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000U : 0U);
    const double magnitude = std::abs(static_cast<double>(value));
    if (magnitude >= 65520) {
        return static_cast<std::uint16_t>(sign | 0x7C00U);
    }
    const int exponent = magnitude < 0x1p-14 ? -14 : std::ilogb(magnitude);
    const auto units = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
    // 1024 to 2048 units at this exponent; the carry of a full 2048 runs into the exponent by itself.
    return static_cast<std::uint16_t>(sign + (static_cast<std::uint32_t>(exponent + 14) << 10U) + units);
}

inline std::string stored_bytes(const ExampleTensor& tensor) {
    std::string bytes;
    for (const float value : tensor.values) {
        const std::uint32_t bits = tensor.dtype == ExampleDtype::f32 ? std::bit_cast<std::uint32_t>(value)
                                   : tensor.dtype == ExampleDtype::f16
                                       ? half_bits(value)
                                       : to_bf16(value, Rounding::nearest_even).bits;
        for (int shift = 0; shift < (tensor.dtype == ExampleDtype::f32 ? 32 : 16); shift += 8) {
            bytes += static_cast<char>((bits >> static_cast<unsigned>(shift)) & 0xFFU);
        }
    }
    return bytes;
}

// An encoder with values of N(0, 1) / 8 and the published positions.
inline EncoderWeights example_encoder(int heads, int layers, int mels, std::int64_t context = 12) {
    std::mt19937 engine(static_cast<std::uint32_t>(1000 * heads + 10 * layers + mels));
    const auto values = [&](std::int64_t size) {
        std::vector<float> tensor(static_cast<std::size_t>(size));
        for (float& value : tensor) {
            value = static_cast<float>(static_cast<std::int32_t>(engine())) * 0x1p-33F;
        }
        return tensor;
    };
    EncoderWeights weights;
    weights.mels = mels;
    weights.heads = heads;
    const std::int64_t width = weights.width();
    const auto linear = [&](std::int64_t rows, std::int64_t columns) {
        return Linear{values(rows * columns), values(rows)};
    };
    weights.stem = {linear(width, 3 * mels), linear(width, 3 * width), sinusoid_positions(context, width)};
    for (int layer = 0; layer < layers; ++layer) {
        BlockWeights block;
        block.attention_norm = {values(width), values(width)};
        block.attention = {
            linear(width, width), {values(width * width), {}}, linear(width, width), linear(width, width)};
        block.mlp_norm = {values(width), values(width)};
        block.fc1 = linear(4 * width, width);
        block.fc2 = linear(width, 4 * width);
        weights.blocks.push_back(std::move(block));
    }
    weights.final_norm = {values(width), values(width)};
    return weights;
}

// The tensors under their published names, each name spelled out here a second time.
inline std::vector<ExampleTensor> example_tensors(const EncoderWeights& weights, ExampleNames names) {
    const bool openai = names == ExampleNames::openai;
    const std::string prefix = names == ExampleNames::hugging_face ? "model.encoder." : "encoder.";
    const std::int64_t width = weights.width();
    std::vector<ExampleTensor> tensors;
    const auto add = [&](const std::string& name, std::vector<std::int64_t> dims,
                         const std::vector<float>& values) {
        tensors.push_back({prefix + name, std::move(dims), values});
    };
    const auto add_pair = [&](const std::string& name, std::vector<std::int64_t> dims,
                              const std::vector<float>& weight, const std::vector<float>& bias) {
        const std::int64_t rows = dims.front();
        add(name + ".weight", std::move(dims), weight);
        if (!bias.empty()) {
            add(name + ".bias", {rows}, bias);
        }
    };
    add(openai ? "positional_embedding" : "embed_positions.weight",
        {std::ssize(weights.stem.positions) / width, width}, weights.stem.positions);
    add_pair("conv1", {width, weights.mels, 3}, weights.stem.conv1.weight, weights.stem.conv1.bias);
    add_pair("conv2", {width, width, 3}, weights.stem.conv2.weight, weights.stem.conv2.bias);
    for (int layer = 0; layer < weights.layers(); ++layer) {
        const BlockWeights& block = weights.blocks[static_cast<std::size_t>(layer)];
        const std::string at = fmt::format("{}.{}.", openai ? "blocks" : "layers", layer);
        const auto linear = [&](const char* hugging_face, const char* of_openai,
                                std::vector<std::int64_t> dims, const Linear& values) {
            add_pair(fmt::format("{}{}", at, openai ? of_openai : hugging_face), std::move(dims),
                     values.weight, values.bias);
        };
        const auto norm = [&](const char* hugging_face, const char* of_openai, const Norm& values) {
            add_pair(fmt::format("{}{}", at, openai ? of_openai : hugging_face), {width}, values.gain,
                     values.bias);
        };
        linear("self_attn.q_proj", "attn.query", {width, width}, block.attention.query);
        linear("self_attn.k_proj", "attn.key", {width, width}, block.attention.key);
        linear("self_attn.v_proj", "attn.value", {width, width}, block.attention.value);
        linear("self_attn.out_proj", "attn.out", {width, width}, block.attention.output);
        norm("self_attn_layer_norm", "attn_ln", block.attention_norm);
        linear("fc1", "mlp.0", {4 * width, width}, block.fc1);
        linear("fc2", "mlp.2", {width, 4 * width}, block.fc2);
        norm("final_layer_norm", "mlp_ln", block.mlp_norm);
    }
    add_pair(openai ? "ln_post" : "layer_norm", {width}, weights.final_norm.gain, weights.final_norm.bias);
    const std::string decoder = names == ExampleNames::hugging_face ? "model.decoder." : "decoder.";
    tensors.push_back({fmt::format("{}layers.0.fc1.weight", decoder), {2, 3}, {1, 2, 3, 4, 5, 6}});
    return tensors;
}

inline std::string little_endian(std::uint64_t value, int bytes) {
    std::string text;
    for (int index = 0; index < bytes; ++index) {
        text += static_cast<char>((value >> static_cast<unsigned>(8 * index)) & 0xFFU);
    }
    return text;
}

inline std::string_view dtype_name(ExampleDtype dtype) {
    return dtype == ExampleDtype::f32 ? "F32" : dtype == ExampleDtype::f16 ? "F16" : "BF16";
}

// A safetensors file with a header of these texts.
inline std::string safetensors_bytes(const std::string& header, const std::string& payload) {
    return little_endian(header.size(), 8) + header + payload;
}

// The entry of one tensor in the header.
inline std::string safetensors_entry(const std::string& name, std::string_view dtype,
                                     const std::vector<std::int64_t>& dims, std::size_t begin,
                                     std::size_t end) {
    return fmt::format(R"("{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", name, dtype,
                       fmt::join(dims, ","), begin, end);
}

inline std::string safetensors_of(const std::vector<ExampleTensor>& tensors) {
    std::string header = R"({"__metadata__":{"format":"pt"})";
    std::string payload;
    for (const ExampleTensor& tensor : tensors) {
        const std::string bytes = stored_bytes(tensor);
        header += fmt::format(",{}", safetensors_entry(tensor.name, dtype_name(tensor.dtype), tensor.dims,
                                                       payload.size(), payload.size() + bytes.size()));
        payload += bytes;
    }
    return safetensors_bytes(header + "}", payload);
}

// The eleven hyperparameters of a ggml file for this encoder.
inline std::vector<std::int32_t> ggml_hyperparameters(const EncoderWeights& weights) {
    const auto width = static_cast<std::int32_t>(weights.width());
    const auto context = static_cast<std::int32_t>(std::ssize(weights.stem.positions) / weights.width());
    return {51865, context,      width, weights.heads, weights.layers(), 448, width, weights.heads,
            1,     weights.mels, 1};
}

inline std::string ggml_tensor(const ExampleTensor& tensor, std::int32_t type) {
    std::vector<std::int64_t> dims = tensor.dims;
    if (tensor.name.ends_with("conv1.bias") || tensor.name.ends_with("conv2.bias")) {
        dims.push_back(1);
    }
    std::string bytes = little_endian(dims.size(), 4) + little_endian(tensor.name.size(), 4) +
                        little_endian(static_cast<std::uint32_t>(type), 4);
    for (auto dim = dims.rbegin(); dim != dims.rend(); ++dim) {
        bytes += little_endian(static_cast<std::uint64_t>(*dim), 4);
    }
    return bytes + tensor.name + stored_bytes(tensor);
}

// Magic, hyperparameters, two mel filters of three and three words.
inline std::string ggml_head(const std::vector<std::int32_t>& hyperparameters) {
    std::string bytes = little_endian(0x67676D6C, 4);
    for (const std::int32_t value : hyperparameters) {
        bytes += little_endian(static_cast<std::uint32_t>(value), 4);
    }
    bytes += little_endian(2, 4) + little_endian(3, 4) + std::string(2 * 3 * 4, '\0');
    bytes += little_endian(3, 4);
    for (const std::string word : {"a", "", "and so"}) {
        bytes += little_endian(word.size(), 4) + word;
    }
    return bytes;
}

// f16: as whisper.cpp's converter does it, matrices but no vectors and no positions.
inline std::string ggml_of(const EncoderWeights& weights, ExampleDtype dtype) {
    std::string bytes = ggml_head(ggml_hyperparameters(weights));
    for (ExampleTensor& tensor : example_tensors(weights, ExampleNames::openai)) {
        const bool is_matrix = tensor.dims.size() > 1 && !tensor.name.ends_with("positional_embedding");
        tensor.dtype = is_matrix ? dtype : ExampleDtype::f32;
        bytes += ggml_tensor(tensor, tensor.dtype == ExampleDtype::f32 ? 0 : 1);
    }
    return bytes;
}

}  // namespace datasets
