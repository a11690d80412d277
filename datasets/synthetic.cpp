// The recipe of the synthetic model: norms, biases and weights of both profiles.
#include "datasets/synthetic.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "datasets/synthetic_channels.hpp"
#include "datasets/synthetic_embedding.hpp"
#include "datasets/synthetic_heads.hpp"
#include "datasets/synthetic_random.hpp"
#include "datasets/synthetic_waves.hpp"

namespace datasets {
namespace {

constexpr double norm_gain_spread = 0.5;
constexpr double norm_gain_massive = 0.12;
constexpr double final_norm_gain = 1.2;
constexpr double final_norm_gain_spread = 0.4;

// Layer whose MLP writes the massive channel, as trained models do in an early block.
constexpr int massive_layer = 1;
constexpr double massive_write = 12;
constexpr std::int64_t second_write_channel = 300;
constexpr double second_write = 9;

void require_valid(const SyntheticModel& model) {
    if (model.shape.context < 1 || model.shape.heads < 1 || model.layers < 1) {
        throw std::invalid_argument("a synthetic model needs at least one frame, one head and one layer");
    }
}

// One random parameter tensor: which sequence and how it is scaled.
struct BiasRecipe {
    RandomPurpose purpose;
    double mean;
    double spread;
};

struct WeightRecipe {
    RandomPurpose purpose;
    RandomPurpose row_gain_purpose;
    double gain;
    double row_gain_spread;  // log2 of the gain of an output channel
    double massive_gain;     // of inputs from massive channels
};

constexpr BiasRecipe attention_norm_bias{RandomPurpose::attention_norm_bias, 0, 0.12};
constexpr BiasRecipe value_bias{RandomPurpose::value_bias, 0, 0.10};
constexpr BiasRecipe output_bias{RandomPurpose::output_bias, 0, 0.05};
constexpr BiasRecipe mlp_norm_bias{RandomPurpose::mlp_norm_bias, 0, 0.12};
constexpr BiasRecipe fc1_bias{RandomPurpose::fc1_bias, -1.0, 0.4};
constexpr BiasRecipe fc2_bias{RandomPurpose::fc2_bias, 0, 0.05};
constexpr BiasRecipe final_norm_bias{RandomPurpose::final_norm_bias, 0, 0.1};

constexpr WeightRecipe value_weight{RandomPurpose::value_weight, RandomPurpose::value_row_gain, 0.09, 0.5,
                                    0.3};
constexpr WeightRecipe output_weight{RandomPurpose::output_weight, RandomPurpose::output_row_gain, 0.010, 0.6,
                                     1};
constexpr WeightRecipe fc1_weight{RandomPurpose::fc1_weight, RandomPurpose::fc1_row_gain, 0.07, 0.5, 0.3};
constexpr WeightRecipe fc2_weight{RandomPurpose::fc2_weight, RandomPurpose::fc2_row_gain, 0.012, 0.6, 1};

std::vector<float> normal_values(const RandomSequence& random, std::size_t size) {
    std::vector<float> values(size);
    for (std::size_t index = 0; index < size; ++index) {
        values[index] = static_cast<float>(random.normal(index));
    }
    return values;
}

// One layer of the hard profile.
class HardLayer {
public:
    HardLayer(const SyntheticModel& model, int layer)
        : seed_(model.seed), layer_(layer), shape_(model.shape), scale_(model.shape.width()) {}

    [[nodiscard]] BlockWeights weights() const {
        const std::int64_t width = shape_.width();
        BlockWeights block;
        block.attention_norm = {norm_gain(RandomPurpose::attention_norm_gain),
                                bias(attention_norm_bias, width)};
        QueryKey query_key = hard_query_key(seed_, layer_, shape_, block.attention_norm.gain);
        block.attention.query = std::move(query_key.query);
        block.attention.key = std::move(query_key.key);
        block.attention.value = {weight(value_weight, width, width), bias(value_bias, width)};
        block.attention.output = {weight(output_weight, width, width), bias(output_bias, width)};
        block.mlp_norm = {norm_gain(RandomPurpose::mlp_norm_gain), bias(mlp_norm_bias, width)};
        block.fc1 = {weight(fc1_weight, shape_.mlp_width(), width), bias(fc1_bias, shape_.mlp_width())};
        block.fc2 = {weight(fc2_weight, width, shape_.mlp_width()), bias(fc2_bias, width)};
        if (layer_ == massive_layer) {
            block.fc2.bias[count(scale_.channel(second_write_channel))] += static_cast<float>(second_write);
            block.fc2.bias[count(scale_.massive(0))] += static_cast<float>(massive_write);
        }
        return block;
    }

    [[nodiscard]] std::vector<float> bias(const BiasRecipe& recipe, std::int64_t size) const {
        const RandomSequence random(seed_, recipe.purpose, layer_);
        std::vector<float> values(count(size));
        for (std::size_t index = 0; index < values.size(); ++index) {
            values[index] = static_cast<float>(recipe.mean + recipe.spread * random.heavy_tailed(index));
        }
        return values;
    }

private:
    [[nodiscard]] std::vector<float> norm_gain(RandomPurpose purpose) const {
        const RandomSequence random(seed_, purpose, layer_);
        std::vector<float> values(count(shape_.width()));
        for (std::size_t channel = 0; channel < values.size(); ++channel) {
            values[channel] = static_cast<float>(power_of_two(norm_gain_spread * random.normal(channel)));
        }
        for (std::size_t index = 0; index < massive_channels.size(); ++index) {
            float& value = values[count(scale_.massive(index))];
            value = static_cast<float>(norm_gain_massive * static_cast<double>(value));
        }
        return values;
    }

