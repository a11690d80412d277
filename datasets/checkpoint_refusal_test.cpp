// Every kind of broken checkpoint is refused in one line that names file, object and reason; and no damage to
// the bytes of one does anything but that.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <random>

#include "datasets/checkpoint.hpp"
#include "datasets/checkpoint_example.hpp"
#include "datasets/recording_example.hpp"

namespace datasets {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr auto query = "model.encoder.layers.0.self_attn.q_proj.weight";

std::string header_of(const std::vector<std::string>& entries) {
    return fmt::format("{{{}}}", fmt::join(entries, ","));
}

class CheckpointRefusal : public testing::Test {
protected:
    std::string write(const std::string& name, const std::string& bytes) {
        const std::string file = folder_.file(name);
        write_bytes(file, bytes);
        return file;
    }

    // "<object>: <reason>" of the refusal by both front doors.
    static std::string refusal_of(const std::string& file) {
        const std::string read = line_of([&] { (void)read_checkpoint(file); });
        const std::string inspected = line_of([&] { (void)inspect_checkpoint(file); });
        EXPECT_EQ(read, inspected);
        return read;
    }

    static std::string line_of(const std::function<void()>& action) {
        try {
            action();
        } catch (const ReadError& error) {
            const std::string line = error.what();
            EXPECT_THAT(line, HasSubstr(error.file));
            EXPECT_THAT(line, HasSubstr(error.reason));
            EXPECT_EQ(line.find('\n'), std::string::npos);
            return fmt::format("{}: {}", error.object, error.reason);
        }
        return "accepted";
    }

    std::string refusal(const std::string& bytes) { return refusal_of(write("model.safetensors", bytes)); }

    std::string refusal(const std::vector<ExampleTensor>& tensors) {
        return refusal(safetensors_of(tensors));
    }

    // Of what only reading finds.
    std::string refusal_by_reading(const std::vector<ExampleTensor>& tensors) {
        const std::string file = write("model.safetensors", safetensors_of(tensors));
        EXPECT_GT(inspect_checkpoint(file).encoder_tensors, 0);
        return line_of([&] { (void)read_checkpoint(file); });
    }

    // A header of these entries over so many bytes.
    std::string refusal_of_header(const std::string& header, std::size_t payload = 0) {
        return refusal(safetensors_bytes(header, std::string(payload, 'x')));
    }

    static std::vector<ExampleTensor> tensors() {
        return example_tensors(example_encoder(1, 2, 5), ExampleNames::hugging_face);
    }

    static ExampleTensor& named(std::vector<ExampleTensor>& tensors, const std::string& name) {
        return *std::ranges::find(tensors, name, &ExampleTensor::name);
    }

    // With another shape for one tensor, and as many values as it takes.
    std::string refusal_of_shape(const std::string& name, const std::vector<std::int64_t>& dims) {
        std::vector<ExampleTensor> changed = tensors();
        std::size_t size = 1;
        for (const std::int64_t dim : dims) {
            size *= static_cast<std::size_t>(dim);
        }
        named(changed, name).dims = dims;
        named(changed, name).values.resize(size);
        return refusal(changed);
    }

