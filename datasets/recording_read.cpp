// Opening a recording and loading its layers. Every refusal becomes a ReadError that names file and object.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include "datasets/recording.hpp"
#include "datasets/recording_dataset.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/recording_scan.hpp"
#include "datasets/recording_schema.hpp"

namespace datasets {
namespace {

std::string hash_of(const Datasets& datasets) {
    std::map<std::string, std::string> hashes;
    for (const auto& [object, stored] : datasets) {
        hashes.emplace(object, stored.sha256);
    }
    return content_hash(hashes);
}

}  // namespace

struct Recording::State {
    std::string file;
    Handle handle;
    RecordingInfo info;
    Datasets datasets;
    std::string content_sha256;

    std::vector<float> values(const StoredDataset& stored) const {
        return reading(file, stored.object, [&] { return read_values(handle.get(), stored); });
    }

    // Fills what the group holds into its places of the holder.
    template <typename Holder>
    void load(const std::string& group, std::span<const TensorSpec<Holder>> specs, Holder& holder) const {
        for (const auto& spec : specs) {
            const auto found = datasets.find(fmt::format("{}/{}", group, spec.path()));
            if (found != datasets.end()) {
                spec.slot(holder) = values(found->second);
            }
        }
    }

    void require_clip(const std::string& clip) const {
        if (std::ranges::find(info.clips, clip, &ClipInfo::id) == info.clips.end()) {
            std::vector<std::string_view> ids;
            std::ranges::transform(info.clips, std::back_inserter(ids), &ClipInfo::id);
            throw ReadError(file, clip_group(clip),
                            fmt::format("is not in the file, which holds {}", fmt::join(ids, ", ")));
        }
    }

    void require_layer(const std::string& clip, int layer) const {
        if (std::ranges::find(info.recorded_layers, layer) == info.recorded_layers.end()) {
            const auto held = std::ssize(info.recorded_layers) == info.layers
                                  ? fmt::format("0..{}", info.layers - 1)
                                  : fmt::format("{}", fmt::join(info.recorded_layers, ", "));
            throw ReadError(file, clip_group(clip),
                            fmt::format("layer {} is not in the file, which holds {}", layer, held));
        }
    }

    // f32 only where all that may be bf16 is f32.
    DType stored() const {
        const bool rounded = std::ranges::any_of(
            datasets, [](const auto& entry) { return entry.second.dtype == DType::bf16; });
        return rounded ? DType::bf16 : DType::f32;
    }

    // The residual stream that enters a layer, empty where the file does not hold it.
    std::vector<float> stream(const std::string& clip, int layer) const {
        const auto object = layer == 0 ? clip_group(clip) + "/encoder/embed"
                                       : activations_group(clip, layer - 1) + "/resid_out";
        const auto found = datasets.find(object);
        return found == datasets.end() ? std::vector<float>() : values(found->second);
    }
};

Recording::Recording(std::string file) : state_(std::make_unique<State>()) {
    const LibraryScope library;
    state_->file = std::move(file);
    reading(state_->file, "", [&] {
        verify_is_readable_file(state_->file, "make one with `harness record --synthetic hard --out FILE`");
        try_scan(state_->file, Extant::finished, Locking::asked);
        state_->handle = open_file(state_->file);
    });
    auto layout = scan(state_->file, state_->handle.get(), Extant::finished);
    state_->info = std::move(layout.info);
    state_->datasets = std::move(layout.datasets);
    state_->content_sha256 = hash_of(state_->datasets);
}

Recording::~Recording() = default;
Recording::Recording(Recording&&) noexcept = default;
Recording& Recording::operator=(Recording&&) noexcept = default;

const std::string& Recording::file() const {
    return state_->file;
}

const RecordingInfo& Recording::info() const {
    return state_->info;
}

const std::string& Recording::content_sha256() const {
    return state_->content_sha256;
}

LayerCase Recording::layer(const std::string& clip, int layer) const {
    const LibraryScope quiet;
    state_->require_clip(clip);
    state_->require_layer(clip, layer);
    LayerCase result;
    result.clip = clip;
    result.layer = layer;
    result.shape = state_->info.shape();
    result.stored = state_->stored();
    result.stream = state_->stream(clip, layer);
    state_->load(activations_group(clip, layer), activation_specs(), result);
    state_->load(weights_group(layer), weight_specs(), result);
    return result;
}

ClipTensors Recording::clip_tensors(const std::string& clip) const {
    const LibraryScope quiet;
    state_->require_clip(clip);
    ClipTensors tensors;
    state_->load(clip_group(clip), clip_specs(), tensors);
    return tensors;
}

std::optional<EndCase> Recording::end() const {
    const LibraryScope quiet;
    EndCase end{.shape = state_->info.shape(), .norm = {}, .stored = state_->stored()};
    state_->load("/weights", end_specs(), end.norm);
    return end.norm.gain.empty() ? std::nullopt : std::optional(std::move(end));
}

std::vector<DatasetSummary> Recording::summaries() const {
    const LibraryScope quiet;
    std::vector<DatasetSummary> summaries;
    for (const auto& [object, stored] : state_->datasets) {
        const auto values = state_->values(stored);
        const auto [min, max] = std::ranges::minmax_element(values);
        double squares = 0;
        for (const float value : values) {
            squares += double{value} * double{value};
        }
        summaries.push_back({object, stored.dims, stored.dtype, stored.sha256, *min, *max,
                             std::sqrt(squares / static_cast<double>(values.size()))});
    }
    return summaries;
}

}  // namespace datasets
