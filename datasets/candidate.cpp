#include "datasets/candidate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <string_view>
#include <utility>

#include "datasets/candidate_dataset.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/recording_scan.hpp"
#include "datasets/recording_schema.hpp"
#include "datasets/recording_trial.hpp"

namespace datasets {
namespace {

constexpr std::string_view candidate_schema = "npu-attention-candidate";
constexpr std::int64_t candidate_major = 1;
constexpr std::int64_t candidate_minor = 0;

constexpr std::string_view mend = "write_candidate.py shows how to make one";

// Of one clip, by layer.
using Layers = std::map<int, std::map<Op, DumpedDataset>>;

struct Contents {
    CandidateInfo info;
    std::map<std::string, Layers> clips;
};

// What reports print as a line of theirs.
std::string read_line(hid_t root, const std::string& name) {
    constexpr std::size_t longest = 300;
    auto text = read_text(root, name);
    if (text.size() > longest) {
        throw Refusal(
            fmt::format("attribute {} has {} bytes, a line has at most {}", name, text.size(), longest));
    }
    return text;
}

std::string required_line(hid_t root, const std::string& name) {
    auto text = read_line(root, name);
    if (text.empty()) {
        throw Refusal(fmt::format("attribute {} is empty", name));
    }
    return text;
}

std::string optional_line(hid_t root, const std::string& name) {
    return has_attribute(root, name) ? read_line(root, name) : std::string();
}

void verify_schema(hid_t root) {
    if (!has_attribute(root, "schema")) {
        throw Refusal(fmt::format("attribute schema is missing; {}", mend));
    }
    if (const auto schema = read_text(root, "schema"); schema != candidate_schema) {
        throw Refusal(fmt::format("attribute schema is \"{:.60}\" instead of \"{}\"{}", schema,
                                  candidate_schema, schema == schema_name ? ": this is a recording" : ""));
    }
    const auto version = read_integers(root, "schema_version", 2);
    if (version[0] != candidate_major || version[1] != candidate_minor) {
        throw Refusal(fmt::format("attribute schema_version is {}.{}; this program reads {}.{}", version[0],
                                  version[1], candidate_major, candidate_minor));
    }
}

void verify_recording(hid_t root, const std::string& recording_sha256) {
    const auto hash = required_line(root, "recording_sha256");
    if (const auto objection = hash_objection(hash); !objection.empty()) {
        throw Refusal("attribute recording_sha256 " + objection);
    }
    if (hash != recording_sha256) {
        throw Refusal(
            fmt::format("was computed from the recording with content SHA-256 {:.12}..., not from "
                        "this one, which has {:.12}...",
                        hash, recording_sha256));
    }
}

CandidateInfo read_info(hid_t root) {
    CandidateInfo info;
    info.runner = required_line(root, "runner");
    const auto feed = required_line(root, "input");
    if (feed != "isolated" && feed != "chained") {
        throw Refusal(fmt::format("attribute input is \"{:.60}\", not isolated or chained", feed));
    }
    info.feed = feed == "isolated" ? Feed::isolated : Feed::chained;
    info.arithmetic = optional_line(root, "arithmetic");
    info.device = optional_line(root, "device");
    if (has_attribute(root, "launches")) {
        info.launches = read_integer(root, "launches");
        // HDF5 clips what is larger to the largest.
        if (*info.launches < 0 || *info.launches == std::numeric_limits<std::int64_t>::max()) {
            throw Refusal(fmt::format("attribute launches is {}", *info.launches));
        }
    }
    return info;
}

// The number in "layer_3" or "layer_03".
std::optional<int> layer_of(std::string_view name) {
    constexpr std::string_view prefix = "layer_";
    if (!name.starts_with(prefix)) {
        return std::nullopt;
    }
    const std::string_view digits = name.substr(prefix.size());
    int layer = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
    const bool number = error == std::errc() && end == digits.data() + digits.size() && digits[0] != '-';
    return number ? std::optional(layer) : std::nullopt;
}

std::vector<std::string> names_of(const std::vector<Op>& ops) {
    std::vector<std::string> names;
    std::ranges::transform(ops, std::back_inserter(names), [](Op op) { return std::string(name(op)); });
    return names;
}

// Walks the whole file; every dataset in it is verified, no values are read.
class CandidateScan {
public:
    CandidateScan(const std::string& file, hid_t id, const RecordingInfo& recording,
                  const std::string& recording_sha256)
        : file_(file), id_(id), recording_(recording), recording_sha256_(recording_sha256) {}