    [[nodiscard]] std::vector<float> weight(const WeightRecipe& recipe, std::int64_t rows,
                                            std::int64_t columns) const {
        const RandomSequence row_gain(seed_, recipe.row_gain_purpose, layer_);
        std::vector<float> values =
            normal_values(RandomSequence(seed_, recipe.purpose, layer_), count(rows * columns));
        for (std::int64_t row = 0; row < rows; ++row) {
            const double gain = recipe.gain * scale_.weight() *
                                power_of_two(recipe.row_gain_spread * row_gain.normal(count(row)));
            for (std::int64_t column = 0; column < columns; ++column) {
                float& value = values[count(row * columns + column)];
                const bool massive = recipe.massive_gain != 1 && scale_.is_massive(column);
                value = static_cast<float>(static_cast<double>(value) *
                                           (massive ? gain * recipe.massive_gain : gain));
            }
        }
        return values;
    }

    std::uint64_t seed_;
    int layer_;
    LayerShape shape_;
    ChannelScale scale_;
};

Norm unit_norm(std::int64_t width) {
    return {std::vector<float>(count(width), 1.0F), std::vector<float>(count(width), 0.0F)};
}

// A layer as `torch.nn.Linear` initialises one: weights of variance 1 / (3 fan-in), biases uniform in
// +-1 / sqrt(fan-in).
class BenignLayer {
public:
    BenignLayer(std::uint64_t seed, int layer) : seed_(seed), layer_(layer) {}

    [[nodiscard]] std::vector<float> weight(RandomPurpose purpose, std::int64_t rows,
                                            std::int64_t columns) const {
        const double scale = 1.0 / std::sqrt(3.0 * static_cast<double>(columns));
        std::vector<float> values =
            normal_values(RandomSequence(seed_, purpose, layer_), count(rows * columns));
        for (float& value : values) {
            value = static_cast<float>(static_cast<double>(value) * scale);
        }
        return values;
    }

    [[nodiscard]] std::vector<float> bias(RandomPurpose purpose, std::int64_t size,
                                          std::int64_t fan_in) const {
        const double scale = 1.0 / std::sqrt(static_cast<double>(fan_in));
        const RandomSequence random(seed_, purpose, layer_);
        std::vector<float> values(count(size));
        for (std::size_t index = 0; index < values.size(); ++index) {
            values[index] = static_cast<float>((2 * random.uniform(index) - 1) * scale);
        }
        return values;
    }

private:
    std::uint64_t seed_;
    int layer_;
};

BlockWeights benign_block(const SyntheticModel& model, int layer) {
    const BenignLayer make(model.seed, layer);
    const std::int64_t width = model.shape.width();
    const std::int64_t hidden = model.shape.mlp_width();
    const auto linear = [&](RandomPurpose weight, RandomPurpose bias, std::int64_t rows,
                            std::int64_t columns) {
        return Linear{make.weight(weight, rows, columns), make.bias(bias, rows, columns)};
    };
    return {
        .attention_norm = unit_norm(width),
        .attention = {.query = linear(RandomPurpose::query_weight, RandomPurpose::query_bias, width, width),
                      .key = {make.weight(RandomPurpose::key_weight, width, width), {}},
                      .value = linear(RandomPurpose::value_weight, RandomPurpose::value_bias, width, width),
                      .output =
                          linear(RandomPurpose::output_weight, RandomPurpose::output_bias, width, width)},
        .mlp_norm = unit_norm(width),
        .fc1 = linear(RandomPurpose::fc1_weight, RandomPurpose::fc1_bias, hidden, width),
        .fc2 = linear(RandomPurpose::fc2_weight, RandomPurpose::fc2_bias, width, hidden)};
}

constexpr std::array<std::string_view, 2> profile_names{"hard", "benign"};

}  // namespace

std::string_view name(Profile profile) {
    return profile_names[static_cast<std::size_t>(profile)];
}

std::optional<Profile> parse_profile(std::string_view name) {
    for (const Profile profile : {Profile::hard, Profile::benign}) {
        if (datasets::name(profile) == name) {
            return profile;
        }
    }
    return std::nullopt;
}

std::vector<float> synthetic_embedding(const SyntheticModel& model) {
    require_valid(model);
    if (model.profile == Profile::benign) {
        const RandomSequence random(model.seed, RandomPurpose::frame_noise, 0);
        return normal_values(random, count(model.shape.context * model.shape.width()));
    }
    return hard_embedding(model.seed, model.shape);
}

BlockWeights synthetic_block(const SyntheticModel& model, int layer) {
    require_valid(model);
    if (layer < 0 || layer >= model.layers) {
        throw std::invalid_argument("the synthetic model has no layer " + std::to_string(layer));
    }
    return model.profile == Profile::benign ? benign_block(model, layer) : HardLayer(model, layer).weights();
}

Norm synthetic_final_norm(const SyntheticModel& model) {
    require_valid(model);
    if (model.profile == Profile::benign) {
        return unit_norm(model.shape.width());
    }
    const RandomSequence random(model.seed, RandomPurpose::final_norm_gain, 0);
    Norm norm;
    for (std::size_t channel = 0; channel < count(model.shape.width()); ++channel) {
        norm.gain.push_back(static_cast<float>(
            final_norm_gain * power_of_two(final_norm_gain_spread * random.normal(channel))));
    }
    norm.bias = HardLayer(model, 0).bias(final_norm_bias, model.shape.width());
    return norm;
}

std::uint64_t fingerprint(const std::vector<float>& tensor, std::uint64_t hash) {
    constexpr std::uint64_t prime = 1099511628211ULL;
    for (const float value : tensor) {
        hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * prime;
    }
    return hash;
}

}  // namespace datasets
