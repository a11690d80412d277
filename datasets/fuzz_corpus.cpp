// Writes the seed corpus of the fuzz targets: FOLDER/safetensors, FOLDER/ggml, FOLDER/recording.
//   fuzz_corpus FOLDER
#include <cstdio>
#include <exception>
#include <filesystem>

#include "datasets/checkpoint_example.hpp"
#include "datasets/recording_example.hpp"

namespace datasets {
namespace {

std::vector<ExampleTensor> as(ExampleDtype dtype, std::vector<ExampleTensor> tensors) {
    for (ExampleTensor& tensor : tensors) {
        tensor.dtype = dtype;
    }
    return tensors;
}

void write_safetensors(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder);
    const EncoderWeights encoder = example_encoder(1, 1, 2, 2);
    const std::string whole =
        safetensors_of(as(ExampleDtype::f16, example_tensors(encoder, ExampleNames::openai)));
    write_bytes(folder / "whole_f16", whole);
    write_bytes(folder / "whole_bf16",
                safetensors_of(as(ExampleDtype::bf16, example_tensors(encoder, ExampleNames::hugging_face))));
    write_bytes(folder / "header_alone", whole.substr(0, 2048));
    write_bytes(folder / "few_tensors",
                safetensors_of({{"encoder.conv1.weight", {2, 1, 3}, {1, 2, 3, 4, 5, 6}},
                                {"encoder.conv1.bias", {2}, {1, 2}, ExampleDtype::f16},
                                {"decoder.scalar", {}, {1}, ExampleDtype::bf16}}));
    write_bytes(folder / "one_tensor", safetensors_of({{"a", {2}, {1, 2}}}));
    write_bytes(folder / "no_tensors", safetensors_bytes("{}  ", ""));
    write_bytes(folder / "index",
                R"({"metadata": {"total_size": 8}, "weight_map": {"encoder.conv1.weight": "null"}})");
}

void write_ggml(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder);
    const EncoderWeights encoder = example_encoder(1, 1, 2, 2);
    const std::string whole = ggml_of(encoder, ExampleDtype::f16);
    write_bytes(folder / "whole_f16", whole);
    write_bytes(folder / "cut_short", whole.substr(0, 1024));
    const std::string head = ggml_head(ggml_hyperparameters(encoder));
    write_bytes(folder / "head_alone", head);
    write_bytes(folder / "few_tensors",
                head + ggml_tensor({"encoder.conv1.weight", {2, 1, 3}, {1, 2, 3, 4, 5, 6}}, 0) +
                    ggml_tensor({"encoder.conv1.bias", {2}, {1, 2}, ExampleDtype::f16}, 1));
}

void write_recordings(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder);
    write_example(folder / "everything", example_info({3, 1}, 1, 1));
    write_example(folder / "input_bf16", example_info({2, 1}, 2, 2), DType::bf16, Holds::input_only);
}

}  // namespace
}  // namespace datasets

int main(int count, char** arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: fuzz_corpus FOLDER\n");
        return 2;
    }
    try {
        const std::filesystem::path folder(arguments[1]);
        datasets::write_safetensors(folder / "safetensors");
        datasets::write_ggml(folder / "ggml");
        datasets::write_recordings(folder / "recording");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "fuzz_corpus: %s\n", error.what());
        return 1;
    }
    return 0;
}
