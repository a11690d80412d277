// From a catalog of tensors to an encoder: every tensor gets its place, or a reason why not; then one pass
// over the files fills the places and hashes the bytes.
#include "datasets/checkpoint.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "datasets/bf16.hpp"
#include "datasets/checkpoint_catalog.hpp"
#include "datasets/checkpoint_names.hpp"
#include "datasets/half.hpp"
#include "datasets/positions.hpp"
#include "datasets/sha256.hpp"
#include "datasets/whisper_size.hpp"

namespace datasets {
namespace {

static_assert(std::endian::native == std::endian::little,
              "checkpoints are little-endian and read as they are");

constexpr std::size_t chunk_elements = std::size_t{1} << 19U;

// Where every tensor of the encoder lies.
struct Plan {
    NamingScheme scheme;
    EncoderDimensions dimensions;
    int layers = 0;
    std::map<EncoderSlot, const StoredTensor*> tensors;
    std::int64_t other_tensors = 0;

    [[nodiscard]] int heads() const { return static_cast<int>(dimensions.width / head_width); }
    [[nodiscard]] bool stores_positions() const { return tensors.contains({-1, EncoderPart::positions}); }
};

ReadError error_of(const CheckpointCatalog& catalog, const StoredTensor& tensor, const std::string& reason) {
    return catalog.files[tensor.file].error(tensor.name, reason);
}

ReadError error_of(const CheckpointCatalog& catalog, const std::string& object, const std::string& reason) {
    const ReadError error = catalog.files.front().error(object, reason);
    return {catalog.file, error.object, error.reason};
}

std::string shape_text(const std::vector<std::int64_t>& dims) {
    return fmt::format("[{}]", fmt::join(dims, ", "));
}

// Gives every tensor of the encoder its slot, whatever its shape.
Plan assign_slots(const CheckpointCatalog& catalog) {
    std::vector<std::string_view> names;
    std::ranges::transform(catalog.tensors, std::back_inserter(names), &StoredTensor::name);
    const std::optional<NamingScheme> scheme = find_naming_scheme(names);
    if (!scheme) {
        throw error_of(catalog, "conv1.weight",
                       "is missing, under model.encoder., encoder. and without a prefix: this is no Whisper "
                       "encoder");
    }
    Plan plan;
    plan.scheme = *scheme;
    for (const StoredTensor& tensor : catalog.tensors) {
        if (!belongs_to_encoder(plan.scheme, tensor.name)) {
            ++plan.other_tensors;
            continue;
        }
        const std::optional<EncoderSlot> slot = parse_tensor_name(plan.scheme, tensor.name);
        if (!slot) {
            throw error_of(catalog, tensor,
                           fmt::format("has no place in a Whisper encoder with the names of {}",
                                       name(plan.scheme.naming)));
        }
        if (!plan.tensors.emplace(*slot, &tensor).second) {
            throw error_of(catalog, tensor, "stands twice in the checkpoint");
        }
        plan.layers = std::max(plan.layers, slot->layer + 1);
    }
    return plan;
}

void require_complete(const CheckpointCatalog& catalog, const Plan& plan) {
    if (plan.layers == 0) {
        throw error_of(catalog, tensor_name(plan.scheme, {0, EncoderPart::query}),
                       "is missing: the encoder has no layer");
    }
    for (const EncoderSlot& slot : required_slots(plan.layers)) {
        const bool has_closed_form =
            slot.part == EncoderPart::positions && plan.scheme.naming == Naming::openai;
        if (!plan.tensors.contains(slot) && !has_closed_form) {
            throw error_of(catalog, tensor_name(plan.scheme, slot),
                           fmt::format("is missing from an encoder of {} layers", plan.layers));
        }
    }
}

// Width and mels from conv1, rows from the table of positions.
EncoderDimensions derive_dimensions(const CheckpointCatalog& catalog, const Plan& plan) {
    const StoredTensor& conv1 = *plan.tensors.at({-1, EncoderPart::conv1});
    constexpr std::int64_t largest = std::numeric_limits<int>::max();
    const std::vector<std::int64_t>& dims = conv1.dims;
    const bool is_convolution = dims.size() == 3 && dims[2] == 3 && dims[1] >= 1 && dims[1] <= largest;
    if (!is_convolution || dims[0] < head_width || dims[0] % head_width != 0 || dims[0] > largest) {
        throw error_of(
            catalog, conv1,
            fmt::format("is {}, expected [width, mels, 3] with a width of whole heads of {} channels",
                        shape_text(dims), head_width));
    }
    EncoderDimensions dimensions{dims[0], dims[1], published_context};
    if (catalog.ggml) {
        dimensions.rows = catalog.ggml->context;
    }
    if (plan.stores_positions()) {
        const StoredTensor& table = *plan.tensors.at({-1, EncoderPart::positions});
        if (table.dims.size() != 2 || table.dims[0] < 1 || table.dims[1] != dimensions.width) {
            throw error_of(
                catalog, table,
                fmt::format("is {}, expected [rows, {}]", shape_text(table.dims), dimensions.width));
        }
        dimensions.rows = table.dims[0];
    }
    return dimensions;
}

void require_shapes(const CheckpointCatalog& catalog, const Plan& plan) {
    for (const auto& [slot, tensor] : plan.tensors) {
        if (tensor->dtype != "F32" && tensor->dtype != "F16" && tensor->dtype != "BF16") {
            throw error_of(catalog, *tensor,
                           fmt::format("is of dtype {}, and F32, F16 and BF16 are read; convert it from the "
                                       "checkpoint that was quantised or cast",
                                       tensor->dtype));
        }
        const std::vector<std::int64_t> expected = expected_shape(slot, plan.dimensions);
        if (tensor->dims != expected) {
            throw error_of(catalog, *tensor,
                           fmt::format("is {}, expected {}", shape_text(tensor->dims), shape_text(expected)));
        }
    }
}

// A ggml header repeats what the tensors say.
void require_agreement(const CheckpointCatalog& catalog, const Plan& plan) {
    if (!catalog.ggml) {
        return;
    }
    const GgmlDimensions& header = *catalog.ggml;
    const auto require = [&](const char* name, std::int64_t said, std::int64_t found) {
        if (said != found) {
            throw error_of(catalog, name,
                           fmt::format("is {} in the header, but {} by the tensors", said, found));
        }
    };
    require("n_audio_ctx", header.context, plan.dimensions.rows);
    require("n_audio_state", header.width, plan.dimensions.width);
    require("n_audio_head", header.heads, plan.heads());
    require("n_audio_layer", header.layers, plan.layers);
    require("n_mels", header.mels, plan.dimensions.mels);
}

Plan make_plan(const CheckpointCatalog& catalog) {
    Plan plan = assign_slots(catalog);
    plan.dimensions = derive_dimensions(catalog, plan);
    require_complete(catalog, plan);
    require_shapes(catalog, plan);
    require_agreement(catalog, plan);
    return plan;
}

std::vector<float>& parameter_of(Linear& linear, Parameter parameter) {
    return parameter == Parameter::weight ? linear.weight : linear.bias;
}

std::vector<float>& parameter_of(Norm& norm, Parameter parameter) {
    return parameter == Parameter::weight ? norm.gain : norm.bias;
}

std::vector<float>& destination(EncoderWeights& weights, const EncoderSlot& slot) {
    const Parameter parameter = slot.parameter;
    const auto block = [&]() -> BlockWeights& {
        return weights.blocks.at(static_cast<std::size_t>(slot.layer));
    };
    switch (slot.part) {
        case EncoderPart::conv1:
            return parameter_of(weights.stem.conv1, parameter);
        case EncoderPart::conv2:
            return parameter_of(weights.stem.conv2, parameter);
        case EncoderPart::positions:
            return weights.stem.positions;
        case EncoderPart::attention_norm:
            return parameter_of(block().attention_norm, parameter);
        case EncoderPart::query:
            return parameter_of(block().attention.query, parameter);
        case EncoderPart::key:
            return parameter_of(block().attention.key, parameter);
        case EncoderPart::value:
            return parameter_of(block().attention.value, parameter);
        case EncoderPart::output:
            return parameter_of(block().attention.output, parameter);
        case EncoderPart::mlp_norm:
            return parameter_of(block().mlp_norm, parameter);
        case EncoderPart::fc1:
            return parameter_of(block().fc1, parameter);
        case EncoderPart::fc2:
            return parameter_of(block().fc2, parameter);
        case EncoderPart::final_norm:
            break;
    }
    return parameter_of(weights.final_norm, parameter);
}

// Index of the first NaN or infinity, or the size.
std::size_t first_not_finite(std::span<const float> values) {
    constexpr std::uint32_t exponent = 0x7F800000U;
    bool all_finite = true;
    for (const float value : values) {
        all_finite &= (std::bit_cast<std::uint32_t>(value) & exponent) != exponent;
    }
    const auto found = all_finite
                           ? values.end()
                           : std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
    return static_cast<std::size_t>(found - values.begin());
}

std::string index_text(std::size_t element, const std::vector<std::int64_t>& dims) {
    std::vector<std::size_t> index;
    for (auto dim = dims.rbegin(); dim != dims.rend(); ++dim) {
        index.push_back(element % static_cast<std::size_t>(*dim));
        element /= static_cast<std::size_t>(*dim);
    }
    std::ranges::reverse(index);
    return fmt::format("[{}]", fmt::join(index, ", "));
}

// Reads one file from the front to the back.
class Pass {
public:
    Pass(const CheckpointCatalog& catalog, std::size_t file)
        : catalog_(catalog), file_(catalog.files[file]), halves_(chunk_elements) {}

