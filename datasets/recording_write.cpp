// Writing a recording: one layer at a time, in the background, into a temporary beside the target, which is
// renamed when it is complete.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "datasets/recording.hpp"
#include "datasets/recording_dataset.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/recording_info.hpp"
#include "datasets/recording_partial.hpp"
#include "datasets/recording_scan.hpp"
#include "datasets/recording_schema.hpp"
#include "datasets/recording_unit.hpp"

namespace datasets {
namespace {

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

template <typename Holder>
bool holds_any(std::span<const TensorSpec<Holder>> specs, const Holder& holder) {
    return std::ranges::any_of(specs, [&](const auto& spec) { return spec.find(holder) != nullptr; });
}

constexpr auto mend = "record again without --resume";

}  // namespace

struct RecordingWriter::State {
    std::string file;
    RecordingInfo info;
    WriterOptions options;
    PartialFile partial;
    Handle handle;
    std::map<int, Hashes> weights;                  // of the layers whose weights are written
    std::set<std::pair<std::string, int>> written;  // (clip, layer)
    std::set<std::string> written_clips;
    bool is_end_written = false;
    std::vector<std::function<void()>> steps;  // what is being written in the background
    tbb::task_group background;
    std::exception_ptr failure;

    State(std::string target, RecordingInfo what, WriterOptions how)
        : file(std::move(target)), info(std::move(what)), options(how), partial(file) {}

    ~State() {
        try {
            wait();
            if (options.keep_partial) {
                const LibraryScope quiet;
                handle.close("close it");
            }
        } catch (const std::exception&) {
            // It was reported, or nobody waits for it any more. What the last flush brought stays.
        }
        abandon(std::move(handle));
    }

    RecordingShape shape() const { return shape_of(info); }

    // Returns when nothing is being written; throws what went wrong there, now and ever after.
    void wait() {
        try {
            background.wait();
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            std::rethrow_exception(failure);
        }
    }

    // Writes units one after another, and then all of it to the disk. Each tensor is a task among those that
    // compute: a thread beside them would take their cores from them in the middle of what others wait for.
    void in_background(std::shared_ptr<const std::vector<Unit>> units) {
        wait();
        steps.clear();
        for (const Unit& unit : *units) {
            for (const Unit::Tensor& tensor : unit.tensors) {
                steps.emplace_back([this, units, &unit, &tensor] { write_tensor(unit, tensor); });
            }
            steps.emplace_back([this, units, &unit] { mark(unit); });
        }
        steps.emplace_back([this] {
            writing(file, "", [&] { flush(); });
            partial.start_writing();
        });
        background.run([this] { take_step(0); });
    }

    void take_step(std::size_t index) {
        {
            const LibraryScope quiet;
            const auto held = hold_library();
            std::exchange(steps[index], {})();  // whoever reads what is written sees it let go
        }
        if (index + 1 < steps.size()) {
            background.run([this, index] { take_step(index + 1); });
        }
    }

    void flush() const { require(H5Fflush(handle.get(), H5F_SCOPE_GLOBAL), "write its last blocks"); }

    void begin() {
        handle = partial.create();
        write_root(handle.get(), info, options);
        flush();
        if (options.keep_partial) {
            partial.keep();
        }
    }

    void resume();
    void recall(const Layout& layout);

    void verify_announced(const LayerCase& layer) const;
    void verify_weights(int index, const LayerCase& layer, const Hashes& hashes) const;

    template <typename Holder>
    Unit unit(std::string parent, std::string marked, std::span<const TensorSpec<Holder>> specs,
              std::shared_ptr<const Holder> holder) const {
        return make_unit(std::move(parent), std::move(marked), specs, std::move(holder), shape(), options);
    }

    void write_tensor(const Unit& unit, const Unit::Tensor& tensor) const {
        const DatasetSpec& spec = *tensor.spec;
        writing(file, fmt::format("{}/{}", unit.parent, spec.path()), [&] {
            const auto path =
                spec.group.empty() ? unit.parent : fmt::format("{}/{}", unit.parent, spec.group);
            const auto group = ensure_group(handle.get(), path);
            write_values(group.get(), spec, shape(), tensor.bits);
        });
    }

