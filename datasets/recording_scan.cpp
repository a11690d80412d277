#include "datasets/recording_scan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <set>
#include <span>
#include <system_error>
#include <utility>

#include "datasets/recording_info.hpp"
#include "datasets/recording_schema.hpp"
#include "datasets/recording_trial.hpp"

namespace datasets {
namespace {

bool contains(const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

class Scan {
public:
    Scan(const std::string& file, hid_t id, Extant extant) : file_(file), id_(id), extant_(extant) {}

    Layout run() {
        info_ = reading(file_, "/", [&] {
            auto root = read_root(id_);
            if (extant_ == Extant::finished) {
                verify_complete(id_);
            }
            return root;
        });
        const auto children = names("/");
        require_child("/", children, "clips");
        for (const auto& id : names("/clips")) {
            clip(id);
        }
        if (info_.clips.empty()) {
            throw ReadError(file_, "/clips", "holds no clip");
        }
        if (extant_ == Extant::finished || contains(children, "weights")) {
            require_child("/", children, "weights");
            layers("/weights", weight_specs());
            unit("/weights", end_specs(), "/weights/end");
        }
        verify_all_or_none();
        verify_audio_seconds();
        return {std::move(info_), std::move(datasets_)};
    }

private:
    std::vector<std::string> names(const std::string& group) const {
        return reading(file_, group, [&] { return link_names(open_group(id_, group).get()); });
    }

    void require_child(const std::string& group, const std::vector<std::string>& children,
                       const std::string& name) const {
        if (!contains(children, name)) {
            throw ReadError(file_, group == "/" ? "/" + name : group + "/" + name, "is missing");
        }
    }

    void clip(const std::string& id) {
        const auto group = clip_group(id);
        info_.clips.push_back(reading(file_, group, [&] { return read_clip(id_, id, info_.context); }));
        unit(group, clip_specs(), group);
        const auto children = names(group);
        if (extant_ == Extant::finished || contains(children, "encoder")) {
            require_child(group, children, "encoder");
            layers(group + "/encoder", activation_specs());
        }
    }

    void layers(const std::string& parent, std::span<const TensorSpec<LayerCase>> specs) {
        const auto children = names(parent);
        std::set<std::string> expected;
        for (const int layer : info_.recorded_layers) {
            expected.insert(layer_name(layer));
            if (extant_ == Extant::finished) {
                require_child(parent, children, layer_name(layer));
            }
        }
        for (const auto& child : children) {
            if (!child.starts_with("layer_")) {
                continue;
            }
            const auto group = parent + "/" + child;
            if (!expected.contains(child)) {
                const bool all = std::ssize(expected) == info_.layers;
                throw ReadError(
                    file_, group,
                    all ? fmt::format("is not a layer of this file, whose n_layer is {}", info_.layers)
                        : fmt::format("is not a layer of this file, whose layers are {}",
                                      fmt::join(info_.recorded_layers, ", ")));
            }
            unit(group, specs, group);
        }
    }

    // The datasets of a table below `parent`, which were written at once. `marked` is the group that has
    // their content_sha256.
    template <typename Holder>
    void unit(const std::string& parent, std::span<const TensorSpec<Holder>> specs,
              const std::string& marked) {
        const auto children = names(parent);
        std::set<std::string_view> groups;
        std::ranges::transform(specs, std::inserter(groups, groups.end()), &DatasetSpec::group);
        std::map<std::string, std::string> hashes;
        for (const auto group : groups) {
            if (group.empty()) {
                datasets(parent, group, children, specs, hashes);
            } else if (contains(children, group)) {
                const auto path = fmt::format("{}/{}", parent, group);
                datasets(path, group, names(path), specs, hashes);
            }
        }
        for (const auto& spec : specs) {
            require_spec(parent, children, spec, hashes.contains(spec.path()));
        }
        // A finished file may have been changed since by other programs, dataset by dataset.
        if (extant_ == Extant::partial && !hashes.empty()) {
            reading(file_, marked, [&] { verify_mark(marked, content_hash(hashes)); });
        }
    }

    // The datasets of one group of a table.
    template <typename Holder>
    void datasets(const std::string& path, std::string_view group, const std::vector<std::string>& children,
                  std::span<const TensorSpec<Holder>> specs, std::map<std::string, std::string>& hashes) {
        for (const auto& child : children) {
            const auto spec = std::ranges::find_if(specs, [&](const DatasetSpec& candidate) {
                return candidate.group == group && candidate.name == child;
            });
            const auto object = path + "/" + child;
            if (spec == specs.end()) {
                if (is_closed(group)) {
                    refuse_unknown(object, group, specs);
                }
                continue;
            }
            auto stored =
                reading(file_, object, [&] { return verify_structure(id_, object, *spec, shape_of(info_)); });
            hashes.emplace(spec->path(), stored.sha256);
            if (!datasets_.emplace(object, std::move(stored)).second) {
                throw ReadError(file_, object, "is there twice: the file is damaged");
            }
        }
    }

    template <typename Holder>
    [[noreturn]] void refuse_unknown(const std::string& object, std::string_view group,
                                     std::span<const TensorSpec<Holder>> specs) const {
        std::vector<std::string_view> known;
        for (const auto& spec : specs) {
            if (spec.group == group) {
                known.push_back(spec.name);
            }
        }
        throw ReadError(file_, object, fmt::format("is unknown here; known are {}", fmt::join(known, ", ")));
    }

    void require_spec(const std::string& parent, const std::vector<std::string>& children,
                      const DatasetSpec& spec, bool found) {
        const auto object = fmt::format("{}/{}", parent, spec.path());
        if (spec.presence == Presence::all_or_none) {
            (found ? some_ : absent_).push_back(object);
        }
        if (spec.presence == Presence::required && !found) {
            require_child(parent, children, std::string(spec.group));
            throw ReadError(file_, object, "is missing");
        }
    }

    void verify_mark(const std::string& group, const std::string& expected) const {
        const auto handle = open_group(id_, group);
        if (const auto found = read_text(handle.get(), "content_sha256"); found != expected) {
            throw Refusal(
                fmt::format("its datasets have the content SHA-256 {:.12}..., its attribute "
                            "content_sha256 says {:.12}...: the file is damaged",
                            expected, found));
        }
    }

    // In a partial recording whatever is written at once has its own mark.
    void verify_all_or_none() const {
        if (extant_ == Extant::finished && !some_.empty() && !absent_.empty()) {
            throw ReadError(file_, absent_.front(),
                            "is missing; the weights of norms, MLP and end are in a file for every layer, or "
                            "not at all");
        }
    }

    void verify_audio_seconds() const {
        double sum = 0;
        for (const auto& clip : info_.clips) {
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
    Extant extant_;
    RecordingInfo info_;
    Datasets datasets_;
    std::vector<std::string> some_;  // of the weights that are there together or not at all
    std::vector<std::string> absent_;
};

}  // namespace

void verify_is_readable_file(const std::string& file, const std::string& mend) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0) {
        const auto reason = std::generic_category().message(errno);
        throw Refusal(errno == ENOENT ? "no such file; " + mend : reason);
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

Handle open_file(const std::string& file, Locking locking) {
    const Handle access_properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "prepare to open it");
    // A strong close also closes what a failed read may have left open.
    require(H5Pset_fclose_degree(access_properties.get(), H5F_CLOSE_STRONG), "prepare to open it");
    require(H5Pset_libver_bounds(access_properties.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V110),
            "prepare to open it");
    if (locking == Locking::unlocked) {
        require(H5Pset_file_locking(access_properties.get(), false, true), "prepare to open it");
    }
    return {H5Fopen(file.c_str(), H5F_ACC_RDONLY, access_properties.get()), H5Fclose, "open it as HDF5"};
}

Layout scan(const std::string& file, hid_t id, Extant extant) {
    return Scan(file, id, extant).run();
}

void try_scan(const std::string& file, Extant extant, Locking locking, const std::function<void()>& prepare) {
    const auto death = died_in_trial([&] {
        prepare();
        const auto handle = open_file(file, locking);
        // Values too, where reading them may crash: a deflated chunk that inflates to another size than a
        // chunk's makes HDF5 read beyond its buffer.
        for (const auto& [object, stored] : scan(file, handle.get(), extant).datasets) {
            if (stored.deflated) {
                read_values(handle.get(), stored);
            }
        }
    });
    if (!death.empty()) {
        throw Refusal(fmt::format("is damaged, HDF5 {} on it: copy or record it again", death));
    }
}

}  // namespace datasets
