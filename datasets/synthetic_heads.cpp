// Builds query and key projections head by head: a positional, a constant and a random part, mixed within the
// head.
#include "datasets/synthetic_heads.hpp"

#include <span>

#include "datasets/synthetic_random.hpp"
#include "datasets/synthetic_waves.hpp"

namespace datasets {
namespace {

// A read-out occupies two channels (sine, cosine) per frequency; the last two channels of a head are left to
// the constant part and to noise.
constexpr std::int64_t readout_pairs = head_width / 2 - 1;
constexpr std::int64_t readout_frequency_step = 4;
constexpr std::int64_t constant_channel = head_width - 1;

constexpr double constant_bias_gain = 4.0;
constexpr double query_bias_noise = 0.3;
constexpr double massive_noise_gain = 0.25;

// Weights of the massive channels, by index in `massive_channels`, in the key read-outs.
constexpr std::size_t steady_channel = 2;
constexpr double steady_readout = 0.35;
constexpr double first_register_readout = 0.133;
constexpr double second_register_readout = -0.066;

constexpr double hadamard_scale = 0.125;  // 1 / sqrt(64): makes the transform orthogonal

// The unmixed projections in double.
struct Projections {
    std::vector<double> query;       // [width, width]
    std::vector<double> key;         // [width, width]
    std::vector<double> query_bias;  // [width]
};

class HeadBuilder {
public:
    HeadBuilder(std::uint64_t seed, int layer, LayerShape shape, const std::vector<float>& norm_gain)
        : layer_(layer),
          width_(shape.width()),
          scale_(width_),
          sinusoids_(width_),
          norm_gain_(norm_gain),
          query_noise_(seed, RandomPurpose::query_weight, layer),
          key_noise_(seed, RandomPurpose::key_weight, layer),
          bias_noise_(seed, RandomPurpose::query_bias, layer),
          shared_(seed, RandomPurpose::shared_projection, layer) {
        const auto size = static_cast<std::size_t>(width_);
        projections_ = {std::vector<double>(size * size), std::vector<double>(size * size),
                        std::vector<double>(size)};
    }

    void build(int head) {
        const HeadType& type = head_type(head, layer_);
        const std::int64_t first_row = std::int64_t{head} * head_width;
        if (type.position != 0) {
            add_position(type, first_row);
        }
        add_constant(type, first_row + constant_channel);
        add_noise(type, first_row);
    }

    [[nodiscard]] const Projections& projections() const { return projections_; }

private:
    [[nodiscard]] std::size_t at(std::int64_t row, std::int64_t channel) const {
        return static_cast<std::size_t>(row * width_ + channel);
    }

    [[nodiscard]] double gain(std::int64_t channel) const {
        return static_cast<double>(norm_gain_[static_cast<std::size_t>(channel)]);
    }

    // query = (sin a, cos a) turned by the offset and key = (sin b, cos b), so that query . key = cos(a - b +
    // offset).
    void add_position(const HeadType& type, std::int64_t first_row) {
        for (std::int64_t pair = 0; pair < readout_pairs; ++pair) {
            const std::int64_t frequency =
                scale_.frequency(type.first_frequency + pair * readout_frequency_step);
            const std::int64_t sine_channel = frequency;
            const std::int64_t cosine_channel = frequency + sinusoids_.count();
            const std::int64_t row = first_row + 2 * pair;
            const std::uint32_t turn = sinusoids_.phase(frequency, type.offset);
            const double turn_cosine = cosine(turn);
            const double turn_sine = sine(turn);
            const double sine_gain = gain(sine_channel);
            const double cosine_gain = gain(cosine_channel);
            projections_.query[at(row, sine_channel)] += type.position * turn_cosine / sine_gain;
            projections_.query[at(row, cosine_channel)] += type.position * turn_sine / cosine_gain;
            projections_.query[at(row + 1, sine_channel)] -= type.position * turn_sine / sine_gain;
            projections_.query[at(row + 1, cosine_channel)] += type.position * turn_cosine / cosine_gain;
            projections_.key[at(row, sine_channel)] += type.position / sine_gain;
            projections_.key[at(row + 1, cosine_channel)] += type.position / cosine_gain;
        }
    }