    // Hashes what lies before `offset`.
    void skip_to(std::uint64_t offset) {
        while (offset_ < offset) {
            const std::uint64_t chunk = std::min<std::uint64_t>(offset - offset_, 2 * chunk_elements);
            take(std::as_writable_bytes(std::span(halves_)).first(static_cast<std::size_t>(chunk)));
        }
    }

    std::vector<float> read(const StoredTensor& tensor) {
        skip_to(tensor.begin);
        const std::size_t bytes_each = tensor.dtype == "F32" ? 4 : 2;
        std::vector<float> values(static_cast<std::size_t>(tensor.end - tensor.begin) / bytes_each);
        for (std::size_t begin = 0; begin < values.size(); begin += chunk_elements) {
            const auto chunk =
                std::span(values).subspan(begin, std::min(chunk_elements, values.size() - begin));
            read_chunk(tensor.dtype, chunk);
            const std::size_t bad = first_not_finite(chunk);
            if (bad < chunk.size()) {
                throw error_of(catalog_, tensor,
                               fmt::format("holds {} at {}", std::isnan(chunk[bad]) ? "NaN" : "an infinity",
                                           index_text(begin + bad, tensor.dims)));
            }
        }
        return values;
    }

    std::string finish() {
        skip_to(file_.size());
        return hash_.finish();
    }

private:
    void take(std::span<std::byte> bytes) {
        file_.read(offset_, bytes);
        hash_.update(bytes);
        offset_ += bytes.size();
    }

