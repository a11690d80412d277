// The stem of the random encoder: what its channels detect, and how its scale follows the synthetic
// embedding's.
#include "datasets/random_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>

#include "datasets/positions.hpp"
#include "datasets/sha256.hpp"
#include "datasets/synthetic.hpp"
#include "datasets/synthetic_channels.hpp"
#include "datasets/synthetic_random.hpp"
#include "datasets/synthetic_waves.hpp"

namespace datasets {
namespace {

constexpr std::int64_t taps = 3;
constexpr std::size_t centre = 1;

// Features of the mel frames: random filters over three frames.
constexpr double feature_gain = 1.6;  // deviation of a feature per unit of mel, before the GELU
constexpr double feature_gain_spread = 0.5;
constexpr double feature_mean_spread = 0.5;

// The first channels of conv1 detect a rise of energy in one band each, between the frames before and after.
constexpr std::size_t detectors = 4;
constexpr double detector_gain = 8;
constexpr double detector_threshold = 0.4;  // a unit of log-mel is 40 dB

// Channels of the embedding: gain and mean as in the synthetic embedding, doubled where a GELU halves.
constexpr double stem_gain = 0.5;
constexpr double stem_gain_spread = 0.9;
constexpr double stem_mean_spread = 0.8;
constexpr double stem_deviation = 0.8;   // of the mix of features, per unit of a feature
constexpr double register_gain = 1.5;    // of a detector's direction
constexpr double massive_jitter = 0.08;  // of a massive channel, from row to row
constexpr double massive_fall = 0.75;    // of a massive channel, per unit of a detector

class RandomStem {
public:
    RandomStem(const WhisperSize& size, std::uint64_t seed)
        : seed_(seed), mels_(size.mels), scale_(std::int64_t{head_width} * size.heads) {}

    [[nodiscard]] StemWeights weights() const { return {conv1(), conv2(), positions()}; }

private:
    [[nodiscard]] RandomSequence random(RandomPurpose purpose) const { return {seed_, purpose, 0}; }

    [[nodiscard]] Linear conv1() const {
        const RandomSequence weight = random(RandomPurpose::conv1_weight);
        const RandomSequence row_gain = random(RandomPurpose::conv1_row_gain);
        const RandomSequence bias = random(RandomPurpose::conv1_bias);
        const std::size_t row_size = count(mels_ * taps);
        Linear conv;
        for (std::size_t row = 0; row < count(scale_.width()); ++row) {
            const double gain = feature_gain * power_of_two(feature_gain_spread * row_gain.normal(row)) /
                                std::sqrt(static_cast<double>(row_size));
            for (std::size_t column = 0; column < row_size; ++column) {
                conv.weight.push_back(static_cast<float>(gain * weight.normal(row * row_size + column)));
            }
            conv.bias.push_back(static_cast<float>(feature_mean_spread * bias.normal(row)));
        }
        for (std::size_t detector = 0; detector < detectors; ++detector) {
            make_detector(detector, std::span(conv.weight).subspan(detector * row_size, row_size));
            conv.bias[detector] = static_cast<float>(-detector_gain * detector_threshold);
        }
        return conv;
    }

    // The mean of a band in the frame after, less that in the frame before.
    void make_detector(std::size_t detector, std::span<float> row) const {
        const std::size_t begin = detector * count(mels_) / detectors;
        const std::size_t end = std::max(begin + 1, (detector + 1) * count(mels_) / detectors);
        const auto gain = static_cast<float>(detector_gain / static_cast<double>(end - begin));
        for (std::size_t mel = 0; mel < count(mels_); ++mel) {
            const bool is_inside = mel >= begin && mel < end;
            row[mel * count(taps)] = is_inside ? -gain : 0.0F;
            row[mel * count(taps) + centre] = 0.0F;
            row[mel * count(taps) + centre + 1] = is_inside ? gain : 0.0F;
        }
    }

    [[nodiscard]] Linear conv2() const {
        const RandomSequence weight = random(RandomPurpose::conv2_weight);
        const RandomSequence direction = random(RandomPurpose::register_direction);
        const RandomSequence row_gain = random(RandomPurpose::stem_gain);
        const RandomSequence mean = random(RandomPurpose::stem_mean);
        const std::size_t row_size = count(scale_.width() * taps);
        const double unit = 1.0 / std::sqrt(static_cast<double>(row_size));
        Linear conv;
        for (std::size_t row = 0; row < count(scale_.width()); ++row) {
            const double gain = stem_gain * power_of_two(stem_gain_spread * row_gain.normal(row));
            for (std::size_t column = 0; column < row_size; ++column) {
                conv.weight.push_back(static_cast<float>(gain * stem_deviation * unit *
                                                         weight.normal(row * row_size + column)));
            }
            for (std::size_t detector = 0; detector < detectors; ++detector) {
                set_detector(conv, row, detector,
                             register_gain * direction.normal(detector * count(scale_.width()) + row));
            }
            conv.bias.push_back(static_cast<float>(gain * stem_mean_spread * mean.normal(row)));
        }
        for (std::size_t index = 0; index < massive_channels.size(); ++index) {
            if (massive_channels[index].mean > 0) {
                make_massive(conv, index, weight, unit);
            }
        }
        return conv;
    }

