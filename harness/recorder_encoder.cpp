// Recording a real encoder over audio.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "harness/clips.hpp"
#include "harness/encoder_source.hpp"
#include "harness/interrupt.hpp"
#include "harness/progress.hpp"
#include "harness/recorded_layer.hpp"
#include "harness/recorder.hpp"

namespace harness {
namespace {

datasets::RecordingInfo describe(const RecordOptions& options, const datasets::EncoderWeights& weights,
                                 const std::vector<ClipWindow>& windows) {
    datasets::RecordingInfo info = own_recording("recorded", {options.encoder->context, weights.heads});
    info.model_id = weights.model_id;
    info.model_sha256 = weights.model_sha256;
    info.seed = options.encoder->seed;
    info.layers = weights.layers();
    info.mels = weights.mels;
    std::vector<int> all(static_cast<std::size_t>(weights.layers()));
    std::iota(all.begin(), all.end(), 0);
    info.recorded_layers = parse_layers(options.layers, all, {"--layers", "the encoder"});
    for (const ClipWindow& window : windows) {
        info.clips.push_back(
            {window.id, window.audio_seconds, window.valid_frames, window.audio_sha256, window.origin});
    }
    return info;
}

// [mel, frame] as published, from [frame, mel].
std::vector<float> by_mel(const std::vector<float>& mel, const datasets::StemShape& stem) {
    std::vector<float> out(mel.size());
    for (std::int64_t frame = 0; frame < stem.frames; ++frame) {
        for (std::int64_t band = 0; band < stem.mels; ++band) {
            out[static_cast<std::size_t>(band * stem.frames + frame)] =
                mel[static_cast<std::size_t>(frame * stem.mels + band)];
        }
    }
    return out;
}

class EncoderRecording {
public:
    explicit EncoderRecording(const RecordOptions& options)
        : options_(options),
          clips_(*options.encoder),
          weights_(load_encoder(*options.encoder, !options.common.quiet)),
          info_(describe(options, weights_, clips_.windows())),
          hearing_(hearing(options.encoder->context)),
          pieces_(make_pieces(std::move(weights_), hearing_.frames, hearing_.stride)),
          writer_(options.out, info_,
                  {.store = options.store,
                   .whole_weights = options.mlp,
                   .keep_partial = true,
                   .resume = options.resume}),
          recorder_(pieces_.shape, LayerRecorder::recorded_ops(options.mlp)),
          bar_(fmt::format("recording {}", info_.model_id),
               static_cast<int>(clips_.windows().size()) * (pieces_.layers + 1), !options.common.quiet) {}

    void run() {
        EncoderWalk walk(pieces_, golden_route(golden_), &recorder_);
        for (const ClipWindow& window : clips_.windows()) {
            if (done(window)) {
                skip(window);
            } else {
                record(window, walk);
            }
        }
        if (options_.mlp && !writer_.has_end()) {
            writer_.write_end(pieces_.end.norm);
        }
        writer_.finish();
    }

private:
    [[nodiscard]] bool recorded(int layer) const {
        return std::ranges::find(info_.recorded_layers, layer) != info_.recorded_layers.end();
    }

    [[nodiscard]] bool done(const ClipWindow& window) const {
        return writer_.has_clip(window.id) && std::ranges::all_of(info_.recorded_layers, [&](int layer) {
                   return writer_.has(window.id, layer);
               });
    }

    void skip(const ClipWindow& window) {
        for (int piece = 0; piece <= pieces_.layers; ++piece) {
            bar_.step(fmt::format("{}: recorded before", window.id));
        }
    }

    // The whole walk, because a layer needs those before it; what is there already is not written again.
    void record(const ClipWindow& window, EncoderWalk& walk) {
        throw_if_interrupted();
        bar_.step(fmt::format("{}: mel and stem", window.id));
        const datasets::StemShape& stem = pieces_.stem->shape;
        const std::vector<float> mel = heard_mel(clips_.samples(window), stem);
        walk.stem(mel);
        datasets::ClipTensors tensors;
        tensors.embedding = walk.stream();
        for (int layer = 0; layer < pieces_.layers; ++layer) {
            throw_if_interrupted();
            bar_.step(fmt::format("{}: layer {}", window.id, layer));
            recorder_.listen(recorded(layer) && !writer_.has(window.id, layer));
            walk.layer(layer);
            if (recorded(layer) && !writer_.has(window.id, layer)) {
                write(window, layer);
            }
        }
        walk.end();
        if (!writer_.has_clip(window.id)) {
            tensors.mel = by_mel(mel, stem);
            tensors.encoder = walk.stream();
            writer_.write_clip(window.id, std::move(tensors));
        }
    }

    void write(const ClipWindow& window, int layer) {
        std::shared_ptr<const datasets::LayerCase> made =
            recorder_.take(window.id, layer, golden_.statistics(), {});
        // Weights are the same for every clip, and written with the first.
        const bool written = std::ranges::any_of(
            clips_.windows(), [&](const ClipWindow& other) { return writer_.has(other.id, layer); });
        // The pieces outlive the writer's use of them: nobody has to own them.
        auto weights = written ? made
                               : std::shared_ptr<const datasets::LayerCase>(std::shared_ptr<const void>(),
                                                                            &pieces_.layer(layer));
        writer_.write(std::move(made), std::move(weights));
    }

    const RecordOptions& options_;
    Clips clips_;
    datasets::EncoderWeights weights_;
    datasets::RecordingInfo info_;
    Hearing hearing_;
    EncoderPieces pieces_;
    datasets::RecordingWriter writer_;  // goes before the pieces, whose weights it writes
    StatisticsPath golden_;
    LayerRecorder recorder_;
    ProgressBar bar_;
};

}  // namespace

void record_encoder(const RecordOptions& options) {
    try {
        EncoderRecording(options).run();
    } catch (const Interrupted&) {
        throw Interrupted(fmt::format("interrupted; --resume continues what {}.partial holds", options.out));
    }
}

}  // namespace harness
