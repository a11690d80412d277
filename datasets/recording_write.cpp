// Writing a recording: one layer at a time, into a temporary beside the target, renamed when it is complete.
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <system_error>
#include <utility>

#include "datasets/bf16.hpp"
#include "datasets/recording.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/recording_schema.hpp"
#include "datasets/sha256.hpp"

namespace datasets {
namespace {

constexpr hsize_t chunk_bytes = hsize_t{512} << 10;

std::string system_error(int code) {
    return std::generic_category().message(code);
}

// Runs `write`, and lets what HDF5 refuses be a runtime_error that names the file and the object.
template <typename Write>
auto writing(const std::string& file, const std::string& object, Write write) {
    try {
        return write();
    } catch (const Refusal& refusal) {
        throw std::runtime_error(object.empty() ? fmt::format("{}: {}", file, refusal.what())
                                                : fmt::format("{}: {}: {}", file, object, refusal.what()));
    }
}

void verify_info(const RecordingInfo& info) {
    std::string objection = shape_objection(info.context, info.heads, info.layers);
    if (info.source != "synthetic" && info.source != "recorded") {
        objection = "source is neither \"synthetic\" nor \"recorded\"";
    }
    for (const auto* text : {&info.producer, &info.producer_version, &info.created_utc, &info.model_id,
                             &info.model_sha256, &info.recipe, &info.blas}) {
        if (std::ranges::any_of(*text, is_control)) {
            objection = "its provenance holds a control character";
        }
    }
    if (info.clips.empty()) {
        objection = "a recording has at least one clip";
    }
    std::set<std::string_view> ids;
    for (const auto& clip : info.clips) {
        if (const auto bad_id = clip_id_objection(clip.id); !bad_id.empty()) {
            objection = bad_id;
        } else if (!ids.insert(clip.id).second) {
            objection = fmt::format("clip {} is there twice", clip.id);
        } else if (!std::isfinite(clip.audio_seconds) || clip.audio_seconds < 0 || clip.valid_frames < 0 ||
                   clip.valid_frames > info.context) {
            objection = fmt::format("clip {} has impossible audio_seconds or valid_frames", clip.id);
        }
    }
    if (!objection.empty()) {
        throw std::invalid_argument("cannot write this recording: " + objection);
    }
}

// Tells by errno, before HDF5 does it in its words, whether the temporary can be written. True if this call
// made it.
bool reserve(const std::string& partial) {
    constexpr mode_t mode = 0666;  // less the umask, like every file of a user
    int descriptor = open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    const bool made = descriptor >= 0;
    if (!made && errno == EEXIST) {  // left behind by a killed process with this id
        descriptor = open(partial.c_str(), O_WRONLY | O_CLOEXEC);
    }
    if (descriptor < 0) {
        throw Refusal(fmt::format("cannot write into its folder: {}", system_error(errno)));
    }
    close(descriptor);
    return made;
}

Handle create_file(const std::string& file, const std::string& partial) {
    if (file.empty()) {
        throw Refusal("cannot write a recording without a file name");
    }
    if (std::error_code ignored; std::filesystem::is_directory(file, ignored)) {
        throw Refusal("is a folder; name a file");
    }
    const bool made = reserve(partial);
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "prepare to create it");
    require(H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V110), "prepare to create it");
    require(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG), "prepare to create it");
    try {
        return {H5Fcreate(partial.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose, "create it"};
    } catch (const Refusal&) {
        if (made) {
            unlink(partial.c_str());
        }
        throw;
    }
}

Handle create_group(hid_t file, const std::string& object) {
    const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "prepare to create it");
    require(H5Pset_create_intermediate_group(links.get(), 1), "prepare to create it");
    require(H5Pset_char_encoding(links.get(), H5T_CSET_UTF8), "prepare to create it");
    return {H5Gcreate2(file, object.c_str(), links.get(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose, "create it"};
}

void write_root(hid_t file, const RecordingInfo& info) {
    const auto root = open_group(file, "/");
    const auto text = [&](const char* name, std::string_view value) { write_text(root.get(), name, value); };
    text("schema", schema_name);
    write_integers(root.get(), "schema_version", {schema_major, schema_minor});
    text("created_utc", info.created_utc);
    text("producer", info.producer);
    text("producer_version", info.producer_version);
    text("model_id", info.model_id);
    text("model_sha256", info.model_sha256);
    text("recipe", info.recipe);
    text("blas", info.blas);
    text("source", info.source);
    write_unsigned(root.get(), "seed", info.seed);
    write_integer(root.get(), "n_ctx", info.context);
    write_integer(root.get(), "d_model", info.shape().width());
    write_integer(root.get(), "n_head", info.heads);
    write_integer(root.get(), "head_dim", head_width);
    write_integer(root.get(), "n_layer", info.layers);
    write_real(root.get(), "ln_eps", 1e-5);
    text("gelu", "erf");
    text("scale_convention", "scores/sqrt(d)");
    text("precision", "float32");
    double seconds = 0;
    for (const auto& clip : info.clips) {
        const auto group = create_group(file, "/clips/" + clip.id);
        write_real(group.get(), "audio_seconds", clip.audio_seconds);
        write_integer(group.get(), "valid_frames", clip.valid_frames);
        seconds += clip.audio_seconds;
    }
    write_real(root.get(), "audio_seconds", seconds);
}

// Chunks of whole rows, about 512 KiB each; no time stamps, so that equal content gives equal bytes.
Handle creation_properties(const std::vector<std::int64_t>& dims, std::size_t element_bytes) {
    std::vector<hsize_t> chunk(dims.begin(), dims.end());
    const hsize_t row_bytes = (dims.size() == 2 ? chunk[1] : 1) * element_bytes;
    chunk[0] = std::clamp<hsize_t>(chunk_bytes / row_bytes, 1, chunk[0]);
    Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "prepare to create it");
    require(H5Pset_chunk(properties.get(), static_cast<int>(chunk.size()), chunk.data()),
            "prepare to create it");
    require(H5Pset_fletcher32(properties.get()), "prepare to create it");
    require(H5Pset_obj_track_times(properties.get(), false), "prepare to create it");
    return properties;
}