    void set_detector(Linear& conv, std::size_t row, std::size_t detector, double value) const {
        const std::size_t first = (row * count(scale_.width()) + detector) * count(taps);
        for (std::size_t tap = 0; tap < count(taps); ++tap) {
            conv.weight[first + tap] = tap == centre ? static_cast<float>(value) : 0.0F;
        }
    }

    // A constant that the features jitter, and that the detectors take away unless it is steady.
    void make_massive(Linear& conv, std::size_t index, const RandomSequence& weight, double unit) const {
        const MassiveChannel& massive = massive_channels[index];
        const double amplitude = massive.mean * scale_.massive_amplitude();
        const std::size_t row = count(scale_.massive(index));
        const std::size_t row_size = count(scale_.width() * taps);
        for (std::size_t column = 0; column < row_size; ++column) {
            conv.weight[row * row_size + column] = static_cast<float>(amplitude * massive_jitter * unit *
                                                                      weight.normal(row * row_size + column));
        }
        for (std::size_t detector = 0; detector < detectors; ++detector) {
            set_detector(conv, row, detector, massive.steady ? 0.0 : -massive_fall * amplitude);
        }
        conv.bias[row] = static_cast<float>(amplitude);
    }

    [[nodiscard]] std::vector<float> positions() const {
        const Sinusoids sinusoids(scale_.width());
        std::vector<float> table;
        table.reserve(count(published_context * scale_.width()));
        for (std::int64_t row = 0; row < published_context; ++row) {
            for (std::int64_t channel = 0; channel < scale_.width(); ++channel) {
                table.push_back(static_cast<float>(sinusoids.value(channel, row)));
            }
        }
        return table;
    }

    std::uint64_t seed_;
    std::int64_t mels_;
    ChannelScale scale_;
};

// What no GELU can write: see the header.
void add_negative_massive(std::vector<float>& output_bias, const ChannelScale& scale) {
    for (std::size_t index = 0; index < massive_channels.size(); ++index) {
        const double mean = massive_channels[index].mean;
        if (mean < 0) {
            output_bias[count(scale.massive(index))] += static_cast<float>(mean * scale.massive_amplitude());
        }
    }
}

std::string hash_of(const EncoderWeights& weights) {
    Sha256 hash;
    const auto tensor = [&](const std::vector<float>& values) {
        hash.update(std::as_bytes(std::span(values)));
    };
    const auto linear = [&](const Linear& values) {
        tensor(values.weight);
        tensor(values.bias);
    };
    const auto norm = [&](const Norm& values) {
        tensor(values.gain);
        tensor(values.bias);
    };
    linear(weights.stem.conv1);
    linear(weights.stem.conv2);
    tensor(weights.stem.positions);
    for (const BlockWeights& block : weights.blocks) {
        norm(block.attention_norm);
        linear(block.attention.query);
        linear(block.attention.key);
        linear(block.attention.value);
        linear(block.attention.output);
        norm(block.mlp_norm);
        linear(block.fc1);
        linear(block.fc2);
    }
    norm(weights.final_norm);
    return hash.finish();
}

}  // namespace

EncoderWeights random_weights(const WhisperSize& size, std::uint64_t seed) {
    if (size.mels < 1 || size.heads < 1 || size.layers < 1) {
        throw std::invalid_argument("random weights need at least one mel, one head and one layer");
    }
    const SyntheticModel model{Profile::hard, seed, {published_context, size.heads}, size.layers};
    EncoderWeights weights;
    const std::string id = whisper_model_id(size.mels, size.heads, size.layers);
    weights.model_id = fmt::format("random-{}-seed-{}", id.substr(id.find('-') + 1), seed);
    weights.source = "random";
    weights.mels = size.mels;
    weights.heads = size.heads;
    weights.stem = RandomStem(size, seed).weights();
    for (int layer = 0; layer < size.layers; ++layer) {
        weights.blocks.push_back(synthetic_block(model, layer));
    }
    add_negative_massive(weights.blocks.front().attention.output.bias, ChannelScale(weights.width()));
    weights.final_norm = synthetic_final_norm(model);
    weights.model_sha256 = hash_of(weights);
    return weights;
}

}  // namespace datasets
