#include "datasets/recording_info.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string_view>

#include "datasets/recording_hdf5.hpp"

namespace datasets {
namespace {

// Provenance by attribute; not created_utc, which resuming does not change.
constexpr std::array<std::pair<const char*, std::string RecordingInfo::*>, 7> provenance{{
    {"source", &RecordingInfo::source},
    {"producer", &RecordingInfo::producer},
    {"producer_version", &RecordingInfo::producer_version},
    {"model_id", &RecordingInfo::model_id},
    {"model_sha256", &RecordingInfo::model_sha256},
    {"recipe", &RecordingInfo::recipe},
    {"blas", &RecordingInfo::blas},
}};

std::string optional_text(hid_t object, const std::string& name) {
    return has_attribute(object, name) ? read_text(object, name) : std::string();
}

std::vector<int> all_layers(int layers) {
    std::vector<int> all(static_cast<std::size_t>(layers));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

// "" where these may be the layers of a file, else what is wrong with them.
std::string layers_objection(const std::vector<std::int64_t>& listed, int layers) {
    const bool ascends = std::ranges::adjacent_find(listed, std::greater_equal{}) == listed.end();
    return ascends && listed.front() >= 0 && listed.back() < layers
               ? ""
               : fmt::format("layers is [{}], not ascending within 0..{}", fmt::join(listed, ", "),
                             layers - 1);
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
}

void read_dimensions(hid_t root, RecordingInfo& info) {
    info.context = read_integer(root, "n_ctx");
    const auto heads = read_integer(root, "n_head");
    const auto layers = read_integer(root, "n_layer");
    const auto mels = has_attribute(root, "n_mels") ? read_integer(root, "n_mels") : 0;
    if (const auto objection = shape_objection(info.context, heads, layers, mels); !objection.empty()) {
        throw Refusal(fmt::format("attribute {}", objection));
    }
    info.heads = static_cast<int>(heads);
    info.layers = static_cast<int>(layers);
    info.mels = static_cast<int>(mels);
    info.recorded_layers = all_layers(info.layers);
    if (has_attribute(root, "layers")) {
        const auto listed = read_integer_list(root, "layers", layers_limit);
        if (const auto objection = layers_objection(listed, info.layers); !objection.empty()) {
            throw Refusal(fmt::format("attribute {}", objection));
        }
        info.recorded_layers.assign(listed.begin(), listed.end());
    }
    if (const auto width = read_integer(root, "head_dim"); width != head_width) {
        throw Refusal(fmt::format("attribute head_dim is {}; every Whisper head has {}", width, head_width));
    }
    if (const auto width = read_integer(root, "d_model"); width != info.shape().width()) {
        throw Refusal(fmt::format("attribute d_model is {}; n_head {} x head_dim {} is {}", width, info.heads,
                                  head_width, info.shape().width()));
    }
}

std::string clip_objection(const ClipInfo& clip, std::int64_t context) {
    if (!std::isfinite(clip.audio_seconds) || clip.audio_seconds < 0) {
        return fmt::format("audio_seconds is {}", clip.audio_seconds);
    }
    if (clip.valid_frames < 0 || clip.valid_frames > context) {
        return fmt::format("valid_frames is {}, not in 0..n_ctx = {}", clip.valid_frames, context);
    }
    if (!clip.audio_sha256.empty()) {
        if (const auto objection = hash_objection(clip.audio_sha256); !objection.empty()) {
            return "audio_sha256 " + objection;
        }
    }
    return "";
}

std::string info_objection(const RecordingInfo& info) {
    if (const auto objection = shape_objection(info.context, info.heads, info.layers, info.mels);
        !objection.empty()) {
        return objection;
    }
    if (!info.recorded_layers.empty()) {
        const std::vector<std::int64_t> listed(info.recorded_layers.begin(), info.recorded_layers.end());
        if (const auto objection = layers_objection(listed, info.layers); !objection.empty()) {
            return objection;
        }
    }
    if (info.source != "synthetic" && info.source != "recorded") {
        return "source is neither \"synthetic\" nor \"recorded\"";
    }
    for (const auto& [name, member] : provenance) {
        if (std::ranges::any_of(info.*member, is_control)) {
            return fmt::format("{} holds a control character", name);
        }
    }
    if (info.clips.empty()) {
        return "a recording has at least one clip";
    }
    std::set<std::string_view> ids;
    for (const auto& clip : info.clips) {
        if (const auto bad_id = clip_id_objection(clip.id); !bad_id.empty()) {
            return bad_id;
        }
        if (!ids.insert(clip.id).second) {
            return fmt::format("clip {} is there twice", clip.id);
        }
        if (std::ranges::any_of(clip.audio_origin, is_control)) {
            return fmt::format("audio_origin of clip {} holds a control character", clip.id);
        }
        if (const auto objection = clip_objection(clip, info.context); !objection.empty()) {
            return fmt::format("clip {}: {}", clip.id, objection);
        }
    }
    return "";
}

void write_clip_attributes(hid_t group, const ClipInfo& clip) {
    write_real(group, "audio_seconds", clip.audio_seconds);
    write_integer(group, "valid_frames", clip.valid_frames);
    if (!clip.audio_sha256.empty()) {
        write_text(group, "audio_sha256", clip.audio_sha256);
    }
    if (!clip.audio_origin.empty()) {
        write_text(group, "audio_origin", clip.audio_origin);
    }
}

// What identifies a clip, as one text.
std::string describe(const ClipInfo& clip) {
    return fmt::format("{} ({} s, {} frames, audio {:.12})", clip.id, clip.audio_seconds, clip.valid_frames,
                       clip.audio_sha256.empty() ? "unnamed" : clip.audio_sha256);
}

void require_same(const std::string& attribute, const std::string& found, const std::string& wanted) {
    if (found != wanted) {
        throw Refusal(
            fmt::format("cannot be resumed: {} is \"{:.80}\" there and \"{:.80}\" now; record again "
                        "without --resume, or as it was begun",
                        attribute, found, wanted));
    }
}

}  // namespace

std::vector<int> layers_of(const RecordingInfo& info) {
    return info.recorded_layers.empty() ? all_layers(info.layers) : info.recorded_layers;
}

RecordingInfo read_root(hid_t file) {
    const auto root = open_group(file, "/");
    verify_schema(root.get());
    RecordingInfo info;
    read_dimensions(root.get(), info);
    info.source = read_text(root.get(), "source");
    if (info.source != "synthetic" && info.source != "recorded") {
        throw Refusal(
            fmt::format("attribute source is \"{:.60}\", not \"synthetic\" or \"recorded\"", info.source));
    }
    info.producer = read_text(root.get(), "producer");
    info.model_id = read_text(root.get(), "model_id");
    for (const auto& [name, member] : provenance) {
        info.*member = optional_text(root.get(), name);
    }
    info.created_utc = optional_text(root.get(), "created_utc");
    info.seed = has_attribute(root.get(), "seed") ? read_unsigned(root.get(), "seed") : 0;
    return info;
}

void verify_complete(hid_t file) {
    const auto root = open_group(file, "/");
    if (!has_attribute(root.get(), "complete")) {
        throw Refusal("attribute complete is missing: the recording was not finished, record it again");
    }
    if (const auto complete = read_integer(root.get(), "complete"); complete != 1) {
        throw Refusal(
            fmt::format("attribute complete is {} instead of 1: the recording was not finished", complete));
    }
}

ClipInfo read_clip(hid_t file, const std::string& id, std::int64_t context) {
    if (const auto objection = clip_id_objection(id); !objection.empty()) {
        throw Refusal(objection);
    }
    const auto group = open_group(file, clip_group(id));
    ClipInfo clip{id, read_real(group.get(), "audio_seconds"), read_integer(group.get(), "valid_frames"),
                  optional_text(group.get(), "audio_sha256"), optional_text(group.get(), "audio_origin")};
    if (const auto objection = clip_objection(clip, context); !objection.empty()) {
        throw Refusal("attribute " + objection);
    }
    return clip;
}

void verify_info(const RecordingInfo& info) {
    auto objection = info_objection(info);
    if (objection.empty() && std::ranges::any_of(info.created_utc, is_control)) {
        objection = "created_utc holds a control character";
    }
    if (!objection.empty()) {
        throw std::invalid_argument("cannot write this recording: " + objection);
    }
}

void write_root(hid_t file, const RecordingInfo& info, const WriterOptions& options) {
    const auto root = open_group(file, "/");
    write_text(root.get(), "schema", schema_name);
    write_integers(root.get(), "schema_version", {schema_major, schema_minor});
    write_text(root.get(), "created_utc", info.created_utc);
    for (const auto& [name, member] : provenance) {
        write_text(root.get(), name, info.*member);
    }
    write_unsigned(root.get(), "seed", info.seed);
    write_integer(root.get(), "n_ctx", info.context);
    write_integer(root.get(), "d_model", info.shape().width());
    write_integer(root.get(), "n_head", info.heads);
    write_integer(root.get(), "head_dim", head_width);
    write_integer(root.get(), "n_layer", info.layers);
    if (info.mels != 0) {
        write_integer(root.get(), "n_mels", info.mels);
    }
    if (const auto layers = layers_of(info); layers != all_layers(info.layers)) {
        write_integers(root.get(), "layers", {layers.begin(), layers.end()});
    }
    write_real(root.get(), "ln_eps", 1e-5);
    write_text(root.get(), "gelu", "erf");
    write_text(root.get(), "scale_convention", "scores/sqrt(d)");
    write_text(root.get(), "precision", "float32");
    write_text(root.get(), "store", dtype_label(options.store));
    write_integer(root.get(), "whole_weights", options.whole_weights ? 1 : 0);
    double seconds = 0;
    for (const auto& clip : info.clips) {
        write_clip_attributes(create_group(file, clip_group(clip.id)).get(), clip);
        seconds += clip.audio_seconds;
    }
    write_real(root.get(), "audio_seconds", seconds);
}

void verify_same_recording(hid_t file, const RecordingInfo& found, const RecordingInfo& wanted,
                           const WriterOptions& options) {
    const auto root = open_group(file, "/");
    for (const auto& [name, member] : provenance) {
        require_same(fmt::format("attribute {}", name), found.*member, wanted.*member);
    }
    const auto same_number = [](const char* name, std::uint64_t there, std::uint64_t now) {
        require_same(fmt::format("attribute {}", name), fmt::to_string(there), fmt::to_string(now));
    };
    same_number("seed", found.seed, wanted.seed);
    same_number("n_ctx", static_cast<std::uint64_t>(found.context),
                static_cast<std::uint64_t>(wanted.context));
    same_number("n_head", static_cast<std::uint64_t>(found.heads), static_cast<std::uint64_t>(wanted.heads));
    same_number("n_layer", static_cast<std::uint64_t>(found.layers),
                static_cast<std::uint64_t>(wanted.layers));
    same_number("n_mels", static_cast<std::uint64_t>(found.mels), static_cast<std::uint64_t>(wanted.mels));
    require_same("attribute layers", fmt::format("{}", fmt::join(layers_of(found), ", ")),
                 fmt::format("{}", fmt::join(layers_of(wanted), ", ")));
    require_same("attribute store", read_text(root.get(), "store"), std::string(dtype_label(options.store)));
    same_number("whole_weights", read_unsigned(root.get(), "whole_weights"), options.whole_weights ? 1 : 0);
    // The reader meets clips in name order, the writer announces them in any.
    const auto texts = [](const RecordingInfo& info) {
        std::set<std::string> all;
        std::ranges::transform(info.clips, std::inserter(all, all.end()),
                               [](const ClipInfo& clip) { return describe(clip); });
        return all;
    };
    const auto there = texts(found);
    const auto now = texts(wanted);
    const auto [one, other] = std::ranges::mismatch(there, now);
    require_same("a clip", one == there.end() ? "absent" : *one, other == now.end() ? "absent" : *other);
}

}  // namespace datasets