// Without a chunk cache every chunk goes to the disk when it is written, so that a full disk shows there.
Handle uncached() {
    Handle properties(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose, "prepare to create it");
    require(H5Pset_chunk_cache(properties.get(), 0, 0, 1), "prepare to create it");
    return properties;
}

template <typename Element>
void write_dataset(hid_t group, const DatasetSpec& spec, const LayerShape& shape, DType dtype,
                   std::span<const Element> values) {
    const auto dims = dimensions(spec.extent, shape);
    const std::vector<hsize_t> extent(dims.begin(), dims.end());
    const Handle space(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose,
                       "prepare to create it");
    const auto type = stored_type(dtype);
    const std::string name(spec.name);
    Handle dataset(H5Dcreate2(group, name.c_str(), type.get(), space.get(), H5P_DEFAULT,
                              creation_properties(dims, sizeof(Element)).get(), uncached().get()),
                   H5Dclose, "create it");
    require(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
            "write its values");
    write_text(dataset.get(), "dims", dims_label(spec.extent));
    write_text(dataset.get(), "dtype_logical", dtype_label(dtype));
    write_text(dataset.get(), "rounding", dtype == DType::bf16 ? "rne" : "none");
    write_text(dataset.get(), "sha256", sha256_hex(std::as_bytes(values)));
    write_text(dataset.get(), "tensor_role", spec.role);
    if (!spec.scale.empty()) {
        write_text(dataset.get(), "scale_applied", spec.scale);
    }
    if (spec.extent == Extent::out_in) {
        write_text(dataset.get(), "layout", dims_label(spec.extent));
    }
    dataset.close("write its last blocks");
}

// `values` is stored as it is, or rounded to bf16 here: HDF5's own conversion rounds ties away from zero.
void write_tensor(hid_t group, const DatasetSpec& spec, const LayerShape& shape, DType store,
                  const std::vector<float>& values) {
    if (store == DType::f32) {
        write_dataset<float>(group, spec, shape, store, values);
        return;
    }
    std::vector<bf16> rounded(values.size());
    std::ranges::transform(values, rounded.begin(),
                           [](float value) { return to_bf16(value, Rounding::nearest_even); });
    write_dataset<bf16>(group, spec, shape, store, rounded);
}

// A tensor that the reader would refuse is not written. Throws std::invalid_argument.
void verify_tensor(const DatasetSpec& spec, const LayerShape& shape, DType store,
                   const std::vector<float>* values) {
    if (values == nullptr) {
        if (spec.required) {
            throw std::invalid_argument(fmt::format("a layer without {} cannot be recorded", spec.role));
        }
        return;
    }
    std::size_t elements = 1;
    for (const auto dim : dimensions(spec.extent, shape)) {
        elements *= static_cast<std::size_t>(dim);
    }
    if (values->size() != elements) {
        throw std::invalid_argument(
            fmt::format("{} has {} elements instead of {}", spec.role, values->size(), elements));
    }
    const auto finite = [store](float value) {
        return std::isfinite(store == DType::bf16 ? round_to_bf16(value, Rounding::nearest_even) : value);
    };
    if (!std::ranges::all_of(*values, finite)) {
        throw std::invalid_argument(
            fmt::format("{} holds NaN or a value beyond {}", spec.role, dtype_label(store)));
    }
}

std::string hash_weights(const LayerCase& layer) {
    Sha256 hash;
    for (const auto& spec : weight_specs()) {
        hash.update(std::as_bytes(std::span(*spec.find(layer))));
    }
    return hash.finish();
}

// The bytes of a file, or the names in a folder, are on the disk when this returns.
void synchronise(const std::string& name, int flags) {
    const int descriptor = open(name.c_str(), flags | O_CLOEXEC);
    if (descriptor < 0 || fsync(descriptor) != 0) {
        const int code = errno;
        if (descriptor >= 0) {
            close(descriptor);
        }
        throw Refusal(fmt::format("cannot bring it to the disk: {}", system_error(code)));
    }
    close(descriptor);
}

}  // namespace