    void mark(const Unit& unit) const {
        writing(file, unit.marked, [&] {
            write_text(open_group(handle.get(), unit.marked).get(), "content_sha256",
                       content_hash(unit.hashes()));
        });
    }
};

// The temporary goes on where it was left, if all that is in it is whole and belongs to this recording.
void RecordingWriter::State::resume() {
    const auto& name = partial.name();
    partial.keep();
    try {
        // For reading only, until all is known to be well: HDF5 writes when it opens a file for writing.
        const auto seen = reading(name, "", [&] {
            verify_is_readable_file(name, "");
            try_scan(name, Extant::partial, Locking::unlocked, [&] { partial.forget_lock(); });
            return open_file(name, Locking::unlocked);
        });
        const auto layout = scan(name, seen.get(), Extant::partial);
        reading(name, "/", [&] { verify_same_recording(seen.get(), layout.info, info, options); });
        for (const auto& [object, dataset] : layout.datasets) {
            const StoredDataset& stored = dataset;
            reading(name, object, [&] { read_values(seen.get(), stored); });
        }
        recall(layout);
    } catch (const ReadError& error) {
        const bool has_mend = error.reason.find(mend) != std::string::npos;
        throw ReadError(
            error.file, error.object,
            has_mend ? error.reason : fmt::format("cannot be resumed: {}; {}", error.reason, mend));
    }
    handle = partial.reopen();
}

void RecordingWriter::State::recall(const Layout& layout) {
    const auto holds = [&](const std::string& group, const DatasetSpec& spec) {
        return layout.datasets.contains(fmt::format("{}/{}", group, spec.path()));
    };
    for (const int layer : layout.info.recorded_layers) {
        for (const auto& spec : weight_specs()) {
            if (holds(weights_group(layer), spec)) {
                const auto& stored =
                    layout.datasets.at(fmt::format("{}/{}", weights_group(layer), spec.path()));
                weights[layer].emplace(spec.path(), stored.sha256);
            }
        }
        for (const auto& clip : layout.info.clips) {
            if (holds(activations_group(clip.id, layer), activation_specs().front())) {
                written.emplace(clip.id, layer);
                if (!weights.contains(layer)) {
                    throw ReadError(partial.name(), weights_group(layer), "is missing");
                }
            }
        }
    }
    for (const auto& clip : layout.info.clips) {
        if (std::ranges::any_of(clip_specs(),
                                [&](const auto& spec) { return holds(clip_group(clip.id), spec); })) {
            written_clips.insert(clip.id);
        }
    }
    is_end_written = holds("/weights", end_specs().front());
}

void RecordingWriter::State::verify_announced(const LayerCase& layer) const {
    if (std::ranges::find(info.clips, layer.clip, &ClipInfo::id) == info.clips.end() ||
        std::ranges::find(info.recorded_layers, layer.layer) == info.recorded_layers.end() ||
        layer.shape != info.shape()) {
        throw std::invalid_argument("this clip, layer or shape was not announced to the recording");
    }
    if (written.contains({layer.clip, layer.layer})) {
        throw std::invalid_argument(
            fmt::format("clip {} layer {} is already written", layer.clip, layer.layer));
    }
    for (const auto& [op, tensor] : layer.recorded) {
        const auto is_known = [op = op](const DatasetSpec& spec) { return spec.role == name(op); };
        if (std::ranges::none_of(activation_specs(), is_known)) {
            throw std::invalid_argument(fmt::format("{} has no place in a recording", name(op)));
        }
    }
}

// Weights that are in the file already must be the same.
void RecordingWriter::State::verify_weights(int index, const LayerCase& layer, const Hashes& hashes) const {
    if (!layer.weights.attention.key.bias.empty()) {
        throw std::invalid_argument("Whisper's key projection has no bias");
    }
    const auto known = weights.find(index);
    if (known == weights.end()) {
        return;
    }
    for (const auto& [path, hash] : known->second) {
        if (hashes.at(path) != hash) {
            throw std::invalid_argument(
                fmt::format("layer {} has another {} than in an earlier clip", index, path));
        }
    }
}

RecordingWriter::RecordingWriter(std::string file, RecordingInfo info, WriterOptions options) {
    verify_info(info);
    const LibraryScope quiet;
    if (info.created_utc.empty()) {
        const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        info.created_utc = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
    }
    info.recorded_layers = layers_of(info);
    options.keep_partial = options.keep_partial || options.resume;
    const auto name = file;
    writing(name, "", [&] {
        state_ = std::make_unique<State>(std::move(file), std::move(info), options);
        if (options.resume && state_->partial.was_begun()) {
            state_->resume();
        } else {
            state_->begin();
        }
    });
}

RecordingWriter::~RecordingWriter() = default;

bool RecordingWriter::has(const std::string& clip, int layer) const {
    return state_->written.contains({clip, layer});
}

bool RecordingWriter::has_clip(const std::string& clip) const {
    return state_->written_clips.contains(clip);
}

bool RecordingWriter::has_end() const {
    return state_->is_end_written;
}

void RecordingWriter::write(std::shared_ptr<const LayerCase> layer,
                            std::shared_ptr<const LayerCase> weights) {
    State& state = *state_;
    state.verify_announced(*layer);
    const int index = layer->layer;
    const auto units = std::make_shared<std::vector<Unit>>();
    const std::string group = activations_group(layer->clip, index);
    units->push_back(state.unit(group, group, activation_specs(), layer));
    const bool is_first = !state.weights.contains(index);
    if (is_first || holds_any(weight_specs(), *weights)) {
        const std::string parent = weights_group(index);
        Unit unit = state.unit(parent, parent, weight_specs(), weights);
        state.verify_weights(index, *weights, unit.hashes());
        if (is_first) {
            units->push_back(std::move(unit));
        }
    }
    state.in_background(units);
    state.written.emplace(layer->clip, index);
    if (is_first) {
        state.weights[index] = units->back().hashes();
    }
}

void RecordingWriter::write_clip(const std::string& clip, ClipTensors tensors) {
    State& state = *state_;
    if (std::ranges::find(state.info.clips, clip, &ClipInfo::id) == state.info.clips.end()) {
        throw std::invalid_argument(fmt::format("clip {} was not announced to the recording", clip));
    }
    if (!holds_any(clip_specs(), tensors) || state.written_clips.contains(clip)) {
        throw std::invalid_argument(fmt::format("clip {} has nothing to write, or has it already", clip));
    }
    const auto group = clip_group(clip);
    const auto units = std::make_shared<std::vector<Unit>>();
    units->push_back(
        state.unit(group, group, clip_specs(), std::make_shared<const ClipTensors>(std::move(tensors))));
    state.in_background(units);
    state.written_clips.insert(clip);
}

void RecordingWriter::write_end(Norm norm) {
    State& state = *state_;
    if (!state.options.whole_weights || state.is_end_written) {
        throw std::invalid_argument("the end is written once, and among whole weights only");
    }
    const auto units = std::make_shared<std::vector<Unit>>();
    units->push_back(
        state.unit("/weights", "/weights/end", end_specs(), std::make_shared<const Norm>(std::move(norm))));
    state.in_background(units);
    state.is_end_written = true;
}

void RecordingWriter::finish() {
    State& state = *state_;
    const LibraryScope quiet;
    state.wait();
    const auto expected = state.info.clips.size() * state.info.recorded_layers.size();
    if (state.written.size() != expected) {
        throw std::logic_error(
            fmt::format("{}: {} of {} layers are written", state.file, state.written.size(), expected));
    }
    if (state.options.whole_weights && !state.is_end_written) {
        throw std::logic_error(fmt::format("{}: the end is not written", state.file));
    }
    writing(state.file, "", [&] {
        // Everything else must be in the file before it calls itself complete.
        state.flush();
        const auto root = open_group(state.handle.get(), "/");
        // A process may have been killed between this and the renaming.
        if (!has_attribute(root.get(), "complete")) {
            write_integer(root.get(), "complete", 1);
        }
        state.flush();
        state.handle.close("close it");
        state.partial.publish(state.file);
    });
}

}  // namespace datasets
