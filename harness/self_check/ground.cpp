#include "harness/self_check/ground.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <set>

#include "datasets/recording.hpp"
#include "datasets/synthetic.hpp"
#include "harness/index.hpp"
#include "harness/kernel_gate/compile.hpp"
#include "harness/options.hpp"
#include "harness/placement.hpp"
#include "harness/probe_recording.hpp"
#include "harness/recorder.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::LayerCase;
using datasets::Op;

// What one row of scaled logits adds to the traits.
void add_row(Traits& out, std::span<const float> logits) {
    const auto keys = static_cast<std::int64_t>(logits.size());
    const double highest = *std::ranges::max_element(logits);
    const double lowest = *std::ranges::min_element(logits);
    const double early = *std::ranges::max_element(logits.first(index(std::min(keys, datasets::block_rows))));
    double sum = 0;
    double squares = 0;
    double last_tile = 0;
    const std::int64_t last_begin = (keys - 1) / datasets::block_rows * datasets::block_rows;
    for (std::int64_t key = 0; key < keys; ++key) {
        const double weight = std::exp(double{logits[index(key)]} - highest);
        sum += weight;
        squares += weight * weight;
        last_tile += key >= last_begin ? weight : 0;
    }
    const auto padded = static_cast<double>(last_begin + datasets::block_rows - keys);
    const double padding = padded * std::exp(-highest) / sum;
    out.largest_logit = std::max(out.largest_logit, highest);
    out.deepest_row = std::max(out.deepest_row, highest - lowest);
    out.latest_growth = std::max(out.latest_growth, highest - early);
    out.effective_keys = std::max(out.effective_keys, sum * sum / squares);
    out.last_key_share = std::max(out.last_key_share, std::exp(double{logits.back()} - highest) / sum);
    out.last_tile_share = std::max(out.last_tile_share, last_tile / sum);
    out.padding_share = std::max(out.padding_share, padding / (1 + padding));
}

// Everything that the attention alone does not need is left out.
LayerCase attention_of(const LayerCase& layer) {
    LayerCase out = layer;
    out.stream.clear();
    out.weights.attention_norm = {};
    out.weights.mlp_norm = {};
    out.weights.fc1 = {};
    out.weights.fc2 = {};
    std::erase_if(out.recorded,
                  [](const auto& tensor) { return !datasets::attention_ops.contains(tensor.first); });
    return out;
}

std::shared_ptr<const Ground> completed(Ground ground) {
    ground.attention = attention_of(ground.layer);
    ground.traits = traits_of(ground.attention);
    return std::make_shared<const Ground>(std::move(ground));
}

// Where a recording has a second clip or layer, `other` comes from there, else it is the layer upside down.
LayerCase other_of(const datasets::Recording& recording, const LayerCase& layer) {
    const datasets::RecordingInfo& info = recording.info();
    LayerCase other = recording.layer(info.clips.back().id, info.recorded_layers.back());
    if (info.clips.size() > 1 || info.recorded_layers.size() > 1) {
        return other;
    }
    std::ranges::reverse(other.input);
    std::ranges::reverse(other.stream);
    for (auto* linear :
         {&other.weights.attention.query, &other.weights.attention.key, &other.weights.attention.value,
          &other.weights.attention.output, &other.weights.fc1, &other.weights.fc2}) {
        std::ranges::reverse(linear->weight);
    }
    other.shape = layer.shape;
    return other;
}

std::shared_ptr<const Ground> ground_of(const std::string& file, std::string name, std::string arguments) {
    const datasets::Recording recording = open_activations(file);
    const datasets::RecordingInfo& info = recording.info();
    Ground ground;
    ground.arguments = std::move(arguments);
    ground.layer = recording.layer(info.clips.front().id, info.recorded_layers.front());
    ground.other = other_of(recording, ground.layer);
    ground.name = fmt::format("{}, clip {}, layer {}", name, ground.layer.clip, ground.layer.layer);
    const bool has_last = info.recorded_layers.back() == info.layers - 1;
    if (auto end = recording.end(); end && has_last) {
        LayerCase last = recording.layer(info.clips.front().id, info.layers - 1);
        if (const auto block = last.recorded.find(Op::block); block != last.recorded.end()) {
            ground.end = std::move(end);
            ground.block = std::move(block->second);
        }
    }
    return completed(std::move(ground));
}

}  // namespace

