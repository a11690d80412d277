// The generator's fingerprints, its primitives against the mathematical library, and the properties of the
// default data that make it hard.
#include "datasets/synthetic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <ostream>
#include <set>
#include <span>

#include "datasets/synthetic_channels.hpp"
#include "datasets/synthetic_fingerprints.hpp"
#include "datasets/synthetic_heads.hpp"
#include "datasets/synthetic_random.hpp"
#include "datasets/synthetic_waves.hpp"

namespace datasets {
namespace {

using testing::Each;
using testing::Truly;

constexpr std::uint64_t fnv_offset = 1469598103934665603ULL;

bool is_finite(float value) {
    return std::isfinite(value);
}

TEST(SyntheticFingerprint, folds_float_bits_word_by_word) {
    EXPECT_EQ(fingerprint(std::vector<float>{}), fnv_offset);
    EXPECT_EQ(fingerprint({1.0F}), (fnv_offset ^ 0x3F800000U) * 1099511628211ULL);
    EXPECT_NE(fingerprint({0.0F}), fingerprint({-0.0F}));
    EXPECT_EQ(fingerprint({2.0F}, fingerprint({1.0F})), fingerprint({1.0F, 2.0F}));
}

TEST(SyntheticFingerprint, every_tensor_of_the_default_model_is_frozen) {
    std::size_t index = 0;
    for_each_tensor({}, [&](const std::string& tensor, const std::vector<float>& values) {
        ASSERT_LT(index, frozen_fingerprints.size());
        EXPECT_EQ(tensor, frozen_fingerprints[index].tensor);
        EXPECT_EQ(fingerprint(values), frozen_fingerprints[index].value) << tensor;
        ++index;
    });
    EXPECT_EQ(index, frozen_fingerprints.size());
}

TEST(SyntheticFingerprint, whole_models_are_frozen) {
    for (const ModelFingerprint& frozen : frozen_models) {
        EXPECT_EQ(fingerprint({.profile = frozen.profile, .seed = frozen.seed}), frozen.value)
            << name(frozen.profile) << " seed " << frozen.seed;
    }
}

TEST(SyntheticFingerprint, embeddings_of_other_contexts_are_frozen) {
    for (const EmbeddingFingerprint& frozen : frozen_embeddings) {
        const std::vector<float> embedding = synthetic_embedding({.shape = {frozen.context, 8}});
        EXPECT_EQ(embedding.size(), static_cast<std::size_t>(frozen.context * 512));
        EXPECT_EQ(fingerprint(embedding), frozen.value) << "context " << frozen.context;
    }
}

TEST(SyntheticFingerprint, every_tensor_differs_from_every_other) {
    std::set<std::uint64_t> distinct;
    for (const TensorFingerprint& frozen : frozen_fingerprints) {
        distinct.insert(frozen.value);
    }
    EXPECT_EQ(distinct.size(), frozen_fingerprints.size());
}

TEST(RandomSequence, is_splitmix64) {
    // splitmix64 maps 0 to 0, so this seed cancels the offsets of purpose and layer and leaves the state 0,
    // whose first outputs are published (prng.di.unimi.it/splitmix64.c; java.util.SplittableRandom).
    constexpr std::uint64_t offsets = 0x9E3779B97F4A7C15ULL * 11 + 0xD1B54A32D192ED03ULL * 3;
    const RandomSequence random(0 - offsets, RandomPurpose::query_weight, 2);
    EXPECT_EQ(random.bits(0), 0xE220A8397B1DCDAFULL);
    EXPECT_EQ(random.bits(1), 0x6E789E6AA1B965F4ULL);
    EXPECT_EQ(random.bits(2), 0x06C45D188009454FULL);
    EXPECT_EQ(random.bits24(0), 0xE220A8U);
    EXPECT_EQ(random.uniform(0), 0xE220A8 / 16777216.0);
}

TEST(RandomSequence, has_the_moments_of_its_distributions) {
    const RandomSequence random(1, RandomPurpose::frame_noise, 0);
    constexpr int samples = 200000;
    double uniform = 0;
    double sum = 0;
    double square = 0;
    double fourth = 0;
    double heavy_square = 0;
    int beyond_normal = 0;
    for (std::uint64_t index = 0; index < samples; ++index) {
        const double value = random.normal(index);
        const double heavy = random.heavy_tailed(index);
        ASSERT_LT(std::abs(value), 4.9);
        uniform += random.uniform(index) / samples;
        sum += value / samples;
        square += value * value / samples;
        fourth += std::pow(value, 4) / samples;
        heavy_square += heavy * heavy / samples;
        beyond_normal += heavy != value ? 1 : 0;
    }
    // Tolerances are 5 standard errors.
    EXPECT_NEAR(uniform, 0.5, 0.0033);
    EXPECT_NEAR(sum, 0, 0.0112);
    EXPECT_NEAR(square, 1, 0.0160);
    EXPECT_NEAR(fourth, 3 - 1.2 / 8, 0.10);  // kurtosis of a sum of eight uniforms
    EXPECT_NEAR(heavy_square, 0.94 + 0.05 * 16 + 0.01 * 64, 0.10);
    EXPECT_NEAR(beyond_normal, 0.06 * samples, 5 * std::sqrt(0.06 * 0.94 * samples));
}

TEST(RandomSequence, differs_by_seed_purpose_and_layer) {
    const RandomSequence base(1, RandomPurpose::query_weight, 0);
    EXPECT_NE(base.bits(0), RandomSequence(2, RandomPurpose::query_weight, 0).bits(0));
    EXPECT_NE(base.bits(0), RandomSequence(1, RandomPurpose::key_weight, 0).bits(0));
    EXPECT_NE(base.bits(0), RandomSequence(1, RandomPurpose::query_weight, 1).bits(0));
}

TEST(PowerOfTwo, is_accurate_monotonic_and_clipped) {
    double previous = 0;
    for (int step = -16 * 512; step <= 16 * 512; ++step) {
        const double exponent = step / 512.0;
        const double value = power_of_two(exponent);
        EXPECT_NEAR(value / std::exp2(exponent), 1, 1.2e-4);
        EXPECT_GT(value, previous);
        previous = value;
    }
    EXPECT_EQ(power_of_two(0), 1);
    EXPECT_EQ(power_of_two(-3), 0.125);
    EXPECT_EQ(power_of_two(40), power_of_two(16));
    EXPECT_EQ(power_of_two(-40), power_of_two(-16));
}

TEST(Sine, is_accurate_in_every_quadrant) {
    for (std::uint64_t step = 0; step < 4096; ++step) {
        const auto phase = static_cast<std::uint32_t>((step << 20U) + step);
        const double angle = phase * 0x1p-32 * 2 * std::numbers::pi;
        EXPECT_NEAR(sine(phase), std::sin(angle), 4e-6);
        EXPECT_NEAR(cosine(phase), std::cos(angle), 4e-6);
    }
    EXPECT_EQ(sine(0), 0);
}

TEST(Sinusoids, are_whispers_positional_embedding_at_every_width) {
    for (const std::int64_t width : {64, 384, 512, 768, 1024, 1280}) {
        const Sinusoids sinusoids(width);
        const std::int64_t half = width / 2;
        ASSERT_EQ(sinusoids.count(), half);
        for (std::int64_t channel = 0; channel < half; channel += channel < 4 ? 1 : 7) {
            for (const std::int64_t frame : {0, 1, 17, 1499, 3000}) {
                const double rate =
                    std::pow(10000.0, -static_cast<double>(channel) / static_cast<double>(half - 1));
                const double angle = static_cast<double>(frame) * rate;
                EXPECT_NEAR(sinusoids.value(channel, frame), std::sin(angle), 5e-6)
                    << width << " " << channel;
                EXPECT_NEAR(sinusoids.value(channel + half, frame), std::cos(angle), 5e-6)
                    << width << " " << channel;
            }
        }
        EXPECT_NEAR(sine(sinusoids.phase(0, -2)), std::sin(-2.0), 5e-6);
        EXPECT_NEAR(sine(sinusoids.phase(half - 1, 10000)), std::sin(1.0), 5e-6);
    }
}

TEST(Synthetic, names_of_profiles_round_trip) {
    EXPECT_EQ(name(Profile::hard), "hard");
    EXPECT_EQ(name(Profile::benign), "benign");
    EXPECT_EQ(parse_profile("hard"), Profile::hard);
    EXPECT_EQ(parse_profile("benign"), Profile::benign);
    EXPECT_EQ(parse_profile("Hard"), std::nullopt);
    EXPECT_EQ(parse_profile(""), std::nullopt);
}

struct Size {
    int heads;
    int layers;
};

class EveryWhisperSize : public testing::TestWithParam<Size> {};

TEST_P(EveryWhisperSize, has_finite_tensors_of_the_right_dimensions) {
    const auto [heads, layers] = GetParam();
    for (const Profile profile : {Profile::hard, Profile::benign}) {
        const SyntheticModel model{.profile = profile, .shape = {65, heads}, .layers = layers};
        const auto width = static_cast<std::size_t>(model.shape.width());
        EXPECT_EQ(synthetic_embedding(model).size(), 65 * width);
        EXPECT_THAT(synthetic_embedding(model), Each(Truly(is_finite)));
        const BlockWeights block = synthetic_block(model, layers - 1);
        const auto check = [](const Linear& linear, std::size_t out, std::size_t in, bool bias) {
            EXPECT_EQ(linear.weight.size(), out * in);
            EXPECT_EQ(linear.bias.size(), bias ? out : 0);
            EXPECT_TRUE(std::all_of(linear.weight.begin(), linear.weight.end(), is_finite));
            EXPECT_TRUE(std::all_of(linear.bias.begin(), linear.bias.end(), is_finite));
        };
        check(block.attention.query, width, width, true);
        check(block.attention.key, width, width, false);
        check(block.attention.value, width, width, true);
        check(block.attention.output, width, width, true);
        check(block.fc1, 4 * width, width, true);
        check(block.fc2, width, 4 * width, true);
        for (const Norm& norm : {block.attention_norm, block.mlp_norm, synthetic_final_norm(model)}) {
            EXPECT_EQ(norm.gain.size(), width);
            EXPECT_EQ(norm.bias.size(), width);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Sizes, EveryWhisperSize,
                         testing::Values(Size{1, 1}, Size{6, 4}, Size{8, 6}, Size{12, 12}, Size{16, 24},
                                         Size{20, 32}),
                         [](const auto& size) { return std::to_string(size.param.heads) + "_heads"; });

TEST(Synthetic, refuses_what_is_not_a_model) {
    EXPECT_THROW(synthetic_embedding({.shape = {0, 8}}), std::invalid_argument);
    EXPECT_THROW(synthetic_embedding({.shape = {10, 0}}), std::invalid_argument);
    EXPECT_THROW(synthetic_block({.layers = 0}, 0), std::invalid_argument);
    EXPECT_THROW(synthetic_block({}, 6), std::invalid_argument);
    EXPECT_THROW(synthetic_block({}, -1), std::invalid_argument);
}

TEST(Synthetic, speech_of_a_longer_clip_begins_with_that_of_a_shorter_one) {
    const std::vector<float> shorter = synthetic_embedding({.shape = {100, 8}});
    const std::vector<float> longer = synthetic_embedding({.shape = {1500, 8}});
    EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), longer.begin()));
}

TEST(Synthetic, silence_differs_by_position_only) {
    // Beyond the speech part, a row that is no register is the stem's constant plus the sinusoids; so at the
    // lowest frequency two neighbouring rows are all but equal, which speech is not.
    const std::vector<float> embedding = synthetic_embedding({.shape = {1500, 8}});
    const auto step = [&](std::int64_t frame) {
        const auto at = static_cast<std::size_t>(frame * 512 + 250);
        return std::abs(static_cast<double>(embedding[at + 512]) - static_cast<double>(embedding[at]));
    };
    int calm = 0;
    for (std::int64_t frame = 250; frame < 1499; ++frame) {
        calm += step(frame) < 2e-4 ? 1 : 0;
    }
    EXPECT_GT(calm, 1249 * 0.88);  // 0.96 * 0.96 pairs without a register row
    EXPECT_LT(calm, 1249 * 0.96);
    int restless = 0;
    for (std::int64_t frame = 0; frame < 249; ++frame) {
        restless += step(frame) > 2e-4 ? 1 : 0;
    }
    EXPECT_GT(restless, 249 * 0.95);
}

TEST(Synthetic, head_types_rotate_with_the_layer) {
    EXPECT_EQ(head_type(0, 0).name, "diagonal");
    EXPECT_EQ(head_type(6, 0).name, "all_negative");
    EXPECT_EQ(head_type(7, 1).name, "diagonal");
    EXPECT_EQ(head_type(19, 31).name, head_types[50 % 8].name);
}

TEST(ChannelScale, is_the_identity_at_base_width_and_keeps_massive_channels_apart_elsewhere) {
    const ChannelScale base(512);
    EXPECT_EQ(base.massive_amplitude(), 1.0);
    EXPECT_EQ(base.weight(), 1.0);
    for (std::int64_t index = 0; index < 256; ++index) {
        ASSERT_EQ(base.frequency(index), index);
        ASSERT_EQ(base.channel(index), index);
    }
    for (const std::int64_t width : {64, 384, 768, 1024, 1280}) {
        const ChannelScale scale(width);
        std::set<std::int64_t> channels;
        for (std::size_t index = 0; index < massive_channels.size(); ++index) {
            channels.insert(scale.massive(index));
            EXPECT_TRUE(scale.is_massive(scale.massive(index)));
        }
        EXPECT_EQ(channels.size(), massive_channels.size());
        EXPECT_LT(*channels.rbegin(), width);
        EXPECT_EQ(scale.frequency(0), 0);
        EXPECT_EQ(scale.frequency(255), width / 2 - 1);
    }
}

// The distribution of layer 0's attention, by plain double loops over the definition: layer norm, query and
// key projection, scaled scores of some query rows against all keys, softmax.

std::vector<double> normalised(std::span<const float> row, const Norm& norm) {
    const auto width = static_cast<double>(row.size());
    const double mean = std::accumulate(row.begin(), row.end(), 0.0) / width;
    double variance = 0;
    for (const float value : row) {
        variance += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean) / width;
    }
    std::vector<double> result(row.size());
    for (std::size_t channel = 0; channel < row.size(); ++channel) {
        result[channel] = (static_cast<double>(row[channel]) - mean) / std::sqrt(variance + 1e-5) *
                              static_cast<double>(norm.gain[channel]) +
                          static_cast<double>(norm.bias[channel]);
    }
    return result;
}

