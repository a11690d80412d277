// Opening a recording and loading its layers. Every refusal becomes a ReadError that names file and object.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <map>
#include <new>
#include <set>
#include <span>
#include <system_error>
#include <utility>

#include "datasets/recording.hpp"
#include "datasets/recording_dataset.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/recording_schema.hpp"
#include "datasets/recording_trial.hpp"
#include "datasets/sha256.hpp"

namespace datasets {
namespace {

// Names in a damaged file may hold anything; a message stays one printable line.
std::string one_line(std::string text) {
    std::ranges::replace_if(text, is_control, '?');
    return text;
}

std::string describe(const std::string& file, const std::string& object, const std::string& reason) {
    return one_line(object.empty() ? fmt::format("{}: {}", file, reason)
                                   : fmt::format("{}: {}: {}", file, object, reason));
}

// Runs `read`, and lets what goes wrong inside HDF5 or the checks be a ReadError about `object`.
template <typename Read>
auto reading(const std::string& file, const std::string& object, Read read) {
    try {
        return read();
    } catch (const Refusal& refusal) {
        throw ReadError(file, object, refusal.what());
    } catch (const std::bad_alloc&) {
        throw ReadError(file, object, "does not fit into the memory of this machine");
    }
}

// HDF5's own messages for these say too little.
void verify_is_readable_file(const std::string& file) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0) {
        const auto reason = std::generic_category().message(errno);
        throw Refusal(errno == ENOENT
                          ? "no such file; make one with `harness record --synthetic hard --out FILE`"
                          : reason);
    }
    if (S_ISDIR(status.st_mode)) {
        throw Refusal("is a folder, not an HDF5 file");
    }
    if (!S_ISREG(status.st_mode)) {
        throw Refusal("is not a regular file");
    }
    if (access(file.c_str(), R_OK) != 0) {
        throw Refusal(fmt::format("cannot read it: {}", std::generic_category().message(errno)));
    }
    if (status.st_size == 0) {
        throw Refusal("is empty, not an HDF5 file");
    }
    if (H5Fis_hdf5(file.c_str()) <= 0) {
        throw Refusal("is not an HDF5 file");
    }
}

Handle open_file(const std::string& file) {
    const Handle access_properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "prepare to open it");
    // A strong close also closes what a failed read may have left open.
    require(H5Pset_fclose_degree(access_properties.get(), H5F_CLOSE_STRONG), "prepare to open it");
    require(H5Pset_libver_bounds(access_properties.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V110),
            "prepare to open it");
    return {H5Fopen(file.c_str(), H5F_ACC_RDONLY, access_properties.get()), H5Fclose, "open it as HDF5"};
}

std::string optional_text(hid_t object, const std::string& name) {
    return has_attribute(object, name) ? read_text(object, name) : std::string();
}

void verify_schema(hid_t root) {
    const auto schema = read_text(root, "schema");
    if (schema != schema_name) {
        throw Refusal(fmt::format("attribute schema is \"{:.60}\" instead of \"{}\"", schema, schema_name));
    }
    const auto version = read_integers(root, "schema_version", 2);
    if (version[0] != schema_major || version[1] != schema_minor) {
        throw Refusal(fmt::format("attribute schema_version is {}.{}; this program reads {}.{}", version[0],
                                  version[1], schema_major, schema_minor));
    }
    if (!has_attribute(root, "complete")) {
        throw Refusal("attribute complete is missing: the recording was not finished, record it again");
    }
    if (const auto complete = read_integer(root, "complete"); complete != 1) {
        throw Refusal(
            fmt::format("attribute complete is {} instead of 1: the recording was not finished", complete));
    }
}