    void read_chunk(std::string_view dtype, std::span<float> values) {
        if (dtype == "F32") {
            take(std::as_writable_bytes(values));
            return;
        }
        const auto halves = std::span(halves_).first(values.size());
        take(std::as_writable_bytes(halves));
        if (dtype == "F16") {
            std::ranges::transform(halves, values.begin(),
                                   [](std::uint16_t bits) { return to_float(Half{bits}); });
        } else {
            std::ranges::transform(halves, values.begin(),
                                   [](std::uint16_t bits) { return to_float(bf16{bits}); });
        }
    }

    const CheckpointCatalog& catalog_;
    const CheckpointFile& file_;
    std::vector<std::uint16_t> halves_;  // one chunk as stored
    std::uint64_t offset_ = 0;
    Sha256 hash_;
};

void place(const CheckpointCatalog& catalog, const EncoderSlot& slot, const StoredTensor& tensor,
           std::vector<float> values, EncoderWeights& weights) {
    if (slot.part == EncoderPart::key && slot.parameter == Parameter::bias) {
        // Some exporters write the bias that the key does not have as zeros.
        if (std::ranges::any_of(values, [](float value) { return value != 0; })) {
            throw error_of(catalog, tensor, "is not zero, and Whisper's key projection has no bias");
        }
        return;
    }
    destination(weights, slot) = std::move(values);
}

// Fills the weights; gives the identity of the files.
std::string read_files(const CheckpointCatalog& catalog, const Plan& plan, EncoderWeights& weights) {
    std::vector<std::pair<EncoderSlot, const StoredTensor*>> tensors(plan.tensors.begin(),
                                                                     plan.tensors.end());
    std::ranges::sort(tensors, {}, [](const auto& entry) { return entry.second->begin; });
    std::vector<std::string> lines;
    for (std::size_t file = 0; file < catalog.files.size(); ++file) {
        Pass pass(catalog, file);
        for (const auto& [slot, tensor] : tensors) {
            if (tensor->file == file) {
                place(catalog, slot, *tensor, pass.read(*tensor), weights);
            }
        }
        const std::string digest = pass.finish();
        if (catalog.format != CheckpointFormat::safetensors_shards) {
            return digest;
        }
        const std::string name = std::filesystem::path(catalog.files[file].file()).filename().string();
        lines.push_back(fmt::format("{} {}\n", name, digest));
    }
    std::ranges::sort(lines);
    Sha256 hash;
    for (const std::string& line : lines) {
        hash.update(line);
    }
    return hash.finish();
}

CheckpointSummary summarise(const CheckpointCatalog& catalog, const Plan& plan) {
    std::set<std::string> dtypes;
    for (const auto& [slot, tensor] : plan.tensors) {
        dtypes.insert(tensor->dtype);
    }
    CheckpointSummary summary;
    summary.format = catalog.format;
    summary.mels = static_cast<int>(plan.dimensions.mels);
    summary.heads = plan.heads();
    summary.layers = plan.layers;
    summary.model_id = fmt::format("{} ({})", whisper_model_id(summary.mels, summary.heads, summary.layers),
                                   std::filesystem::path(catalog.file).filename().string());
    summary.naming = name(plan.scheme.naming);
    summary.dtypes = fmt::format("{}", fmt::join(dtypes, ", "));
    summary.context = plan.dimensions.rows;
    summary.stores_positions = plan.stores_positions();
    summary.encoder_tensors = std::ssize(plan.tensors);
    summary.other_tensors = plan.other_tensors;
    for (const CheckpointFile& file : catalog.files) {
        summary.file_bytes += file.size();
    }
    return summary;
}

}  // namespace

CheckpointSummary inspect_checkpoint(const std::string& file) {
    const CheckpointCatalog catalog = open_checkpoint(file);
    return summarise(catalog, make_plan(catalog));
}

EncoderWeights read_checkpoint(const std::string& file) {
    const CheckpointCatalog catalog = open_checkpoint(file);
    const Plan plan = make_plan(catalog);
    const CheckpointSummary summary = summarise(catalog, plan);
    EncoderWeights weights;
    weights.model_id = summary.model_id;
    weights.source = "checkpoint";
    weights.mels = summary.mels;
    weights.heads = summary.heads;
    weights.blocks.resize(static_cast<std::size_t>(summary.layers));
    if (!summary.stores_positions) {
        weights.stem.positions = sinusoid_positions(summary.context, plan.dimensions.width);
    }
    weights.model_sha256 = read_files(catalog, plan, weights);
    return weights;
}

}  // namespace datasets
