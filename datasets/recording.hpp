// One HDF5 recording of encoder activations, schema v1, read whole-heartedly or not at all.
//
// Layout (root attribute schema = "npu-whisper-activations", schema_version = (1, 0)):
//   /clips/<id>                            attributes audio_seconds, valid_frames
//   /clips/<id>/encoder/layer_NN/attn
//       x                [time, channel]   input of the attention (after the norm)
//       q, k, v          [time, channel]   after bias, before scale, heads concatenated
//       ctx              [time, channel]   before the output projection
//       y                [time, channel]   output projection with bias, before the residual
//       row_max, row_lse [head, time]      of the scaled scores
//   /weights/layer_NN/attn
//       wq, wk, wv, wo   [out, in]         attribute layout = "out,in"
//       bq, bv, bo       [channel]
// Optional parts, of a whole encoder:
//   /clips/<id>                            attributes audio_sha256 (hex), audio_origin (text)
//       audio            [sample]          16 kHz mono, always f32
//       mel              [mel, frame]      channel-major as published, always f32; root attribute n_mels
//   /clips/<id>/encoder
//       embed            [time, channel]   residual stream that enters layer 0
//       out              [time, channel]   after the final norm
//   /clips/<id>/encoder/layer_NN
//       attn_resid       [time, channel]   residual stream after the attention
//       resid_out        [time, channel]   residual stream that leaves the layer
//       mlp/x            [time, channel]   input of the MLP (after the norm)
//       mlp/h            [time, 4 channel] after the GELU
//       mlp/y            [time, channel]   second product with bias, before the residual
//   /weights/layer_NN
//       attn_norm/{gain, bias}, mlp_norm/{gain, bias}  [channel]
//       mlp/w1, mlp/b1   [4 channel, channel], [4 channel]
//       mlp/w2, mlp/b2   [channel, 4 channel], [channel]
//   /weights/end/{gain, bias}              [channel], the final norm
// The weights of norms and MLP and those of the end are there for every layer of the file, or not at all.
// Root attribute layers (ascending integers): the layers that the file holds; absent: 0 to n_layer - 1.
// Every dataset: chunked, fletcher32, attributes dims, dtype_logical (f32 | bf16), rounding and sha256 (hex,
// over the stored little-endian bytes). `complete` = 1 is the last thing written. Of a layer, x and the
// weights of its attention are required. Root attributes that the reader demands besides: n_ctx, d_model,
// n_head, n_layer, head_dim = 64, source, producer, model_id. bf16 is an HDF5 float type that h5py and h5dump
// show as numbers. Only hard links are followed; what lies outside this layout is ignored; other names inside
// attn, mlp, attn_norm, mlp_norm and end are refused.
// What our writer writes at once (a clip, a layer, its weights, the end) has the attribute content_sha256
// over the sorted lines "<path> <sha256>\n" of its datasets, by which a recording that is resumed is judged.
// write_minimal_recording.py shows how any Python program makes such a file; record_activations.py records
// the encoders of openai/whisper and of Hugging Face transformers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/layer_case.hpp"

namespace datasets {

// One line: file, object inside it, reason. Thrown for everything that makes a recording unusable.
class ReadError : public std::runtime_error {
public:
    ReadError(std::string file, std::string object, std::string reason);

    std::string file;
    std::string object;
    std::string reason;
};

struct ClipInfo {
    std::string id;
    double audio_seconds = 0;       // length of the audio behind the clip
    std::int64_t valid_frames = 0;  // un-padded rows
    std::string audio_sha256 = "";  // of the audio file, 64 lower-case hexadecimal digits, or empty
    std::string audio_origin = "";  // e.g. the name of the audio file, or empty
};

// Root attributes: dimensions and provenance.
struct RecordingInfo {
    std::string source;    // "synthetic" | "recorded"
    std::string producer;  // program that made the file
    std::string producer_version;
    std::string created_utc;   // ISO 8601
    std::string model_id;      // e.g. "synthetic-hard-base"
    std::string model_sha256;  // of the checkpoint, or of the generator's tensors
    std::string recipe;        // generator recipe and version, empty for recorded data
    std::string blas;          // library and core type that computed the activations
    std::uint64_t seed = 0;
    std::int64_t context = 0;
    int heads = 0;
    int layers = 0;
    int mels = 0;                      // of the mel spectrograms, 0: there are none
    std::vector<int> recorded_layers;  // ascending; a reader's is never empty, a writer's: empty for all
    std::vector<ClipInfo> clips;

