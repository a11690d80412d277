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
// Every dataset: chunked, fletcher32, attributes dims, dtype_logical (f32 | bf16), rounding and sha256 (hex,
// over the stored little-endian bytes). `complete` = 1 is the last thing written. Of a layer, x and the
// weights are required. Root attributes that the reader demands besides: n_ctx, d_model, n_head, n_layer,
// head_dim = 64, source, producer, model_id. bf16 is an HDF5 float type that h5py and h5dump show as numbers.
// Only hard links are followed; groups outside this layout are ignored; other names inside attn are refused.
// write_minimal_recording.py shows how any Python program makes such a file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
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
    std::vector<ClipInfo> clips;

    [[nodiscard]] LayerShape shape() const { return {context, heads}; }
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

    // Loads and verifies one layer. `layer` counts from 0 and must be below info().layers.
    [[nodiscard]] LayerCase layer(const std::string& clip, int layer) const;

    // Loads and verifies every dataset, in name order.
    [[nodiscard]] std::vector<DatasetSummary> summaries() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// Writes into the temporary `<file>.partial-<process id>` and renames it in `finish`; destroyed before that,
// it removes the temporary. Throws std::runtime_error that names the file when the disk or the folder does
// not let it, and std::invalid_argument for what the reader would refuse: NaN, a missing weight, ...
class RecordingWriter {
public:
    // `store` is the dtype of activations and weights in the file; bf16 rounds to nearest even. An empty
    // info.created_utc becomes the time of the call.
    RecordingWriter(std::string file, RecordingInfo info, DType store = DType::f32);
    ~RecordingWriter();

    // Writes input, recorded tensors, row statistics and (for the first clip) weights of one layer. Layers
    // may come in any order; the weights of a layer must be the same for every clip.
    void write(const LayerCase& layer);

    // Throws std::logic_error unless every layer of every announced clip is written.
    void finish();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace datasets
