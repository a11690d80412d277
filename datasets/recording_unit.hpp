// What a recording is written in: tensors that belong together, verified and hashed before anything of them
// is in the file.
#pragma once

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "datasets/recording.hpp"
#include "datasets/recording_dataset.hpp"
#include "datasets/recording_schema.hpp"

namespace datasets {

using Hashes = std::map<std::string, std::string>;  // SHA-256 by path below the parent

// Tensors below `parent`, and the group that is marked when they are written.
struct Unit {
    struct Tensor {
        const DatasetSpec* spec = nullptr;
        const std::vector<float>* values = nullptr;
        StoredBits bits;
    };
    std::string parent;
    std::string marked;
    std::vector<Tensor> tensors;
    std::shared_ptr<const void> holder;  // of the values

    [[nodiscard]] Hashes hashes() const {
        Hashes out;
        for (const Tensor& tensor : tensors) {
            out[tensor.spec->path()] = tensor.bits.sha256();
        }
        return out;
    }
};

// What there is to store of `holder`. Hashing takes as long as writing, and is done on all cores. Throws
// std::invalid_argument for a tensor that is missing, or may not be stored.
template <typename Holder>
Unit make_unit(std::string parent, std::string marked, std::span<const TensorSpec<Holder>> specs,
               std::shared_ptr<const Holder> holder, const RecordingShape& shape,
               const WriterOptions& options) {
    Unit unit{std::move(parent), std::move(marked), {}, holder};
    for (const auto& spec : specs) {
        if (spec.presence == Presence::all_or_none && !options.whole_weights) {
            continue;
        }
        const auto* values = spec.find(*holder);
        if (values == nullptr && spec.presence == Presence::all_or_none) {
            throw std::invalid_argument(fmt::format("whole weights without {}", spec.role));
        }
        if (values != nullptr || spec.presence == Presence::required) {
            unit.tensors.push_back({&spec, values, {}});
        }
    }
    tbb::parallel_for(std::size_t{0}, unit.tensors.size(), [&](std::size_t i) {
        Unit::Tensor& tensor = unit.tensors[i];
        const auto objection = tensor_objection(*tensor.spec, shape, options.store, tensor.values);
        if (!objection.empty()) {
            throw std::invalid_argument(objection);
        }
        tensor.bits = StoredBits(*tensor.spec, options.store, *tensor.values);
    });
    return unit;
}

}  // namespace datasets