// Four partial sums, for speed.
template <typename Left>
double dot(const Left* left, const double* right, std::size_t size) {
    std::array<double, 4> sums{};
    for (std::size_t index = 0; index < size; index += sums.size()) {
        for (std::size_t lane = 0; lane < sums.size(); ++lane) {
            sums[lane] += static_cast<double>(left[index + lane]) * right[index + lane];
        }
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

std::vector<double> projected(const Linear& linear, const std::vector<double>& input) {
    std::vector<double> result(linear.weight.size() / input.size());
    for (std::size_t row = 0; row < result.size(); ++row) {
        const double bias = linear.bias.empty() ? 0.0 : static_cast<double>(linear.bias[row]);
        result[row] = bias + dot(linear.weight.data() + row * input.size(), input.data(), input.size());
    }
    return result;
}

struct HeadStatistics {
    double least_logit = std::numeric_limits<double>::infinity();
    double greatest_logit = -std::numeric_limits<double>::infinity();
    double share_of_negative_rows = 0;  // whose greatest logit is below -5
    double mean_effective_keys = 0;     // 1 / sum of the squared probabilities
    double median_top_probability = 0;
};

class Layer0 {
public:
    explicit Layer0(const SyntheticModel& model)
        : model_(model), block_(synthetic_block(model, 0)), embedding_(synthetic_embedding(model)) {
        for (std::int64_t frame = 0; frame < model.shape.context; ++frame) {
            keys_.push_back(projected(block_.attention.key, input(frame)));
        }
    }

    // Of every `stride`-th query row.
    [[nodiscard]] std::vector<HeadStatistics> statistics(std::int64_t stride) const {
        std::vector<HeadStatistics> heads(static_cast<std::size_t>(model_.shape.heads));
        std::vector<std::vector<double>> tops(heads.size());
        for (std::int64_t frame = 0; frame < model_.shape.context; frame += stride) {
            const std::vector<double> query = projected(block_.attention.query, input(frame));
            for (std::size_t head = 0; head < heads.size(); ++head) {
                tops[head].push_back(
                    add_row(query.data() + head * head_width, head * head_width, heads[head]));
            }
        }
        for (std::size_t head = 0; head < heads.size(); ++head) {
            std::vector<double>& top = tops[head];
            heads[head].share_of_negative_rows /= static_cast<double>(top.size());
            heads[head].mean_effective_keys /= static_cast<double>(top.size());
            std::sort(top.begin(), top.end());
            heads[head].median_top_probability = top[top.size() / 2];
        }
        return heads;
    }

private:
    [[nodiscard]] std::vector<double> input(std::int64_t frame) const {
        const auto width = static_cast<std::size_t>(model_.shape.width());
        return normalised({embedding_.data() + static_cast<std::size_t>(frame) * width, width},
                          block_.attention_norm);
    }

    // Adds one row to the sums and returns its greatest probability.
    double add_row(const double* query, std::size_t first_channel, HeadStatistics& head) const {
        std::vector<double> logits;
        for (const std::vector<double>& key : keys_) {
            logits.push_back(dot(query, key.data() + first_channel, head_width) / 8);
        }
        const auto [least, greatest] = std::minmax_element(logits.begin(), logits.end());
        double sum = 0;
        double square_sum = 0;
        for (const double logit : logits) {
            const double weight = std::exp(logit - *greatest);
            sum += weight;
            square_sum += weight * weight;
        }
        head.least_logit = std::min(head.least_logit, *least);
        head.greatest_logit = std::max(head.greatest_logit, *greatest);
        head.share_of_negative_rows += *greatest < -5 ? 1 : 0;
        head.mean_effective_keys += sum * sum / square_sum;
        return 1 / sum;
    }

    SyntheticModel model_;
    BlockWeights block_;
    std::vector<float> embedding_;
    std::vector<std::vector<double>> keys_;  // [time, width]
};

void PrintTo(const HeadStatistics& head, std::ostream* out) {
    *out << "logits " << head.least_logit << " ... " << head.greatest_logit
         << ", rows below -5: " << head.share_of_negative_rows << ", effective keys "
         << head.mean_effective_keys << ", median top probability " << head.median_top_probability;
}

constexpr std::int64_t row_stride = 7;

struct Expected {
    std::int64_t context;
    double greatest_magnitude;  // of a logit, upper limit
};

class HardDistribution : public testing::TestWithParam<Expected> {};

// Of the frozen seed; other seeds need not have all of these.
TEST_P(HardDistribution, has_every_kind_of_head_that_hides_a_fault_elsewhere) {
    const auto [context, magnitude_limit] = GetParam();
    const std::vector<HeadStatistics> heads = Layer0({.shape = {context, 8}}).statistics(row_stride);
    double magnitude = 0;
    double greatest = 0;
    for (const HeadStatistics& head : heads) {
        magnitude = std::max({magnitude, std::abs(head.least_logit), std::abs(head.greatest_logit)});
        greatest = std::max(greatest, head.greatest_logit);
    }
    EXPECT_GT(greatest, 88) << "a softmax without the maximum subtracted must overflow";
    EXPECT_LT(magnitude, magnitude_limit);
    const auto a_head = [](auto member, auto matcher) {
        return testing::Contains(testing::Field(member, matcher));
    };
    EXPECT_THAT(heads, a_head(&HeadStatistics::share_of_negative_rows, testing::Ge(0.5)))
        << "an unmasked padded key of logit 0 must dominate";
    EXPECT_THAT(heads,
                a_head(&HeadStatistics::mean_effective_keys, testing::Gt(0.8 * static_cast<double>(context))))
        << "broad attention";
    EXPECT_THAT(heads, a_head(&HeadStatistics::median_top_probability, testing::Gt(0.5)))
        << "sharp attention";
}

// Positions beyond 1500 drive the all-negative head further down, to -106.
INSTANTIATE_TEST_SUITE_P(Contexts, HardDistribution,
                         testing::Values(Expected{1500, 100}, Expected{3001, 110}),
                         [](const auto& expected) { return std::to_string(expected.param.context); });

TEST(SyntheticDistribution, benign_attention_is_nearly_uniform_in_every_head) {
    const SyntheticModel model{.profile = Profile::benign, .shape = {600, 8}};
    for (const HeadStatistics& head : Layer0(model).statistics(row_stride)) {
        EXPECT_LT(std::max(-head.least_logit, head.greatest_logit), 4);
        EXPECT_GT(head.mean_effective_keys, 0.8 * 600);
    }
}

TEST(SyntheticDistribution, other_sizes_have_logits_of_the_same_order) {
    for (const int heads : {6, 12, 20}) {
        double greatest = 0;
        for (const HeadStatistics& head : Layer0({.shape = {300, heads}}).statistics(29)) {
            greatest = std::max(greatest, head.greatest_logit);
        }
        EXPECT_GT(greatest, 40) << heads << " heads";
        EXPECT_LT(greatest, 110) << heads << " heads";
    }
}

}  // namespace
}  // namespace datasets