    Contents run() {
        Contents contents;
        contents.info = reading(file_, "/", [&] {
            const auto root = open_group(id_, "/");
            verify_schema(root.get());
            verify_recording(root.get(), recording_sha256_);
            return read_info(root.get());
        });
        for (const auto& child : names("/")) {
            if (child != "clips") {
                throw ReadError(file_, "/" + child, "is unknown here; known is clips");
            }
            for (const auto& id : names("/clips")) {
                contents.clips[id] = clip(id);
            }
        }
        const bool empty =
            std::ranges::all_of(contents.clips, [](const auto& c) { return c.second.empty(); });
        if (empty) {
            throw ReadError(file_, "/clips", fmt::format("holds no tensor; {}", mend));
        }
        return contents;
    }

private:
    std::vector<std::string> names(const std::string& group) const {
        return reading(file_, group, [&] { return link_names(open_group(id_, group).get()); });
    }

    Layers clip(const std::string& id) const {
        const auto group = clip_group(id);
        if (std::ranges::find(recording_.clips, id, &ClipInfo::id) == recording_.clips.end()) {
            std::vector<std::string_view> ids;
            std::ranges::transform(recording_.clips, std::back_inserter(ids), &ClipInfo::id);
            throw ReadError(file_, group,
                            fmt::format("is no clip of the recording, which holds {}", fmt::join(ids, ", ")));
        }
        Layers layers;
        for (const auto& child : names(group)) {
            const auto object = group + "/" + child;
            const auto layer = layer_of(child);
            if (!layer) {
                throw ReadError(file_, object, "is unknown here; known are layer_0, layer_1, ...");
            }
            const auto& recorded = recording_.recorded_layers;
            if (std::ranges::find(recorded, *layer) == recorded.end()) {
                throw ReadError(
                    file_, object,
                    fmt::format("is no layer of the recording, which holds {}", fmt::join(recorded, ", ")));
            }
            if (layers.contains(*layer)) {
                throw ReadError(file_, object, fmt::format("is there twice: layer {}", *layer));
            }
            layers[*layer] = ops(object);
        }
        std::erase_if(layers, [](const auto& entry) { return entry.second.empty(); });
        return layers;
    }

    std::map<Op, DumpedDataset> ops(const std::string& group) const {
        const auto known = candidate_ops();
        std::map<Op, DumpedDataset> found;
        for (const auto& child : names(group)) {
            const auto object = group + "/" + child;
            const auto op = parse_op(child);
            if (!op || std::ranges::find(known, *op) == known.end()) {
                throw ReadError(
                    file_, object,
                    fmt::format("is unknown here; known are {}", fmt::join(names_of(known), ", ")));
            }
            found[*op] =
                reading(file_, object, [&] { return verify_dumped(id_, object, *op, recording_.shape()); });
        }
        return found;
    }

    const std::string& file_;
    hid_t id_;
    const RecordingInfo& recording_;
    const std::string& recording_sha256_;
};

bool is_deflated(const std::pair<const Op, DumpedDataset>& entry) {
    return entry.second.deflated;
}

// Reads the deflated datasets of one layer: a chunk that inflates to another size than a chunk's makes HDF5
// read beyond its buffer.
void try_values(hid_t file, const std::map<Op, DumpedDataset>& ops, const LayerShape& shape) {
    std::vector<float> slab;
    for (const auto& [op, dumped] : ops) {
        if (!dumped.deflated) {
            continue;
        }
        const DumpedReader reader(file, dumped);
        const bool square = is_square(op);
        for (std::int64_t begin = 0; begin < shape.context; begin += block_rows) {
            const std::int64_t count = std::min(block_rows, shape.context - begin);
            slab.resize(static_cast<std::size_t>(count * dumped.dims.back()));
            for (int head = square ? 0 : -1; head < (square ? shape.heads : 0); ++head) {
                reader.read({head, begin, count}, slab);
            }
        }
    }
}

// Runs `action` on the file, opened anew, in a child process, which may crash. Throws Refusal if it does.
void try_on(const std::string& file, const std::function<void(hid_t)>& action) {
    const auto death = died_in_trial([&] {
        const auto handle = open_file(file);
        action(handle.get());
    });
    if (!death.empty()) {
        throw Refusal(fmt::format("is damaged, HDF5 {} on it: copy or dump it again", death));
    }
}

}  // namespace

std::vector<Op> candidate_ops() {
    return {Op::attention_norm, Op::query,  Op::key,      Op::value, Op::scores, Op::probabilities,
            Op::context,        Op::output, Op::mlp_norm, Op::fc1,   Op::gelu,   Op::fc2};
}

struct Candidate::State {
    std::string file;
    LayerShape shape;
    Handle handle;
    Contents contents;

