// What is written in any format, under any names, in any dtype comes back: bit for bit in fp32, exactly
// rounded in f16 and bf16, each tensor in its place and orientation.
#include "datasets/checkpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "datasets/checkpoint_example.hpp"
#include "datasets/checkpoint_names.hpp"
#include "datasets/half.hpp"
#include "datasets/recording_example.hpp"
#include "datasets/sha256.hpp"
#include "datasets/whisper_size.hpp"

namespace datasets {
namespace {

std::vector<float> rounded(std::vector<float> values, ExampleDtype dtype) {
    for (float& value : values) {
        value = dtype == ExampleDtype::f16    ? to_float(Half{half_bits(value)})
                : dtype == ExampleDtype::bf16 ? round_to_bf16(value, Rounding::nearest_even)
                                              : value;
    }
    return values;
}

// Every tensor of `got` is that of `wanted`, rounded; vectors and positions only if `vectors` says so.
void expect_same(const EncoderWeights& got, const EncoderWeights& wanted, ExampleDtype dtype,
                 ExampleDtype vectors) {
    const auto same = [](const std::vector<float>& left, const std::vector<float>& right, ExampleDtype how) {
        EXPECT_EQ(left.size(), right.size());
        EXPECT_TRUE(left == rounded(right, how));
    };
    const auto linear = [&](const Linear& left, const Linear& right) {
        same(left.weight, right.weight, dtype);
        same(left.bias, right.bias, vectors);
    };
    const auto norm = [&](const Norm& left, const Norm& right) {
        same(left.gain, right.gain, vectors);
        same(left.bias, right.bias, vectors);
    };
    EXPECT_EQ(got.mels, wanted.mels);
    EXPECT_EQ(got.heads, wanted.heads);
    ASSERT_EQ(got.layers(), wanted.layers());
    linear(got.stem.conv1, wanted.stem.conv1);
    linear(got.stem.conv2, wanted.stem.conv2);
    same(got.stem.positions, wanted.stem.positions, vectors);
    for (std::size_t layer = 0; layer < wanted.blocks.size(); ++layer) {
        const BlockWeights& left = got.blocks[layer];
        const BlockWeights& right = wanted.blocks[layer];
        norm(left.attention_norm, right.attention_norm);
        linear(left.attention.query, right.attention.query);
        linear(left.attention.key, right.attention.key);
        linear(left.attention.value, right.attention.value);
        linear(left.attention.output, right.attention.output);
        norm(left.mlp_norm, right.mlp_norm);
        linear(left.fc1, right.fc1);
        linear(left.fc2, right.fc2);
        EXPECT_TRUE(left.attention.key.bias.empty());
    }
    norm(got.final_norm, wanted.final_norm);
}

std::string hash_of_file(const std::string& file) {
    const std::string bytes = read_bytes(file);
    return sha256_hex(std::as_bytes(std::span(bytes)));
}

class Checkpoint : public testing::Test {
protected:
    std::string write(const std::string& name, const std::string& bytes) {
        const std::string file = folder_.file(name);
        write_bytes(file, bytes);
        return file;
    }