    void add_constant(const HeadType& type, std::int64_t row) {
        const auto read = [&](std::size_t massive_index, double weight) {
            const std::int64_t channel = scale_.massive(massive_index);
            projections_.key[at(row, channel)] += weight * scale_.weight() / gain(channel);
        };
        if (type.key_readout == KeyReadout::registers) {
            read(0, first_register_readout);
            read(1, second_register_readout);
        } else {
            read(steady_channel, steady_readout);
        }
        projections_.query_bias[static_cast<std::size_t>(row)] += type.constant * constant_bias_gain;
    }

    void add_noise(const HeadType& type, std::int64_t first_row) {
        for (std::int64_t row = first_row; row < first_row + head_width; ++row) {
            for (std::int64_t channel = 0; channel < width_; ++channel) {
                const std::size_t index = at(row, channel);
                const double scale =
                    (scale_.is_massive(channel) ? massive_noise_gain : 1.0) * scale_.weight();
                const double content = type.content * shared_.normal(index);
                projections_.query[index] += scale * (type.noise * query_noise_.normal(index) + content);
                projections_.key[index] += scale * (type.noise * key_noise_.normal(index) + content);
            }
            const auto index = static_cast<std::size_t>(row);
            projections_.query_bias[index] += query_bias_noise * bias_noise_.heavy_tailed(index);
        }
    }

    int layer_;
    std::int64_t width_;
    ChannelScale scale_;
    Sinusoids sinusoids_;
    const std::vector<float>& norm_gain_;
    RandomSequence query_noise_;
    RandomSequence key_noise_;
    RandomSequence bias_noise_;
    RandomSequence shared_;
    Projections projections_;
};

// The unnormalised Walsh-Hadamard transform.
void hadamard(std::span<double, head_width> values) {
    for (std::size_t span = 1; span < values.size(); span *= 2) {
        for (std::size_t first = 0; first < values.size(); first += 2 * span) {
            for (std::size_t index = first; index < first + span; ++index) {
                const double left = values[index];
                const double right = values[index + span];
                values[index] = left + right;
                values[index + span] = left - right;
            }
        }
    }
}

// Mixes the channels of every head of [rows, columns] by the orthogonal Hadamard matrix, which leaves query .
// key as it is but spreads each part over all 64 channels, and rounds to fp32.
std::vector<float> mixed(const std::vector<double>& values, std::int64_t columns) {
    std::vector<float> result(values.size());
    const auto stride = static_cast<std::size_t>(columns);
    constexpr std::size_t channels = head_width;
    for (std::size_t head_begin = 0; head_begin < values.size(); head_begin += channels * stride) {
        for (std::size_t column = 0; column < stride; ++column) {
            std::array<double, channels> column_values{};
            for (std::size_t channel = 0; channel < channels; ++channel) {
                column_values[channel] = values[head_begin + channel * stride + column];
            }
            hadamard(column_values);
            for (std::size_t channel = 0; channel < channels; ++channel) {
                result[head_begin + channel * stride + column] =
                    static_cast<float>(column_values[channel] * hadamard_scale);
            }
        }
    }
    return result;
}

}  // namespace

QueryKey hard_query_key(std::uint64_t seed, int layer, LayerShape shape,
                        const std::vector<float>& norm_gain) {
    HeadBuilder builder(seed, layer, shape, norm_gain);
    for (int head = 0; head < shape.heads; ++head) {
        builder.build(head);
    }
    const Projections& projections = builder.projections();
    return {.query = {mixed(projections.query, shape.width()), mixed(projections.query_bias, 1)},
            .key = {mixed(projections.key, shape.width()), {}}};
}

}  // namespace datasets