const LayerCase& Ground::case_for(datasets::OpRange ops) const {
    const bool within =
        datasets::attention_ops.contains(ops.first) && datasets::attention_ops.contains(ops.last);
    return within ? attention : layer;
}

Traits traits_of(const LayerCase& layer) {
    const reference::GoldenSource golden(layer);
    Traits out;
    out.largest_logit = -std::numeric_limits<double>::infinity();
    const std::int64_t blocks = layer.shape.blocks();
    std::set<std::int64_t> sampled;
    for (std::int64_t i = 0; i < 8; ++i) {
        sampled.insert(i * (blocks - 1) / 7);
    }
    std::vector<float> logits;
    for (int head = 0; head < layer.shape.heads; ++head) {
        for (const std::int64_t block : sampled) {
            const std::int64_t begin = block * datasets::block_rows;
            const std::int64_t count = std::min(datasets::block_rows, layer.shape.context - begin);
            logits.resize(index(count * layer.shape.context));
            golden.rows(Op::scores, {head, begin, count}, logits);
            for (std::int64_t row = 0; row < count; ++row) {
                add_row(out, std::span<const float>(logits).subspan(index(row * layer.shape.context),
                                                                    index(layer.shape.context)));
            }
        }
    }
    return out;
}

std::shared_ptr<const Ground> synthetic_ground(const SyntheticGround& of) {
    datasets::SyntheticModel model;
    model.seed = of.seed;
    model.shape = {of.context, of.heads};
    model.layers = 6;
    const auto layer_of = [&](const datasets::SyntheticModel& from, int number) {
        const std::vector<float> stream = datasets::synthetic_embedding(from);
        datasets::BlockWeights weights = datasets::synthetic_block(from, number);
        for (auto* values : {&weights.attention.query.weight, &weights.attention.query.bias}) {
            std::ranges::for_each(*values, [&](float& value) { value *= of.sharpness; });
        }
        LayerCase out =
            reference::make_case(weights, from.shape, stream, fmt::format("seed-{}", from.seed), number);
        out.stream = stream;
        return out;
    };
    Ground ground;
    ground.name = fmt::format("hard {} T={} layer {}", of.seed, of.context, of.layer);
    if (of.sharpness != 1 || of.heads != 4) {
        ground.name += fmt::format(", {} heads, logits x {}", of.heads, of.sharpness);
        ground.last_resort = true;
    }
    ground.arguments = fmt::format("--seed {} --context {}", of.seed, of.context);
    ground.layer = layer_of(model, of.layer);
    ground.end = datasets::EndCase{model.shape, datasets::synthetic_final_norm(model)};
    ground.block = ground.layer.stream;
    model.seed = of.seed + 1;
    ground.other = layer_of(model, (of.layer + 1) % model.layers);
    return completed(std::move(ground));
}

std::shared_ptr<const Ground> encoder_ground(std::uint64_t seed, std::int64_t context) {
    const TemporaryFolder folder;
    RecordOptions options;
    options.common.quiet = true;
    options.encoder = EncoderOptions{};
    options.encoder->random_size = "tiny";
    options.encoder->seed = seed;
    options.encoder->context = context;
    options.encoder->synthetic_speech_seconds = std::min(30.0, 0.02 * static_cast<double>(context));
    options.mlp = true;
    options.out = (folder.path() / "encoder.h5").string();
    record_encoder(options);
    return ground_of(options.out, fmt::format("encoder {} T={}", seed, context),
                     fmt::format("--seed {} --context {}", seed, context));
}

std::shared_ptr<const Ground> recorded_ground(const std::string& file) {
    return ground_of(file, std::filesystem::path(file).filename().string(),
                     fmt::format("--recording {}", file));
}

}  // namespace harness