    TemporaryFolder folder_;
};

TEST_F(CheckpointRefusal, FilesThatAreNone) {
    EXPECT_THAT(refusal_of(folder_.file("absent")), EndsWith("cannot be opened: No such file or directory"));
    EXPECT_THAT(refusal_of(folder_.path().string()), HasSubstr("is a folder without a .safetensors file"));
    ASSERT_EQ(mkfifo(folder_.file("pipe").c_str(), 0600), 0);
    EXPECT_THAT(refusal_of(folder_.file("pipe")), EndsWith("is not a regular file"));
    EXPECT_EQ(refusal(std::string()), ": is empty");
    write("a.safetensors", "");
    EXPECT_THAT(refusal_of(folder_.path().string()),
                HasSubstr("is empty"));  // model.safetensors, which goes before others
    std::filesystem::remove(folder_.file("model.safetensors"));
    write("b.safetensors", "");
    EXPECT_THAT(refusal_of(folder_.path().string()), HasSubstr("holds a.safetensors, b.safetensors"));
}

TEST_F(CheckpointRefusal, OtherFormatsAreRecognised) {
    EXPECT_THAT(refusal("PK\x03\x04 and so on"), AllOf(HasSubstr("zip"), HasSubstr("save_file")));
    EXPECT_THAT(refusal(std::string("\x80\x02\x8a\x0al\xfc\x9c", 7)),
                AllOf(HasSubstr("is a pickle, which runs code"), HasSubstr("weights_only=True")));
    EXPECT_THAT(refusal("GGUF\x03"), HasSubstr("take whisper.cpp's ggml-*.bin"));
    EXPECT_THAT(refusal("\x89HDF\r\n\x1a\n"), HasSubstr("a recording of activations, not a checkpoint"));
    EXPECT_THAT(refusal("version https://git-lfs.example/spec"), HasSubstr("run `git lfs pull`"));
    EXPECT_THAT(refusal("RIFF....WAVEfmt "), HasSubstr("is no checkpoint: neither safetensors"));
    EXPECT_THAT(refusal(std::string(8, '\0')), HasSubstr("is no checkpoint"));
    EXPECT_THAT(refusal("xmgg"), HasSubstr("is no checkpoint"));
}

TEST_F(CheckpointRefusal, LyingHeaders) {
    EXPECT_THAT(refusal(little_endian(1000, 8) + "{}"),
                EndsWith("announces a header of 1000 bytes, but only 2 "
                         "follow: it is cut short"));
    EXPECT_THAT(refusal(little_endian(100'000'001, 8) + "{}"), HasSubstr("and 100000000 are allowed"));
    EXPECT_THAT(refusal(little_endian(~0ULL, 8) + "{}"), HasSubstr("header of 18446744073709551615 bytes"));
    EXPECT_THAT(refusal_of_header(" {}"), HasSubstr("is no checkpoint"));
    EXPECT_THAT(refusal_of_header("{\"a\""), HasSubstr("has a header that is not JSON"));
    EXPECT_THAT(refusal_of_header("{} x"), HasSubstr("has a header that is not JSON"));
    EXPECT_THAT(refusal_of_header("{\"\xFF\":1}"), HasSubstr("has a header that is not JSON"));
    EXPECT_THAT(refusal_of_header(fmt::format("{{\"a\":{}", std::string(100000, '['))),
                HasSubstr("nested too deeply"));
    EXPECT_THAT(refusal_of_header(R"({"__metadata__":{"a":1}})"),
                StartsWith("__metadata__: is not a map of"));
    EXPECT_THAT(refusal_of_header(R"({"__metadata__":[]})"), StartsWith("__metadata__: is not a map of"));
    EXPECT_THAT(refusal_of_header("{}"), HasSubstr("conv1.weight: is missing"));
    EXPECT_THAT(refusal_of_header("{}", 3), HasSubstr("has 3 bytes behind its last tensor"));
}

TEST_F(CheckpointRefusal, LyingEntries) {
    const auto refused = [&](const std::string& entry) {
        return refusal_of_header(fmt::format(R"({{"a":{}}})", entry), 8);
    };
    EXPECT_THAT(refused("7"), StartsWith("a: is not described by an object"));
    EXPECT_THAT(refused(R"({"shape":[2],"data_offsets":[0,8]})"), StartsWith("a: has no dtype"));
    EXPECT_THAT(refused(R"({"dtype":32,"shape":[2],"data_offsets":[0,8]})"), StartsWith("a: has no dtype"));
    EXPECT_THAT(refused(R"({"dtype":"F32","data_offsets":[0,8]})"), StartsWith("a: has no array shape"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[2]})"), StartsWith("a: has no array data_offsets"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":0})"),
                StartsWith("a: has an unknown field \"x\""));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"),
                StartsWith("a: has -2 in shape, where a whole number is expected"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"),
                StartsWith("a: has 2.0 in"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})"),
                StartsWith("a: has \"2\" in"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})"),
                StartsWith("a: has 9223372036854775808 in shape"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"),
                StartsWith("a: has a shape of more than 2^58 elements"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"),
                StartsWith("a: has 8 bytes in the file, its shape in F32 takes 12"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"),
                StartsWith("a: has data_offsets that are not a begin and an end"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})"),
                HasSubstr("not a begin and an end"));
    EXPECT_THAT(refused(R"({"dtype":"F32","shape":[3],"data_offsets":[0,12]})"),
                StartsWith("a: ends at byte 12 of the data, which has only 8: the file is cut short"));
    EXPECT_THAT(refused(R"({"dtype":"F4","shape":[3],"data_offsets":[0,1]})"), HasSubstr("in F4 takes 2"));
}

