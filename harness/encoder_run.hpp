// One walk through a Whisper encoder: stem, layers, end, each piece computed by the paths that a route names.
//
// The golden encoder, the recorder and every placement on the NPU take this walk and no other. Between two
// legs of a layer only the tensors that a later leg reads are kept; whoever wants to see more, observes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "datasets/path.hpp"
#include "harness/encoder_record.hpp"
#include "harness/placement.hpp"

namespace harness {

// Consecutive ops of a layer on one path.
struct Leg {
    datasets::OpRange ops{};
    datasets::Path* path = nullptr;
};

// Which path computes what. The legs of a layer follow each other and cover datasets::layer_ops.
struct Route {
    datasets::Path* stem = nullptr;
    std::vector<Leg> layer;
    datasets::Path* end = nullptr;
};

Route golden_route(datasets::Path& golden);

// What `placement` names on `npu`, the rest on `golden`. All paths must outlive the route.
Route placed_route(const Placement& placement, datasets::Path& golden, datasets::Path& npu);

// The pieces of an encoder over one context. Layers are asked for one at a time, in order, so that whoever
// generates them holds one only; a layer must live until the next is asked for.
struct EncoderPieces {
    std::optional<datasets::StemCase> stem;  // none: the walk starts with an embedding
    datasets::LayerShape shape;
    int layers = 0;
    std::function<const datasets::LayerCase&(int layer)> layer;
    datasets::EndCase end;
};

// Cuts `weights` into pieces for mel spectrograms of `frames` frames; `stride` is that of conv2. Throws
// std::invalid_argument where the table of positions cannot be had for so many rows.
EncoderPieces make_pieces(datasets::EncoderWeights weights, std::int64_t frames, std::int64_t stride);

// Sees tensors on their way, as a Sink does, with the piece they belong to.
class EncoderObserver {
public:
    virtual ~EncoderObserver() = default;
    virtual bool wants(Stage stage, datasets::Op op) const = 0;
    virtual void accept(Stage stage, datasets::Op op, datasets::Rows rows,
                        const datasets::TensorView& values) = 0;
};

// What a step of the walk cost, and what its path had planned for it (with modelled time where it has a
// model).
struct StagePart {
    Stage stage;
    datasets::Part cost;
    datasets::Part planned;
};

class EncoderWalk {
public:
    // `pieces`, the paths of `route` and `observer` (null: nobody) must outlive the walk.
    EncoderWalk(const EncoderPieces& pieces, Route route, EncoderObserver* observer = nullptr);

    // From mel [frame, mels] to the embedding, or from a given stream [time, width]. Both forget the parts
    // so far. Throw std::invalid_argument for another size.
    void stem(std::span<const float> mel);
    void start(std::vector<float> stream);

    // One layer, from the stream that the walk stands at. `end` applies the last norm.
    void layer(int index);
    void end();

    // stem, every layer, end.
    void run(std::span<const float> mel);

    // [time, width]: the embedding, the block of the last layer, or, at the end, the encoder's output.
    [[nodiscard]] const std::vector<float>& stream() const { return stream_; }

    // Since `stem` or `start`, in order.
    [[nodiscard]] const std::vector<StagePart>& parts() const { return parts_; }

private:
    class Tensors;
    void compute(Stage stage, datasets::OpRange ops, datasets::PreparedLayer& prepared, Tensors& tensors);
    void require_stream() const;

    const EncoderPieces& pieces_;
    Route route_;
    EncoderObserver* observer_;
    std::unique_ptr<datasets::PreparedLayer> stem_;
    int prepared_index_ = -1;  // the layer that `prepared_` belongs to
    std::map<datasets::Path*, std::unique_ptr<datasets::PreparedLayer>> prepared_;
    std::vector<float> stream_;
    std::vector<StagePart> parts_;
};

}  // namespace harness