RecordingInfo read_root(hid_t file) {
    const auto root = open_group(file, "/");
    verify_schema(root.get());
    RecordingInfo info;
    info.context = read_integer(root.get(), "n_ctx");
    const auto heads = read_integer(root.get(), "n_head");
    const auto layers = read_integer(root.get(), "n_layer");
    if (const auto objection = shape_objection(info.context, heads, layers); !objection.empty()) {
        throw Refusal(fmt::format("attribute {}", objection));
    }
    info.heads = static_cast<int>(heads);
    info.layers = static_cast<int>(layers);
    if (const auto width = read_integer(root.get(), "head_dim"); width != head_width) {
        throw Refusal(fmt::format("attribute head_dim is {}; every Whisper head has {}", width, head_width));
    }
    if (const auto width = read_integer(root.get(), "d_model"); width != info.shape().width()) {
        throw Refusal(fmt::format("attribute d_model is {}; n_head {} x head_dim {} is {}", width, info.heads,
                                  head_width, info.shape().width()));
    }
    info.source = read_text(root.get(), "source");
    if (info.source != "synthetic" && info.source != "recorded") {
        throw Refusal(
            fmt::format("attribute source is \"{:.60}\", not \"synthetic\" or \"recorded\"", info.source));
    }
    info.producer = read_text(root.get(), "producer");
    info.model_id = read_text(root.get(), "model_id");
    info.producer_version = optional_text(root.get(), "producer_version");
    info.created_utc = optional_text(root.get(), "created_utc");
    info.model_sha256 = optional_text(root.get(), "model_sha256");
    info.recipe = optional_text(root.get(), "recipe");
    info.blas = optional_text(root.get(), "blas");
    info.seed = has_attribute(root.get(), "seed") ? read_unsigned(root.get(), "seed") : 0;
    return info;
}

ClipInfo read_clip(hid_t file, const std::string& id, std::int64_t context) {
    if (const auto objection = clip_id_objection(id); !objection.empty()) {
        throw Refusal(objection);
    }
    const auto clip = open_group(file, "/clips/" + id);
    const ClipInfo info{id, read_real(clip.get(), "audio_seconds"), read_integer(clip.get(), "valid_frames")};
    if (!std::isfinite(info.audio_seconds) || info.audio_seconds < 0) {
        throw Refusal(fmt::format("attribute audio_seconds is {}", info.audio_seconds));
    }
    if (info.valid_frames < 0 || info.valid_frames > context) {
        throw Refusal(
            fmt::format("attribute valid_frames is {}, not in 0..n_ctx = {}", info.valid_frames, context));
    }
    return info;
}

std::string join_names(std::span<const DatasetSpec> specs) {
    std::vector<std::string_view> names;
    std::ranges::transform(specs, std::back_inserter(names), &DatasetSpec::name);
    return fmt::format("{}", fmt::join(names, ", "));
}

using Datasets = std::map<std::string, StoredDataset>;

// Walks the layout from the root, verifying every link, group and dataset in it.
class Scan {
public:
    Scan(const std::string& file, hid_t id) : file_(file), id_(id) {}

    RecordingInfo run() {
        RecordingInfo info = reading(file_, "/", [&] { return read_root(id_); });
        require_child("/", names("/"), "clips");
        require_child("/", names("/"), "weights");
        for (const auto& id : names("/clips")) {
            const std::string clip = "/clips/" + id;
            info.clips.push_back(reading(file_, clip, [&] { return read_clip(id_, id, info.context); }));
            require_child(clip, names(clip), "encoder");
            layers(clip + "/encoder", activation_specs(), info);
        }
        if (info.clips.empty()) {
            throw ReadError(file_, "/clips", "holds no clip");
        }
        layers("/weights", weight_specs(), info);
        verify_audio_seconds(info);
        return info;
    }

    Datasets take_datasets() { return std::move(datasets_); }

private:
    std::vector<std::string> names(const std::string& group) const {
        return reading(file_, group, [&] { return link_names(open_group(id_, group).get()); });
    }

    void require_child(const std::string& group, const std::vector<std::string>& children,
                       const std::string& name) const {
        if (std::ranges::find(children, name) == children.end()) {
            throw ReadError(file_, group == "/" ? "/" + name : group + "/" + name, "is missing");
        }
    }

    void layers(const std::string& parent, std::span<const DatasetSpec> specs, const RecordingInfo& info) {
        const auto children = names(parent);
        std::set<std::string> expected;
        for (int layer = 0; layer < info.layers; ++layer) {
            require_child(parent, children, layer_name(layer));
            expected.insert(layer_name(layer));
        }
        for (const auto& child : children) {
            if (child.starts_with("layer_") && !expected.contains(child)) {
                throw ReadError(file_, parent + "/" + child,
                                fmt::format("is not a layer of this file, whose n_layer is {}", info.layers));
            }
        }
        for (const auto& layer : expected) {
            const auto group = parent + "/" + layer;
            require_child(group, names(group), "attn");
            attention(group + "/attn", specs, info.shape());
        }
    }