TEST_F(CheckpointRefusal, OverlapsHolesAndDuplicates) {
    const auto pair = [&](std::size_t begin, std::size_t end) {
        return refusal_of_header(
            header_of({safetensors_entry("a", "F32", {2}, 0, 8),
                       safetensors_entry("b", "U8", {static_cast<std::int64_t>(end - begin)}, begin, end)}),
            16);
    };
    EXPECT_THAT(pair(7, 16), StartsWith("b: overlaps the tensor before it by 1 bytes"));
    EXPECT_THAT(pair(0, 16), StartsWith("b: overlaps the tensor before it by 8 bytes"));
    EXPECT_THAT(pair(9, 16), StartsWith("b: leaves a hole of 1 bytes before it"));
    EXPECT_THAT(pair(8, 15), EndsWith("has 1 bytes behind its last tensor"));
    EXPECT_THAT(
        refusal_of_header(
            header_of({safetensors_entry("a", "U8", {8}, 0, 8), safetensors_entry("a", "U8", {8}, 0, 8)}), 8),
        StartsWith("a: stands twice in the header"));
    EXPECT_THAT(refusal_of_header(R"({"a":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}})", 8),
                StartsWith("dtype: stands twice in the header"));
}

// What a file says of itself must not spoil the line that refuses it.
TEST_F(CheckpointRefusal, NamesAreMadePrintable) {
    const std::string line = refusal_of_header(R"({"\n\u001b[31m)" + std::string(5000, 'n') + R"(":7})");
    EXPECT_THAT(line, StartsWith("??[31mnnn"));
    EXPECT_LT(line.size(), 300U);
}

TEST_F(CheckpointRefusal, MissingTensorsAreNamed) {
    for (const ExampleTensor& victim : tensors()) {
        if (victim.name.starts_with("model.decoder.") || victim.name == "model.encoder.conv1.weight") {
            continue;
        }
        std::vector<ExampleTensor> rest = tensors();
        std::erase_if(rest, [&](const ExampleTensor& tensor) { return tensor.name == victim.name; });
        EXPECT_EQ(refusal(rest), fmt::format("{}: is missing from an encoder of 2 layers", victim.name));
    }
    std::vector<ExampleTensor> gap = tensors();
    for (ExampleTensor& tensor : gap) {
        if (const std::size_t at = tensor.name.find("encoder.layers.1."); at != std::string::npos) {
            tensor.name[at + std::string("encoder.layers.").size()] = '2';
        }
    }
    EXPECT_EQ(refusal(gap),
              "model.encoder.layers.1.self_attn_layer_norm.weight: is missing from an encoder of 3 layers");
    std::erase_if(
        gap, [](const ExampleTensor& tensor) { return tensor.name.find(".layers.") != std::string::npos; });
    EXPECT_THAT(refusal(gap), EndsWith("is missing: the encoder has no layer"));
}

TEST_F(CheckpointRefusal, ExtraTensorsAreNamed) {
    for (const char* name : {"model.encoder.layers.0.adapter.weight", "model.encoder.conv3.weight",
                             "model.encoder.layers.0.fc1.scale", "model.encoder.blocks.0.mlp.0.weight"}) {
        std::vector<ExampleTensor> more = tensors();
        more.push_back({name, {1}, {0}});
        const bool openai = std::string_view(name).find("blocks") != std::string_view::npos;
        EXPECT_THAT(refusal(more),
                    openai ? HasSubstr("has no place in a Whisper encoder with the names of OpenAI")
                           : HasSubstr(fmt::format("{}: has no place in a Whisper encoder", name)));
    }
}

TEST_F(CheckpointRefusal, WrongShapesAreNamed) {
    EXPECT_EQ(refusal_of_shape("model.encoder.conv2.weight", {64, 64, 2}),
              "model.encoder.conv2.weight: is [64, 64, 2], expected [64, 64, 3]");
    EXPECT_THAT(refusal_of_shape("model.encoder.conv1.weight", {64, 5, 2}),
                StartsWith("model.encoder.conv1.weight: is [64, 5, 2], expected [width, mels, 3]"));
    EXPECT_THAT(refusal_of_shape("model.encoder.conv1.weight", {65, 5, 3}),
                HasSubstr("whole heads of 64 channels"));
    EXPECT_THAT(refusal_of_shape("model.encoder.conv1.weight", {0, 5, 3}), HasSubstr("is [0, 5, 3]"));
    EXPECT_THAT(refusal_of_shape("model.encoder.conv1.weight", {64, 15}), HasSubstr("is [64, 15]"));
    EXPECT_EQ(refusal_of_shape("model.encoder.layers.1.fc1.weight", {64, 256}),
              "model.encoder.layers.1.fc1.weight: is [64, 256], expected [256, 64]");
    EXPECT_EQ(refusal_of_shape("model.encoder.layers.1.fc2.weight", {256, 64}),
              "model.encoder.layers.1.fc2.weight: is [256, 64], expected [64, 256]");
    EXPECT_EQ(refusal_of_shape("model.encoder.conv1.bias", {64, 1}),
              "model.encoder.conv1.bias: is [64, 1], expected [64]");
    EXPECT_EQ(refusal_of_shape("model.encoder.embed_positions.weight", {12, 63}),
              "model.encoder.embed_positions.weight: is [12, 63], expected [rows, 64]");
    EXPECT_THAT(refusal_of_shape("model.encoder.embed_positions.weight", {0, 64}),
                HasSubstr("expected [rows, 64]"));
    // A width of another model in one tensor.
    EXPECT_EQ(refusal_of_shape(query, {128, 64}), fmt::format("{}: is [128, 64], expected [64, 64]", query));
}

TEST_F(CheckpointRefusal, DtypesThatAreNotReadAreNamed) {
    std::string header;
    std::size_t end = 0;
    for (const ExampleTensor& tensor : tensors()) {
        const std::size_t bytes = tensor.values.size() * (tensor.name == query ? 1 : 4);
        header += fmt::format("{}{}", header.empty() ? "" : ",",
                              safetensors_entry(tensor.name, tensor.name == query ? "I8" : "F32", tensor.dims,
                                                end, end + bytes));
        end += bytes;
    }
    EXPECT_THAT(refusal_of_header(fmt::format("{{{}}}", header), end),
                StartsWith(fmt::format("{}: is of dtype I8, and F32, F16 and BF16 are read", query)));
}

TEST_F(CheckpointRefusal, ValuesThatAreNotFiniteAreNamed) {
    for (const ExampleDtype dtype : {ExampleDtype::f32, ExampleDtype::bf16}) {
        std::vector<ExampleTensor> changed = tensors();
        named(changed, query).dtype = dtype;
        named(changed, query).values[64 * 3 + 7] = std::nanf("");
        EXPECT_EQ(refusal_by_reading(changed), fmt::format("{}: holds NaN at [3, 7]", query));
        named(changed, query).values[64 * 3 + 7] = -std::numeric_limits<float>::infinity();
        EXPECT_EQ(refusal_by_reading(changed), fmt::format("{}: holds an infinity at [3, 7]", query));
    }
    std::vector<ExampleTensor> changed = tensors();
    named(changed, "model.encoder.conv1.weight").values.back() = 1e9F;
    named(changed, "model.encoder.conv1.weight").dtype = ExampleDtype::f16;
    EXPECT_EQ(refusal_by_reading(changed), "model.encoder.conv1.weight: holds an infinity at [63, 4, 2]");
}

TEST_F(CheckpointRefusal, AKeyHasNoBias) {
    std::vector<ExampleTensor> changed = tensors();
    const std::string name = "model.encoder.layers.1.self_attn.k_proj.bias";
    changed.push_back({name, {64}, std::vector<float>(64)});
    changed.back().values[63] = 1e-30F;
    EXPECT_EQ(refusal_by_reading(changed), name + ": is not zero, and Whisper's key projection has no bias");
}

TEST_F(CheckpointRefusal, Shards) {
    const auto refused = [&](const std::string& index) {
        return refusal_of(write("model.safetensors.index.json", index));
    };
    EXPECT_THAT(refused("{}"), StartsWith("weight_map: is missing"));
    EXPECT_THAT(refused("{\"weight_map\":7}    "), StartsWith("weight_map: is missing"));
    EXPECT_THAT(refused(R"({"weight_map":{"a":"x","a":"y"}})"), StartsWith("a: stands twice"));
    for (const char* shard : {"../secret", "/etc/passwd", "", ".", ".."}) {
        EXPECT_THAT(refused(fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", shard)),
                    StartsWith("a: is not mapped to the name of a file beside the index"))
            << shard;
    }
    EXPECT_THAT(refused(R"({"weight_map":{"a":7}})"), StartsWith("a: is not mapped"));
    EXPECT_THAT(refused(R"({"weight_map":{"a":"gone"}})"),
                EndsWith("cannot be opened: No such file or directory"));

    write("one", safetensors_bytes(header_of({safetensors_entry("a", "U8", {1}, 0, 1)}), "x"));
    EXPECT_THAT(refused(R"({"weight_map":{"b":"one"}})"),
                StartsWith("a: is in this shard, but the index does not name it"));
    EXPECT_THAT(refused(R"({"weight_map":{"a":"one","b":"one"}})"),
                StartsWith("b: is missing in its shard one"));
    write("two", safetensors_bytes(header_of({safetensors_entry("a", "U8", {1}, 0, 1),
                                              safetensors_entry("b", "U8", {1}, 1, 2)}),
                                   "xy"));
    EXPECT_THAT(refused(R"({"weight_map":{"a":"one","b":"two"}})"),
                StartsWith("a: is in this shard, but the index says one"));
    write("two", "x");
    EXPECT_THAT(refused(R"({"weight_map":{"a":"one","b":"two"}})"),
                HasSubstr("has 1 bytes, a safetensors file at"));
    write("two", little_endian(2, 8) + "[]");
    EXPECT_THAT(refused(R"({"weight_map":{"a":"one","b":"two"}})"), HasSubstr("does not begin with '{'"));
}

class GgmlRefusal : public CheckpointRefusal {
protected:
    const EncoderWeights encoder_ = example_encoder(1, 2, 5);

    std::string with_hyperparameter(std::size_t index, std::int32_t value) {
        std::vector<std::int32_t> values = ggml_hyperparameters(encoder_);
        const std::string bytes = ggml_of(encoder_, ExampleDtype::f16);
        values[index] = value;
        return refusal(ggml_head(values) + bytes.substr(ggml_head(values).size()));
    }

    static std::string head_of(const EncoderWeights& encoder) {
        return ggml_head(ggml_hyperparameters(encoder));
    }
};

TEST_F(GgmlRefusal, HeadersThatDisagreeWithTheTensors) {
    EXPECT_EQ(with_hyperparameter(1, 13), "n_audio_ctx: is 13 in the header, but 12 by the tensors");
    EXPECT_EQ(with_hyperparameter(2, 128), "n_audio_state: is 128 in the header, but 64 by the tensors");
    EXPECT_EQ(with_hyperparameter(3, 2), "n_audio_head: is 2 in the header, but 1 by the tensors");
    EXPECT_EQ(with_hyperparameter(4, 3), "n_audio_layer: is 3 in the header, but 2 by the tensors");
    EXPECT_EQ(with_hyperparameter(9, 80), "n_mels: is 80 in the header, but 5 by the tensors");
    EXPECT_THAT(with_hyperparameter(2, -64), HasSubstr("has n_audio_state = -64 at byte 12, expected 1 to"));
    EXPECT_THAT(with_hyperparameter(0, 0), HasSubstr("has n_vocab = 0 at byte 4"));
    EXPECT_THAT(with_hyperparameter(1, INT32_MAX), HasSubstr("has n_audio_ctx = 2147483647"));
}

// Cut anywhere before the tensors, and within each part of the first tensor.
TEST_F(GgmlRefusal, CutShort) {
    const std::string bytes = ggml_of(encoder_, ExampleDtype::f32);
    const std::size_t head = head_of(encoder_).size();
    for (std::size_t length = 4; length < head + 60; ++length) {
        const std::string line = refusal(bytes.substr(0, length));
        EXPECT_THAT(line, length == head ? HasSubstr("conv1.weight: is missing") : HasSubstr("cut short"))
            << length;
    }
    EXPECT_THAT(refusal(bytes.substr(0, 8)),
                HasSubstr("is cut short: n_audio_ctx takes 4 bytes at byte 8, and 0"));
    EXPECT_THAT(refusal(bytes.substr(0, bytes.size() - 1)),
                StartsWith("decoder.layers.0.fc1.weight: takes 24 bytes, and 23 are left"));
}

TEST_F(GgmlRefusal, LyingTables) {
    const std::string head = head_of(encoder_).substr(0, 4 + 11 * 4);
    EXPECT_THAT(refusal(head + little_endian(1 << 20, 4) + little_endian(1 << 20, 4)),
                HasSubstr("the table of mel filters takes 4398046511104 bytes"));
    EXPECT_THAT(refusal(head + little_endian(0, 4)), HasSubstr("has the number of mel filters = 0"));
    const std::string filters = head + little_endian(1, 4) + little_endian(1, 4) + std::string(4, 'x');
    EXPECT_THAT(refusal(filters + little_endian(0xFFFFFFFF, 4)),
                HasSubstr("has the size of the vocabulary = -1"));
    EXPECT_THAT(refusal(filters + little_endian(2, 4) + little_endian(100, 4) + "word"),
                HasSubstr("a word of the vocabulary takes 100 bytes"));
}

TEST_F(GgmlRefusal, LyingTensors) {
    const std::string head = head_of(encoder_);
    const auto refused = [&](const std::vector<std::uint32_t>& integers, const std::string& rest = "") {
        std::string bytes = head;
        for (const std::uint32_t value : integers) {
            bytes += little_endian(value, 4);
        }
        return refusal(bytes + rest);
    };
    EXPECT_THAT(refused({5, 1, 0}), HasSubstr("has a tensor's number of dims = 5"));
    EXPECT_THAT(refused({0, 1, 0}), HasSubstr("has a tensor's number of dims = 0"));
    EXPECT_THAT(refused({1, 257, 0}), HasSubstr("has the length of a tensor's name = 257"));
    EXPECT_THAT(refused({1, 1, 0, 0}, "a"), HasSubstr("has a tensor's dim = 0"));
    EXPECT_THAT(refused({1, 1, 0, 0xFFFFFFFF}, "a"), HasSubstr("has a tensor's dim = -1"));
    EXPECT_THAT(refused({3, 1, 0, 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF}, "a"),
                StartsWith("a: has a shape of more than 2^58 elements"));
    EXPECT_THAT(refused({1, 1, 0, 100}, "abc"), StartsWith("a: takes 400 bytes, and 2 are left"));
    const std::string twice = ggml_tensor({"a", {1}, {1}}, 0);
    EXPECT_THAT(refusal(head + twice + twice), StartsWith("a: stands twice in the file"));
}

TEST_F(GgmlRefusal, QuantisedTensorsAreNamed) {
    const std::vector<ExampleTensor> all = example_tensors(encoder_, ExampleNames::openai);
    for (const auto& [type, name] : std::vector<std::pair<std::int32_t, std::string>>{
             {2, "q4_0"}, {6, "q5_0"}, {8, "q8_0"}, {14, "q6_k"}, {30, "bf16"}, {77, "77"}, {-1, "-1"}}) {
        EXPECT_THAT(
            refusal(head_of(encoder_) + ggml_tensor(all[0], 0) + ggml_tensor(all[1], type)),
            AllOf(StartsWith(fmt::format("encoder.conv1.weight: is of type {}, and only f32 and f16", name)),
                  HasSubstr("as it is before whisper.cpp's `quantize`")));
    }
}

// Any damage to the head, and any cut, is a refusal or a checkpoint; never anything else. The preset `asan`
// sees what this only survives; the fuzz targets go further.
TEST_F(CheckpointRefusal, RandomDamageIsSurvived) {
    std::mt19937 engine(7);
    const EncoderWeights encoder = example_encoder(1, 1, 2, 2);
    int refused = 0;
    for (const std::string& good : {safetensors_of(example_tensors(encoder, ExampleNames::hugging_face)),
                                    ggml_of(encoder, ExampleDtype::f16)}) {
        for (int trial = 0; trial < 400; ++trial) {
            std::string bytes = good;
            for (int count = 0; count < 1 + trial % 3; ++count) {
                bytes[engine() % 2500] = static_cast<char>(engine());
            }
            if (trial % 10 == 0) {
                bytes.resize(engine() % bytes.size());
            }
            const std::string file = write("model", bytes);
            try {
                (void)read_checkpoint(file);
            } catch (const ReadError&) {
                ++refused;
            }
        }
    }
    EXPECT_GT(refused, 400);
}

}  // namespace
}  // namespace datasets
