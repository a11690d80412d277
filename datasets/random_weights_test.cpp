#include "datasets/random_weights.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "datasets/positions.hpp"
#include "datasets/synthetic.hpp"
#include "datasets/synthetic_channels.hpp"
#include "datasets/synthetic_fingerprints.hpp"
#include "datasets/synthetic_random.hpp"

namespace datasets {
namespace {

constexpr WhisperSize small_size{"", 80, 2, 3};

double wide(float value) {
    return static_cast<double>(value);
}

// Log-mel as a speaker makes it, [frame, mel]: syllables of a tenth to a third of a second over a spectral
// envelope, in the first `voiced` frames; then the floor.
std::vector<double> speech_like_mel(std::int64_t frames, std::int64_t voiced, std::int64_t mels) {
    const RandomSequence random(7, RandomPurpose::speech_track, 0);
    std::vector<double> mel(static_cast<std::size_t>(frames * mels), -0.6);
    for (std::int64_t frame = 0; frame < voiced; ++frame) {
        const std::int64_t syllable = frame / 20;
        const auto knot = static_cast<std::uint64_t>(syllable);
        const double phase = static_cast<double>(frame % 20) / 20;
        const double loudness = phase < 0.75 ? 0.9 * std::sin(4.19 * phase) : 0.0;
        const double formant = 0.2 + 0.6 * random.uniform(knot);
        for (std::int64_t band = 0; band < mels; ++band) {
            const double distance = static_cast<double>(band) / static_cast<double>(mels) - formant;
            const double envelope = std::exp(-10 * distance * distance);
            const double noise = 0.1 * random.normal(1000 + static_cast<std::uint64_t>(frame * mels + band));
            mel[static_cast<std::size_t>(frame * mels + band)] = -0.6 + 2.0 * loudness * envelope + noise;
        }
    }
    return mel;
}

// gelu(convolution) in double: input [frame, channels], output [frame, rows].
std::vector<double> convolved(const std::vector<double>& input, std::int64_t channels, const Linear& conv,
                              std::int64_t stride) {
    const std::int64_t frames = std::ssize(input) / channels;
    const std::int64_t rows = std::ssize(conv.bias);
    std::vector<double> output;
    for (std::int64_t frame = 0; frame < frames; frame += stride) {
        for (std::int64_t row = 0; row < rows; ++row) {
            double sum = wide(conv.bias[static_cast<std::size_t>(row)]);
            for (std::int64_t tap = 0; tap < 3; ++tap) {
                const std::int64_t source = frame + tap - 1;
                for (std::int64_t channel = 0; channel < channels && source >= 0 && source < frames;
                     ++channel) {
                    sum += wide(conv.weight[static_cast<std::size_t>((row * channels + channel) * 3 + tap)]) *
                           input[static_cast<std::size_t>(source * channels + channel)];
                }
            }
            output.push_back(0.5 * sum * (1 + std::erf(sum / std::sqrt(2.0))));
        }
    }
    return output;
}

struct Scale {
    double typical = 0;    // root mean square of the channels that are not massive
    double massive = 0;    // mean of the largest massive channel
    double deviation = 0;  // over time, of the channels that are not massive
};

Scale scale_of(const std::vector<double>& rows, std::int64_t width) {
    const ChannelScale channels(width);
    const auto count = static_cast<double>(std::ssize(rows) / width);
    Scale scale;
    double squares = 0;
    double variance = 0;
    for (std::int64_t channel = 0; channel < width; ++channel) {
        double sum = 0;
        double square = 0;
        for (std::int64_t at = channel; at < std::ssize(rows); at += width) {
            sum += rows[static_cast<std::size_t>(at)];
            square += rows[static_cast<std::size_t>(at)] * rows[static_cast<std::size_t>(at)];
        }
        if (channel == channels.massive(0)) {
            scale.massive = sum / count;
        }
        if (!channels.is_massive(channel)) {
            squares += square / count;
            variance += square / count - sum * sum / count / count;
        }
    }
    scale.typical = std::sqrt(squares / static_cast<double>(width));
    scale.deviation = std::sqrt(variance / static_cast<double>(width));
    return scale;
}

// Speech in, and the stream that enters layer 0 has the scale of the synthetic embedding.
TEST(RandomWeights, TheStemHasTheScaleOfTheHardRecipe) {
    constexpr std::int64_t width = 128;
    constexpr std::int64_t context = 100;
    const EncoderWeights weights = random_weights(small_size, 3);
    const std::vector<double> mel = speech_like_mel(2 * context, 2 * context, 80);
    std::vector<double> embedding =
        convolved(convolved(mel, 80, weights.stem.conv1, 1), width, weights.stem.conv2, 2);
    ASSERT_EQ(std::ssize(embedding), context * width);
    for (std::size_t index = 0; index < embedding.size(); ++index) {
        embedding[index] += wide(weights.stem.positions[index]);
    }
    const std::vector<float> synthetic = synthetic_embedding({.seed = 3, .shape = {context, 2}, .layers = 3});
    const Scale got = scale_of(embedding, width);
    const Scale wanted = scale_of({synthetic.begin(), synthetic.end()}, width);
    EXPECT_NEAR(got.typical / wanted.typical, 1, 0.35) << got.typical << " " << wanted.typical;
    EXPECT_NEAR(got.deviation / wanted.deviation, 1, 0.35) << got.deviation << " " << wanted.deviation;
    EXPECT_NEAR(got.massive / wanted.massive, 1, 0.35) << got.massive << " " << wanted.massive;

    // Registers: rows in which the largest channel has lost half its size; some, but few.
    const ChannelScale channels(width);
    const auto largest = static_cast<std::size_t>(channels.massive(0));
    std::int64_t registers = 0;
    for (std::size_t row = 0; row < context; ++row) {
        registers += embedding[row * width + largest] < got.massive / 2 ? 1 : 0;
    }
    EXPECT_GE(registers, 2);
    EXPECT_LE(registers, context / 4);
}

// In silence, rows differ by their positions only.
TEST(RandomWeights, SilenceIsConstant) {
    constexpr std::size_t width = 128;
    const EncoderWeights weights = random_weights(small_size, 3);
    const std::vector<double> rows = convolved(
        convolved(speech_like_mel(24, 0, 80), 80, weights.stem.conv1, 1), width, weights.stem.conv2, 2);
    for (std::size_t index = 2 * width; index < 10 * width; ++index) {
        EXPECT_DOUBLE_EQ(rows[index], rows[index - width]);
    }
}

TEST(RandomWeights, BlocksAreTheSyntheticModels) {
    const EncoderWeights weights = random_weights(small_size, 5);
    const SyntheticModel model{.seed = 5, .shape = {1500, 2}, .layers = 3};
    ASSERT_EQ(weights.layers(), 3);
    EXPECT_EQ(weights.heads, 2);
    EXPECT_EQ(weights.mels, 80);
    EXPECT_EQ(weights.source, "random");
    EXPECT_EQ(weights.model_id, "random-80x2x3-seed-5");
    for (int layer = 0; layer < 3; ++layer) {
        const BlockWeights block = synthetic_block(model, layer);
        const BlockWeights& got = weights.blocks[static_cast<std::size_t>(layer)];
        EXPECT_EQ(got.attention.query.weight, block.attention.query.weight);
        EXPECT_EQ(got.fc2.weight, block.fc2.weight);
        const auto differing =
            std::inner_product(got.attention.output.bias.begin(), got.attention.output.bias.end(),
                               block.attention.output.bias.begin(), 0, std::plus<>(), std::not_equal_to<>());
        EXPECT_EQ(differing, layer == 0 ? 2 : 0);
    }
    EXPECT_EQ(weights.final_norm.gain, synthetic_final_norm(model).gain);
}

TEST(RandomWeights, EverySizeHasItsShapes) {
    for (const int mels : {1, 3, 80, 128}) {
        const EncoderWeights weights = random_weights({"", mels, 1, 1}, 1);
        EXPECT_EQ(std::ssize(weights.stem.conv1.weight), 64 * mels * 3);
        EXPECT_EQ(std::ssize(weights.stem.conv1.bias), 64);
        EXPECT_EQ(std::ssize(weights.stem.conv2.weight), 64 * 64 * 3);
        EXPECT_EQ(std::ssize(weights.stem.conv2.bias), 64);
        EXPECT_TRUE(
            std::ranges::all_of(weights.stem.conv1.weight, [](float value) { return std::isfinite(value); }));
        EXPECT_EQ(std::ssize(positions_for(weights, 3001)), 3001 * 64);
    }
    EXPECT_THROW((void)random_weights({"", 0, 1, 1}, 1), std::invalid_argument);
    EXPECT_THROW((void)random_weights({"", 1, 0, 1}, 1), std::invalid_argument);
    EXPECT_THROW((void)random_weights({"", 1, 1, 0}, 1), std::invalid_argument);
}

// The positions are the published ones, by another way of computing sines.
TEST(RandomWeights, PositionsAreTheClosedForm) {
    const std::vector<float> got = random_weights(small_size, 1).stem.positions;
    const std::vector<float> closed = sinusoid_positions(1500, 128);
    ASSERT_EQ(got.size(), closed.size());
    for (std::size_t index = 0; index < got.size(); ++index) {
        ASSERT_NEAR(got[index], closed[index], 5e-6) << index;
    }
}

// The identity of a seed: these bits come from every compiler.
TEST(RandomWeights, AreFrozen) {
    const EncoderWeights weights = random_weights(*parse_whisper_size("tiny"), frozen_seed);
    EXPECT_EQ(weights.model_id, "random-tiny-seed-20240607");
    const StemWeights& stem = weights.stem;
    const std::array<const std::vector<float>*, 5> tensors{
        &stem.conv1.weight, &stem.conv1.bias, &stem.conv2.weight, &stem.conv2.bias, &stem.positions};
    for (std::size_t index = 0; index < tensors.size(); ++index) {
        EXPECT_EQ(fingerprint(*tensors[index]), frozen_stem[index].value) << frozen_stem[index].tensor;
    }
    EXPECT_EQ(weights.model_sha256, "e00c38e0dddab6b4f5bb77a80a74c76d3bcc834e70820156f1faf324e3e627f7");
    EXPECT_NE(random_weights(small_size, 1).model_sha256, random_weights(small_size, 2).model_sha256);
}

}  // namespace
}  // namespace datasets