    TemporaryFolder folder_;
    const EncoderWeights encoder_ = example_encoder(2, 3, 5);
};

TEST_F(Checkpoint, SafetensorsComeBackUnderEveryNamingAndDtype) {
    for (const ExampleNames names :
         {ExampleNames::hugging_face, ExampleNames::hugging_face_encoder, ExampleNames::openai}) {
        for (const ExampleDtype dtype : {ExampleDtype::f32, ExampleDtype::f16, ExampleDtype::bf16}) {
            std::vector<ExampleTensor> tensors = example_tensors(encoder_, names);
            for (ExampleTensor& tensor : tensors) {
                tensor.dtype = dtype;
            }
            const std::string file = write("model.safetensors", safetensors_of(tensors));
            const EncoderWeights got = read_checkpoint(file);
            expect_same(got, encoder_, dtype, dtype);
            EXPECT_EQ(got.source, "checkpoint");
            EXPECT_EQ(got.model_sha256, hash_of_file(file));
            EXPECT_EQ(got.model_id, "whisper-5x2x3 (model.safetensors)");
        }
    }
}

TEST_F(Checkpoint, AnEncoderSavedAloneHasNoPrefix) {
    std::vector<ExampleTensor> tensors = example_tensors(encoder_, ExampleNames::hugging_face_encoder);
    tensors.pop_back();
    for (ExampleTensor& tensor : tensors) {
        tensor.name = tensor.name.substr(std::string("encoder.").size());
    }
    expect_same(read_checkpoint(write("encoder.safetensors", safetensors_of(tensors))), encoder_,
                ExampleDtype::f32, ExampleDtype::f32);
}

// Neither the order of the tensors nor their alignment matters, and dtypes may be mixed.
TEST_F(Checkpoint, OrderAndAlignmentAreFree) {
    std::vector<ExampleTensor> tensors = example_tensors(encoder_, ExampleNames::hugging_face);
    std::ranges::reverse(tensors);
    std::string bytes = safetensors_of(tensors);
    // An odd header length: one trailing space, as the format allows.
    const std::size_t length = bytes.find('}', bytes.rfind("data_offsets")) + 2 - 8;
    for (const std::size_t spaces : {1U, 2U, 3U, 5U}) {
        const std::string padded = little_endian(length + spaces, 8) + bytes.substr(8, length) +
                                   std::string(spaces, ' ') + bytes.substr(8 + length);
        expect_same(read_checkpoint(write("odd.safetensors", padded)), encoder_, ExampleDtype::f32,
                    ExampleDtype::f32);
    }
}

TEST_F(Checkpoint, GgmlComesBackInBothDtypes) {
    for (const ExampleDtype dtype : {ExampleDtype::f32, ExampleDtype::f16}) {
        const std::string file = write("ggml-base.bin", ggml_of(encoder_, dtype));
        const EncoderWeights got = read_checkpoint(file);
        expect_same(got, encoder_, dtype, ExampleDtype::f32);
        EXPECT_EQ(got.model_sha256, hash_of_file(file));
        EXPECT_EQ(got.model_id, "whisper-5x2x3 (ggml-base.bin)");
    }
}

// Two shards that cut through a layer; the folder stands for what is in it.
TEST_F(Checkpoint, ShardsAreOneModel) {
    std::vector<ExampleTensor> tensors = example_tensors(encoder_, ExampleNames::hugging_face);
    const auto middle = tensors.begin() + std::ssize(tensors) / 2;
    const std::vector<ExampleTensor> first(tensors.begin(), middle);
    const std::vector<ExampleTensor> second(middle, tensors.end());
    write("model-00001-of-00002.safetensors", safetensors_of(first));
    write("model-00002-of-00002.safetensors", safetensors_of(second));
    std::string map;
    for (const ExampleTensor& tensor : tensors) {
        const bool is_first = std::ranges::find(first, tensor.name, &ExampleTensor::name) != first.end();
        map += fmt::format(R"({}"{}": "model-0000{}-of-00002.safetensors")", map.empty() ? "" : ",\n",
                           tensor.name, is_first ? 1 : 2);
    }
    const std::string index =
        write("model.safetensors.index.json",
              fmt::format(R"({{"metadata": {{"total_size": 1}}, "weight_map": {{{}}}}})", map));
    const EncoderWeights got = read_checkpoint(index);
    expect_same(got, encoder_, ExampleDtype::f32, ExampleDtype::f32);
    const auto line = [&](const std::string& name) {
        return fmt::format("{} {}\n", name, hash_of_file(folder_.file(name)));
    };
    const std::string lines =
        line("model-00001-of-00002.safetensors") + line("model-00002-of-00002.safetensors");
    EXPECT_EQ(got.model_sha256, sha256_hex(std::as_bytes(std::span(lines))));
    EXPECT_EQ(read_checkpoint(folder_.path().string()).model_sha256, got.model_sha256);
    EXPECT_EQ(inspect_checkpoint(index).format, CheckpointFormat::safetensors_shards);
}

TEST_F(Checkpoint, AFolderStandsForItsOneFile) {
    write("README.md", "not this");
    write("anything.safetensors", safetensors_of(example_tensors(encoder_, ExampleNames::openai)));
    expect_same(read_checkpoint(folder_.path().string()), encoder_, ExampleDtype::f32, ExampleDtype::f32);
}

// The content decides: names lie.
TEST_F(Checkpoint, TheNameOfTheFileDoesNotMatter) {
    expect_same(read_checkpoint(write("model.safetensors", ggml_of(encoder_, ExampleDtype::f32))), encoder_,
                ExampleDtype::f32, ExampleDtype::f32);
    expect_same(
        read_checkpoint(write("model.pt", safetensors_of(example_tensors(encoder_, ExampleNames::openai)))),
        encoder_, ExampleDtype::f32, ExampleDtype::f32);
}

// A context of 123 puts a brace where safetensors has one.
TEST_F(Checkpoint, GgmlIsToldByItsMagic) {
    const EncoderWeights encoder = example_encoder(1, 1, 4, 123);
    expect_same(read_checkpoint(write("model.bin", ggml_of(encoder, ExampleDtype::f32))), encoder,
                ExampleDtype::f32, ExampleDtype::f32);
}

TEST_F(Checkpoint, PositionsThatOpenaiLeavesOutAreTheClosedForm) {
    std::vector<ExampleTensor> tensors = example_tensors(encoder_, ExampleNames::openai);
    std::erase_if(tensors, [](const ExampleTensor& tensor) { return tensor.name.ends_with("embedding"); });
    const std::string file = write("model.safetensors", safetensors_of(tensors));
    EXPECT_EQ(read_checkpoint(file).stem.positions, sinusoid_positions(1500, 128));
    EXPECT_FALSE(inspect_checkpoint(file).stores_positions);

    std::string bytes = ggml_head(ggml_hyperparameters(encoder_));
    for (const ExampleTensor& tensor : tensors) {
        bytes += ggml_tensor(tensor, 0);
    }
    EXPECT_EQ(read_checkpoint(write("model.bin", bytes)).stem.positions, sinusoid_positions(12, 128));
}

TEST_F(Checkpoint, AKeyBiasOfZerosIsNone) {
    std::vector<ExampleTensor> tensors = example_tensors(encoder_, ExampleNames::hugging_face);
    tensors.push_back({"model.encoder.layers.1.self_attn.k_proj.bias", {128}, std::vector<float>(128)});
    expect_same(read_checkpoint(write("model.safetensors", safetensors_of(tensors))), encoder_,
                ExampleDtype::f32, ExampleDtype::f32);
}

// Tensors that are not the encoder's may have any dtype, known or newer than this reader.
TEST_F(Checkpoint, OtherTensorsMayBeAnything) {
    std::string header = R"({"__metadata__":{})";
    std::string payload;
    for (const ExampleTensor& tensor : example_tensors(encoder_, ExampleNames::hugging_face)) {
        const std::string bytes = stored_bytes(tensor);
        header += fmt::format(",{}", safetensors_entry(tensor.name, "F32", tensor.dims, payload.size(),
                                                       payload.size() + bytes.size()));
        payload += bytes;
    }
    const auto append = [&](const char* name, const char* dtype, const std::vector<std::int64_t>& dims,
                            std::size_t size) {
        header +=
            fmt::format(",{}", safetensors_entry(name, dtype, dims, payload.size(), payload.size() + size));
        payload += std::string(size, 'x');
    };
    append("proj_out.weight", "I8", {3, 1}, 3);
    append("model.decoder.scale", "F64", {}, 8);
    append("model.decoder.empty", "F16", {0, 7}, 0);
    append("model.decoder.fourths", "F4", {3, 2}, 3);
    append("classifier.weight", "F2_NEW", {9}, 5);
    const std::string file = write("model.safetensors", safetensors_bytes(header + "}", payload));
    expect_same(read_checkpoint(file), encoder_, ExampleDtype::f32, ExampleDtype::f32);
    EXPECT_EQ(inspect_checkpoint(file).other_tensors, 6);
}

// Each element of a non-square matrix and of a convolution lies where [out, in] puts it.
TEST_F(Checkpoint, OrientationIsOutByIn) {
    EncoderWeights encoder = encoder_;
    const std::int64_t width = encoder.width();
    const auto number = [](std::vector<float>& values) {
        for (std::size_t index = 0; index < values.size(); ++index) {
            values[index] = static_cast<float>(index);
        }
    };
    number(encoder.blocks[1].fc1.weight);
    number(encoder.blocks[1].fc2.weight);
    number(encoder.stem.conv1.weight);
    for (const std::string& bytes : {safetensors_of(example_tensors(encoder, ExampleNames::hugging_face)),
                                     ggml_of(encoder, ExampleDtype::f32)}) {
        const EncoderWeights got = read_checkpoint(write("model", bytes));
        // fc1 [4 width, width], output 7, input 3; fc2 [width, 4 width]; conv1 [width, mels, 3].
        EXPECT_EQ(got.blocks[1].fc1.weight[static_cast<std::size_t>(7 * width + 3)],
                  static_cast<float>(7 * width + 3));
        EXPECT_EQ(got.blocks[1].fc2.weight[static_cast<std::size_t>(7 * 4 * width + 3)],
                  static_cast<float>(7 * 4 * width + 3));
        EXPECT_EQ(got.stem.conv1.weight[static_cast<std::size_t>((9 * 5 + 4) * 3 + 2)],
                  static_cast<float>((9 * 5 + 4) * 3 + 2));
    }
}

// Names and shapes of every published size, and of one that nobody published.
TEST(CheckpointDimensions, FollowFromTheTensors) {
    std::vector<WhisperSize> sizes(whisper_sizes.begin(), whisper_sizes.end());
    sizes.push_back({"80x7x5", 80, 7, 5});
    for (const WhisperSize& size : sizes) {
        const TemporaryFolder folder;
        const std::int64_t width = std::int64_t{64} * size.heads;
        std::string header = "{";
        std::uint64_t end = 0;
        const NamingScheme scheme{"model.encoder.", Naming::hugging_face};
        for (const EncoderSlot& slot : required_slots(size.layers)) {
            const auto dims = expected_shape(slot, {width, size.mels, 1500});
            std::uint64_t bytes = 2;
            for (const std::int64_t dim : dims) {
                bytes *= static_cast<std::uint64_t>(dim);
            }
            header +=
                fmt::format("{}{}", end == 0 ? "" : ",",
                            safetensors_entry(tensor_name(scheme, slot), "F16", dims, end, end + bytes));
            end += bytes;
        }
        const std::string file = folder.file("model.safetensors");
        write_bytes(file, safetensors_bytes(header + "}", ""));
        // A hole in the file system: 1.3 GB of zeros that take no room.
        std::filesystem::resize_file(file, std::filesystem::file_size(file) + end);
        const CheckpointSummary summary = inspect_checkpoint(file);
        EXPECT_EQ(summary.mels, size.mels);
        EXPECT_EQ(summary.heads, size.heads);
        EXPECT_EQ(summary.layers, size.layers);
        EXPECT_EQ(summary.context, 1500);
        EXPECT_EQ(summary.encoder_tensors, 8 - 1 + 15 * size.layers);
        EXPECT_EQ(summary.dtypes, "F16");
        EXPECT_EQ(summary.naming, "Hugging Face");
        EXPECT_EQ(summary.model_id,
                  whisper_model_id(size.mels, size.heads, size.layers) + " (model.safetensors)");
    }
}

// Every name leads to its slot and back, under every scheme.
TEST(CheckpointNames, AreInvertible) {
    for (const char* prefix : {"model.encoder.", "encoder.", ""}) {
        for (const Naming naming : {Naming::hugging_face, Naming::openai}) {
            const NamingScheme scheme{prefix, naming};
            for (const EncoderSlot& slot : required_slots(12)) {
                const std::string name = tensor_name(scheme, slot);
                EXPECT_EQ(parse_tensor_name(scheme, name), slot) << name;
                EXPECT_FALSE(parse_tensor_name(scheme, fmt::format("{}x", name)).has_value());
                EXPECT_FALSE(parse_tensor_name(scheme, fmt::format("x{}", name)).has_value());
            }
        }
    }
    const NamingScheme scheme{"encoder.", Naming::openai};
    for (const char* name : {"encoder.blocks.01.mlp.0.weight", "encoder.blocks.-1.mlp.0.weight",
                             "encoder.blocks..mlp.0.weight", "encoder.blocks.99999.mlp.0.weight",
                             "encoder.blocks.1", "encoder.mlp.0.weight", "encoder.blocks.1.conv1.weight",
                             "encoder.layers.1.fc1.weight", "encoder.positional_embedding.weight"}) {
        EXPECT_FALSE(parse_tensor_name(scheme, name).has_value()) << name;
    }
}

}  // namespace
}  // namespace datasets