struct RecordingWriter::State {
    std::string file;
    std::string partial;
    RecordingInfo info;
    DType store = DType::f32;
    Handle handle;
    std::map<int, std::string> weight_hashes;       // of the layers written so far
    std::set<std::pair<std::string, int>> written;  // (clip, layer)
    bool renamed = false;

    ~State() {
        abandon(std::move(handle));
        if (!renamed) {
            unlink(partial.c_str());
        }
    }

    void verify(const LayerCase& layer) const {
        if (std::ranges::find(info.clips, layer.clip, &ClipInfo::id) == info.clips.end() || layer.layer < 0 ||
            layer.layer >= info.layers || layer.shape != info.shape()) {
            throw std::invalid_argument("this clip, layer or shape was not announced to the recording");
        }
        if (written.contains({layer.clip, layer.layer})) {
            throw std::invalid_argument(
                fmt::format("clip {} layer {} is already written", layer.clip, layer.layer));
        }
        for (const auto specs : {activation_specs(), weight_specs()}) {
            for (const auto& spec : specs) {
                verify_tensor(spec, layer.shape, store, spec.find(layer));
            }
        }
        for (const auto& [op, tensor] : layer.recorded) {
            const auto is_known = [op = op](const DatasetSpec& spec) { return spec.role == name(op); };
            if (std::ranges::none_of(activation_specs(), is_known)) {
                throw std::invalid_argument(fmt::format("{} has no place in a recording", name(op)));
            }
        }
        if (!layer.weights.attention.key.bias.empty()) {
            throw std::invalid_argument("Whisper's key projection has no bias");
        }
    }

    void write_group(const std::string& object, std::span<const DatasetSpec> specs,
                     const LayerCase& layer) const {
        const auto group = writing(file, object, [&] { return create_group(handle.get(), object); });
        for (const auto& spec : specs) {
            if (const auto* values = spec.find(layer); values != nullptr) {
                writing(file, fmt::format("{}/{}", object, spec.name),
                        [&] { write_tensor(group.get(), spec, layer.shape, store, *values); });
            }
        }
    }
};

RecordingWriter::RecordingWriter(std::string file, RecordingInfo info, DType store) {
    verify_info(info);
    const LibraryScope quiet;
    if (info.created_utc.empty()) {
        const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        info.created_utc = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
    }
    const auto partial = fmt::format("{}.partial-{}", file, getpid());
    auto handle = writing(file, "", [&] { return create_file(file, partial); });
    // From here on the State removes the temporary.
    state_ = std::make_unique<State>();
    state_->file = std::move(file);
    state_->partial = partial;
    state_->info = std::move(info);
    state_->store = store;
    state_->handle = std::move(handle);
    writing(state_->file, "", [&] { write_root(state_->handle.get(), state_->info); });
}

RecordingWriter::~RecordingWriter() = default;

void RecordingWriter::write(const LayerCase& layer) {
    const LibraryScope quiet;
    state_->verify(layer);
    const auto hash = hash_weights(layer);
    const auto known = state_->weight_hashes.find(layer.layer);
    if (known != state_->weight_hashes.end() && known->second != hash) {
        throw std::invalid_argument(
            fmt::format("clip {} layer {} has other weights than an earlier clip", layer.clip, layer.layer));
    }
    state_->write_group(activations_group(layer.clip, layer.layer), activation_specs(), layer);
    if (known == state_->weight_hashes.end()) {
        state_->write_group(weights_group(layer.layer), weight_specs(), layer);
        state_->weight_hashes.emplace(layer.layer, hash);
    }
    state_->written.emplace(layer.clip, layer.layer);
}

void RecordingWriter::finish() {
    const LibraryScope quiet;
    const auto expected = state_->info.clips.size() * static_cast<std::size_t>(state_->info.layers);
    if (state_->written.size() != expected) {
        throw std::logic_error(
            fmt::format("{}: {} of {} layers are written", state_->file, state_->written.size(), expected));
    }
    writing(state_->file, "", [&] {
        // Everything else must be in the file before it calls itself complete.
        require(H5Fflush(state_->handle.get(), H5F_SCOPE_GLOBAL), "write its last blocks");
        write_integer(open_group(state_->handle.get(), "/").get(), "complete", 1);
        require(H5Fflush(state_->handle.get(), H5F_SCOPE_GLOBAL), "write its last blocks");
        state_->handle.close("close it");
        synchronise(state_->partial, O_RDONLY);
        if (std::rename(state_->partial.c_str(), state_->file.c_str()) != 0) {
            throw Refusal(fmt::format("cannot rename its temporary: {}", system_error(errno)));
        }
        state_->renamed = true;
        const auto folder = std::filesystem::path(state_->file).parent_path();
        synchronise(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
    });
}

}  // namespace datasets
