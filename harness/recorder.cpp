#include "harness/recorder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "datasets/whisper_size.hpp"
#include "harness/built_from.hpp"
#include "harness/environment.hpp"
#include "harness/interrupt.hpp"
#include "harness/progress.hpp"
#include "harness/recorded_layer.hpp"
#include "harness/user_folder.hpp"
#include "reference/blas.hpp"

namespace harness {
namespace {

using datasets::SyntheticModel;

std::string model_id(const SyntheticModel& model) {
    return fmt::format("synthetic-{}-{}", datasets::name(model.profile), size_name(model.shape.heads));
}

std::string clip_id(const SyntheticModel& model) {
    return fmt::format("{}-{}", datasets::name(model.profile), model.seed);
}

std::uint64_t fingerprint(const datasets::BlockWeights& block, std::uint64_t hash) {
    for (const datasets::Norm* norm : {&block.attention_norm, &block.mlp_norm}) {
        hash = datasets::fingerprint(norm->bias, datasets::fingerprint(norm->gain, hash));
    }
    for (const datasets::Linear* linear :
         {&block.attention.query, &block.attention.key, &block.attention.value, &block.attention.output,
          &block.fc1, &block.fc2}) {
        hash = datasets::fingerprint(linear->bias, datasets::fingerprint(linear->weight, hash));
    }
    return hash;
}

// Identity of the generated model: FNV-1a over every weight of every layer.
std::string model_identity(const SyntheticModel& model) {
    std::uint64_t hash = datasets::fingerprint({});
    for (int layer = 0; layer < model.layers; ++layer) {
        hash = fingerprint(datasets::synthetic_block(model, layer), hash);
    }
    return fmt::format("fnv1a:{:016x}", hash);
}

datasets::RecordingInfo describe(const RecordRequest& request) {
    const SyntheticModel& model = request.model;
    datasets::RecordingInfo info = own_recording("synthetic", model.shape);
    info.model_id = model_id(model);
    info.model_sha256 = model_identity(model);
    info.recipe = fmt::format("{} v{}", datasets::name(model.profile), datasets::recipe_version);
    info.seed = model.seed;
    info.layers = model.layers;
    const double audio_seconds =
        request.audio_seconds > 0 ? request.audio_seconds : audio_seconds_of(model.shape.context);
    info.clips.push_back({clip_id(model), audio_seconds, model.shape.context});
    return info;
}

}  // namespace

double audio_seconds_of(std::int64_t context) {
    return context <= 1500 ? double(context) * 0.02 : double(context - 1) * 0.01;
}

std::string size_name(int heads) {
    const auto found = std::ranges::find(datasets::whisper_sizes, heads, &datasets::WhisperSize::heads);
    return found != datasets::whisper_sizes.end() ? std::string(found->name) : fmt::format("{}-heads", heads);
}

datasets::RecordingInfo own_recording(const std::string& source, datasets::LayerShape shape) {
    const reference::BlasInfo blas = reference::blas_info();
    datasets::RecordingInfo info;
    info.source = source;
    info.producer = "harness record";
    info.producer_version = fmt::format("{} ({})", build_version, build_commit);
    info.created_utc = utc_now();
    info.blas = fmt::format("{}, {}", blas.name, blas.core_type);
    info.context = shape.context;
    info.heads = shape.heads;
    return info;
}

void record_synthetic(const RecordRequest& request, const std::string& file, bool show_progress) {
    const SyntheticModel& model = request.model;
    ProgressBar bar("recording " + model_id(model), model.layers + 1, show_progress);
    bar.step("describing the model");
    datasets::RecordingWriter writer(file, describe(request), {.store = request.store});
    datasets::LayerCase held;
    const EncoderPieces pieces{{},
                               model.shape,
                               model.layers,
                               [&](int layer) -> const datasets::LayerCase& {
                                   held.layer = layer;
                                   held.shape = model.shape;
                                   held.weights = datasets::synthetic_block(model, layer);
                                   return held;
                               },
                               {model.shape, datasets::synthetic_final_norm(model)}};
    StatisticsPath golden;
    LayerRecorder recorder(model.shape, LayerRecorder::recorded_ops(false));
    EncoderWalk walk(pieces, golden_route(golden), &recorder);
    walk.start(datasets::synthetic_embedding(model));
    for (int layer = 0; layer < model.layers; ++layer) {
        throw_if_interrupted();
        bar.step(fmt::format("layer {}", layer));
        recorder.listen(true);
        walk.layer(layer);
        writer.write(
            recorder.take(clip_id(model), layer, golden.statistics(), std::exchange(held.weights, {})));
    }
    writer.finish();
}

std::string default_recording(std::int64_t context, bool show_progress) {
    RecordRequest request;
    request.model.shape.context = context;
    const std::filesystem::path folder = cache_folder();
    const std::filesystem::path file =
        folder / fmt::format("{}-T{}-seed{}-v{}.h5", model_id(request.model), context, request.model.seed,
                             datasets::recipe_version);
    if (!std::filesystem::exists(file)) {
        std::error_code error;
        std::filesystem::create_directories(folder, error);
        if (error) {
            throw std::runtime_error(
                fmt::format("{}: cannot create the cache folder: {}; name a recording with --dataset",
                            folder.string(), error.message()));
        }
        // Two processes may find it missing at once: each makes its own, and the last one stays.
        const std::string own = fmt::format("{}.{}", file.string(), getpid());
        record_synthetic(request, own, show_progress);
        std::filesystem::rename(own, file);
    }
    return file.string();
}

}  // namespace harness