    // Of the layer that was read last: its datasets stay open, for the sake of their chunks.
    std::mutex mutex;
    std::string clip;
    int layer = -1;
    std::map<Op, DumpedReader> readers;

    [[nodiscard]] const std::map<Op, DumpedDataset>* find(const std::string& of_clip, int of_layer) const {
        const auto layers = contents.clips.find(of_clip);
        if (layers == contents.clips.end()) {
            return nullptr;
        }
        const auto ops = layers->second.find(of_layer);
        return ops == layers->second.end() ? nullptr : &ops->second;
    }

    const DumpedReader& reader(const std::string& of_clip, int of_layer, const DumpedDataset& dumped) {
        if (of_clip != clip || of_layer != layer) {
            readers.clear();
            clip = of_clip;
            layer = of_layer;
        }
        const auto found = readers.find(dumped.op);
        return found != readers.end() ? found->second
                                      : readers.try_emplace(dumped.op, handle.get(), dumped).first->second;
    }
};

Candidate::Candidate(std::string file, const Recording& recording) : state_(std::make_unique<State>()) {
    const LibraryScope library;
    state_->file = std::move(file);
    state_->shape = recording.info().shape();
    const auto scan = [&](hid_t id) {
        return CandidateScan(state_->file, id, recording.info(), recording.content_sha256()).run();
    };
    reading(state_->file, "", [&] {
        verify_is_readable_file(state_->file, std::string(mend));
        try_on(state_->file, scan);
        state_->handle = open_file(state_->file);
    });
    state_->contents = scan(state_->handle.get());
    // One trial a layer: each has its limit of time.
    for (const auto& [clip, layers] : state_->contents.clips) {
        for (const auto& [layer, held] : layers) {
            const auto& ops = held;  // a structured binding is not captured by every compiler
            if (std::ranges::any_of(ops, is_deflated)) {
                reading(state_->file, fmt::format("{}/layer_{}", clip_group(clip), layer),
                        [&] { try_on(state_->file, [&](hid_t id) { try_values(id, ops, state_->shape); }); });
            }
        }
    }
}

Candidate::~Candidate() = default;
Candidate::Candidate(Candidate&&) noexcept = default;
Candidate& Candidate::operator=(Candidate&&) noexcept = default;

const std::string& Candidate::file() const {
    return state_->file;
}

const CandidateInfo& Candidate::info() const {
    return state_->contents.info;
}

std::vector<int> Candidate::layers(const std::string& clip) const {
    std::vector<int> layers;
    if (const auto found = state_->contents.clips.find(clip); found != state_->contents.clips.end()) {
        std::ranges::transform(found->second, std::back_inserter(layers),
                               [](const auto& entry) { return entry.first; });
    }
    return layers;
}

std::vector<Op> Candidate::ops(const std::string& clip, int layer) const {
    std::vector<Op> ops;
    if (const auto* found = state_->find(clip, layer)) {
        std::ranges::transform(*found, std::back_inserter(ops),
                               [](const auto& entry) { return entry.first; });
    }
    return ops;
}

void Candidate::read(const std::string& clip, int layer, Op op, Rows rows, std::span<float> out) const {
    const auto* ops = state_->find(clip, layer);
    const auto object = fmt::format("{}/layer_{}/{}", clip_group(clip), layer, name(op));
    if (ops == nullptr || !ops->contains(op)) {
        throw ReadError(state_->file, object, "is missing");
    }
    const LibraryScope quiet;
    const std::scoped_lock lock(state_->mutex);
    const DumpedDataset& dumped = ops->at(op);
    reading(state_->file, dumped.object, [&] { state_->reader(clip, layer, dumped).read(rows, out); });
}

}  // namespace datasets