    void attention(const std::string& group, std::span<const DatasetSpec> specs, const LayerShape& shape) {
        const auto children = names(group);
        for (const auto& child : children) {
            const auto spec = std::ranges::find(specs, child, &DatasetSpec::name);
            const auto object = group + "/" + child;
            if (spec == specs.end()) {
                throw ReadError(file_, object,
                                fmt::format("is unknown here; known are {}", join_names(specs)));
            }
            auto stored = reading(file_, object, [&] { return verify_structure(id_, object, *spec, shape); });
            if (!datasets_.emplace(object, std::move(stored)).second) {
                throw ReadError(file_, object, "is there twice: the file is damaged");
            }
        }
        for (const auto& spec : specs) {
            if (spec.required) {
                require_child(group, children, std::string(spec.name));
            }
        }
    }

    void verify_audio_seconds(const RecordingInfo& info) const {
        double sum = 0;
        for (const auto& clip : info.clips) {
            sum += clip.audio_seconds;
        }
        reading(file_, "/", [&] {
            const auto root = open_group(id_, "/");
            if (!has_attribute(root.get(), "audio_seconds")) {
                return;
            }
            const double stated = read_real(root.get(), "audio_seconds");
            if (!(std::abs(stated - sum) <= 1e-6 * sum)) {
                throw Refusal(fmt::format("attribute audio_seconds is {}; the clips sum to {}", stated, sum));
            }
        });
    }

    const std::string& file_;
    hid_t id_;
    Datasets datasets_;
};

// What the constructor does, and what loading does where that may crash: a deflated chunk that inflates to
// another size than a chunk's makes HDF5 read beyond its buffer.
void try_reading(const std::string& file) {
    const auto handle = open_file(file);
    Scan scan(file, handle.get());
    scan.run();
    for (const auto& [object, stored] : scan.take_datasets()) {
        if (stored.deflated) {
            read_values(handle.get(), stored);
        }
    }
}

std::string hash_content(const Datasets& datasets) {
    Sha256 hash;
    for (const auto& [object, stored] : datasets) {
        hash.update(fmt::format("{} {}\n", object, stored.sha256));
    }
    return hash.finish();
}

}  // namespace

ReadError::ReadError(std::string file_name, std::string object_name, std::string why)
    : std::runtime_error(describe(file_name, object_name, why)),
      file(std::move(file_name)),
      object(std::move(object_name)),
      reason(std::move(why)) {}

struct Recording::State {
    std::string file;
    Handle handle;
    RecordingInfo info;
    Datasets datasets;
    std::string content_sha256;

    std::vector<float> values(const StoredDataset& stored) const {
        return reading(file, stored.object, [&] { return read_values(handle.get(), stored); });
    }

    // Fills what the group holds into its places of the layer.
    void load(const std::string& group, std::span<const DatasetSpec> specs, LayerCase& layer) const {
        for (const auto& spec : specs) {
            const auto found = datasets.find(fmt::format("{}/{}", group, spec.name));
            if (found != datasets.end()) {
                spec.slot(layer) = values(found->second);
            }
        }
    }
};

Recording::Recording(std::string file) : state_(std::make_unique<State>()) {
    const LibraryScope library;
    state_->file = std::move(file);
    reading(state_->file, "", [&] {
        verify_is_readable_file(state_->file);
        const auto death = died_in_trial([&] { try_reading(state_->file); });
        if (!death.empty()) {
            throw Refusal(fmt::format("is damaged, HDF5 {} on it: copy or record it again", death));
        }
        state_->handle = open_file(state_->file);
    });
    Scan scan(state_->file, state_->handle.get());
    state_->info = scan.run();
    state_->datasets = scan.take_datasets();
    state_->content_sha256 = hash_content(state_->datasets);
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
    const auto& info = state_->info;
    if (std::ranges::find(info.clips, clip, &ClipInfo::id) == info.clips.end()) {
        std::vector<std::string_view> ids;
        std::ranges::transform(info.clips, std::back_inserter(ids), &ClipInfo::id);
        throw ReadError(state_->file, "/clips/" + clip,
                        fmt::format("is not in the file, which holds {}", fmt::join(ids, ", ")));
    }
    if (layer < 0 || layer >= info.layers) {
        throw ReadError(
            state_->file, fmt::format("/clips/{}", clip),
            fmt::format("layer {} is not in the file, which holds 0..{}", layer, info.layers - 1));
    }
    LayerCase result;
    result.clip = clip;
    result.layer = layer;
    result.shape = info.shape();
    state_->load(activations_group(clip, layer), activation_specs(), result);
    state_->load(weights_group(layer), weight_specs(), result);
    return result;
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