    [[nodiscard]] LayerShape shape() const { return {context, heads}; }
};

// What a clip holds beside its layers; each is empty where it is not recorded.
struct ClipTensors {
    std::vector<float> audio;      // samples, 16 kHz mono
    std::vector<float> mel;        // [mel, frame]: frames are size / info.mels
    std::vector<float> embedding;  // [time, channel]
    std::vector<float> encoder;    // [time, channel]
};

// One dataset as `harness inspect` shows it.
struct DatasetSummary {
    std::string object;
    std::vector<std::int64_t> dims;
    DType dtype = DType::f32;
    std::string sha256;
    float min = 0;
    float max = 0;
    double rms = 0;
};

// A verified file. Opening checks structure, attributes and sizes of every object, in a child process first,
// because HDF5 crashes on some damaged files; tensors are checked (hash, finiteness) as they are loaded.
// Throws ReadError. Use one recording from one thread at a time; different recordings may be used at once
// where HDF5 is built thread-safe, as Debian's is.
class Recording {
public:
    explicit Recording(std::string file);
    ~Recording();
    Recording(Recording&&) noexcept;
    Recording& operator=(Recording&&) noexcept;

    [[nodiscard]] const std::string& file() const;
    [[nodiscard]] const RecordingInfo& info() const;

    // SHA-256 over the sorted lines "<object> <sha256>\n": the identity of the content, whatever the file's
    // layout.
    [[nodiscard]] const std::string& content_sha256() const;

    // Loads and verifies one layer, which must be among info().recorded_layers: its input and weights, what
    // is recorded of it, and as its stream the embedding or what left the layer before, where the file holds
    // that.
    [[nodiscard]] LayerCase layer(const std::string& clip, int layer) const;

    // Loads and verifies what the clip holds beside its layers.
    [[nodiscard]] ClipTensors clip_tensors(const std::string& clip) const;

    // The end of the encoder, where the file holds the weights of all its parts; without the recorded
    // `encoder`, which is a clip's.
    [[nodiscard]] std::optional<EndCase> end() const;

    // Loads and verifies every dataset, in name order.
    [[nodiscard]] std::vector<DatasetSummary> summaries() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

struct WriterOptions {
    DType store = DType::f32;    // of activations and weights in the file; bf16 rounds to nearest even
    bool whole_weights = false;  // weights of norms, MLP and end too, not of the attention alone
    bool keep_partial = false;   // leave what was written when the writer ends unfinished
    bool resume = false;         // go on with what was left, if anything was; implies keep_partial
};

// Writes into the temporary `<file>.partial` and renames it in `finish`. Destroyed before that, it removes
// the temporary, or leaves it for a later `resume`. Hashing and writing happen in the background, one layer
// at a time: memory is two layers, whatever the number of layers and clips (but for HDF5's structure, some
// KB a dataset), and a fault of the disk may be reported by a later call. All that is written at once (a
// layer, a clip) reaches the file system before the next begins, so that a killed process leaves what it
// finished, unless it is killed while HDF5 flushes its structure.
//
// Without `resume` a temporary that was left is overwritten. With it, every dataset in it is verified first,
// and all that describes the recording (but created_utc) must be what it was: else ReadError, and the
// temporary stays as it is.
//
// One writer at a time has the temporary, by flock. Throws std::runtime_error that names the file when the
// disk or the folder does not let it or another process has it, and std::invalid_argument for what the reader
// would refuse: NaN, a missing weight, ...
class RecordingWriter {
public:
    // An empty info.created_utc becomes the time of the call.
    RecordingWriter(std::string file, RecordingInfo info, WriterOptions options = {});
    ~RecordingWriter();

    // Whether this layer of this clip, or what the clip holds beside its layers, is written. Only after
    // `resume` may that be so before a call of `write` or `write_clip`.
    [[nodiscard]] bool has(const std::string& clip, int layer) const;
    [[nodiscard]] bool has_clip(const std::string& clip) const;
    [[nodiscard]] bool has_end() const;

    // Writes input, recorded tensors, row statistics and, unless they are in the file, the weights of one
    // layer. Layers may come in any order; the weights of a layer must be the same for every clip, and may be
    // left out (all of them) once they are in the file. `layer.stream` is not written: it is the embedding of
    // the clip or the `block` of the layer before. `weights` is the case that holds the weights, where
    // `layer` does not. What is shared must not change until the next call of `write` or `write_clip`
    // returns.
    void write(std::shared_ptr<const LayerCase> layer, std::shared_ptr<const LayerCase> weights);
    void write(std::shared_ptr<const LayerCase> layer) { write(layer, layer); }
    void write(LayerCase layer) { write(std::make_shared<const LayerCase>(std::move(layer))); }

    // Writes what is not empty; once per clip.
    void write_clip(const std::string& clip, ClipTensors tensors);

    // Writes the final norm; once, for `whole_weights`.
    void write_end(Norm norm);

    // Throws std::logic_error unless every announced layer of every announced clip is written, and with
    // `whole_weights` the end.
    void finish();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace datasets
