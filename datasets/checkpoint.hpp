// A published Whisper checkpoint, read natively: safetensors (one file, shards with their index, or the
// folder that holds them) and whisper.cpp's ggml. The format is told by the content, never by the name.
//
// Accepted are the tensor names of Hugging Face (with `model.encoder.`, `encoder.` or without a prefix) and
// of openai/whisper, in F32, F16 or BF16, converted exactly to fp32. Every dimension follows from the
// tensors: width and mels from conv1, layers counted from 0, heads of 64 channels. A pickle (.pt, .bin of
// PyTorch) runs code when it is read, and is refused with the way out. Decoder tensors are skipped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "datasets/layer_case.hpp"
#include "datasets/recording.hpp"

namespace datasets {

enum class CheckpointFormat : std::uint8_t { safetensors, safetensors_shards, ggml };

std::string_view name(CheckpointFormat format);

// What a checkpoint holds, from its headers alone.
struct CheckpointSummary {
    CheckpointFormat format = CheckpointFormat::safetensors;
    std::string model_id;  // by the dimensions, with the name of the file: "whisper-base (model.safetensors)"
    std::string naming;    // whose names the tensors have: "Hugging Face" | "OpenAI"
    std::string dtypes;    // of the encoder's tensors, e.g. "F16, F32"
    int mels = 0;
    int heads = 0;
    int layers = 0;
    std::int64_t context = 0;          // rows of the table of positions
    bool stores_positions = true;      // false: the closed form stands in
    std::int64_t encoder_tensors = 0;  // that are read
    std::int64_t other_tensors = 0;    // decoder, head: skipped
    std::uint64_t file_bytes = 0;      // of all files
};

// Checks the structure of the files, and name, dtype and shape of every tensor of the encoder. Throws
// ReadError, whose object is the tensor.
[[nodiscard]] CheckpointSummary inspect_checkpoint(const std::string& file);

// Reads the encoder in one pass over the file(s), and nothing into memory but its weights and a buffer of 1
// MiB. source is "checkpoint". model_sha256 is the SHA-256 of the file; of shards, of the sorted lines "<file
// name> <sha256>\n". A ggml or OpenAI file without positions gets the closed form. Throws ReadError, besides
// what inspect_checkpoint refuses, for NaN, an infinity, and a key bias that is not zero: Whisper has none.
[[nodiscard]] EncoderWeights read_checkpoint(const std::string& file);

}  // namespace datasets
