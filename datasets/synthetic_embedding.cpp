// Positional sinusoids, a rectified stem, speech over the first part of the clip, registers and massive
// channels.
#include "datasets/synthetic_embedding.hpp"

#include <algorithm>

#include "datasets/synthetic_channels.hpp"
#include "datasets/synthetic_random.hpp"
#include "datasets/synthetic_waves.hpp"

namespace datasets {
namespace {

// Speech: value-noise tracks, each a linear interpolation between random knots of its own period, over the
// first sixth of the clip and at least 5 seconds.
constexpr std::int64_t least_speech_frames = 250;
constexpr std::int64_t speech_divisor = 6;
constexpr std::size_t track_count = 16;
constexpr std::int64_t shortest_track_period = 4;
constexpr std::int64_t track_period_step = 2;
constexpr std::uint64_t track_stride =
    100003;  // separates the knots of the tracks: a prime above any knot index
constexpr double track_gain = 0.35;
constexpr double frame_noise_gain = 0.15;

// Stem: per-channel gain and mean behind a leaky rectifier, as after the convolutions' GELU.
constexpr double stem_gain = 0.30;
constexpr double stem_gain_spread = 0.9;
constexpr double stem_mean_spread = 0.8;
constexpr double leak = 0.12;

// Registers: rows that a trained encoder uses as scratch memory, one of four fixed directions added.
constexpr double register_share = 0.04;
constexpr std::uint64_t register_kind_offset = 1000003;
constexpr std::uint64_t register_kinds = 4;
constexpr double register_gain = 1.5;
constexpr double register_massive_gain = 0.25;
constexpr double massive_jitter = 0.08;  // of the massive channels, from row to row

// The hard profile's residual stream before block 0.
class Embedding {
public:
    Embedding(std::uint64_t seed, LayerShape shape)
        : context_(shape.context),
          scale_(shape.width()),
          sinusoids_(shape.width()),
          speech_track_(seed, RandomPurpose::speech_track, 0),
          frame_noise_(seed, RandomPurpose::frame_noise, 0),
          register_choice_(seed, RandomPurpose::register_choice, 0),
          massive_amplitude_(seed, RandomPurpose::massive_amplitude, 0),
          register_direction_(seed, RandomPurpose::register_direction, 0) {
        const RandomSequence gain(seed, RandomPurpose::stem_gain, 0);
        const RandomSequence mean(seed, RandomPurpose::stem_mean, 0);
        const RandomSequence direction(seed, RandomPurpose::speech_direction, 0);
        for (std::size_t channel = 0; channel < count(scale_.width()); ++channel) {
            gain_.push_back(stem_gain * power_of_two(stem_gain_spread * gain.normal(channel)));
            mean_.push_back(stem_mean_spread * mean.normal(channel));
        }
        for (std::size_t index = 0; index < track_count * count(scale_.width()); ++index) {
            direction_.push_back(direction.normal(index));
        }
    }

    [[nodiscard]] std::vector<float> rows() const {
        std::vector<float> values;
        values.reserve(count(context_ * scale_.width()));
        const std::int64_t speech_frames = std::max(least_speech_frames, context_ / speech_divisor);
        std::vector<double> row(count(scale_.width()));
        for (std::int64_t frame = 0; frame < context_; ++frame) {
            row = mean_;
            if (frame < speech_frames) {
                add_speech(frame, row);
            }
            shape_and_place(frame, row);
            const bool is_register = register_choice_.uniform(count(frame)) < register_share;
            if (is_register) {
                add_register(frame, row);
            }
            add_massive(frame, is_register, row);
            for (const double value : row) {
                values.push_back(static_cast<float>(value));
            }
        }
        return values;
    }

private:
    [[nodiscard]] double track(std::size_t index, std::int64_t frame) const {
        const std::int64_t period =
            shortest_track_period + track_period_step * static_cast<std::int64_t>(index);
        const std::uint64_t knot = index * track_stride + count(frame / period);
        const double fraction = static_cast<double>(frame % period) / static_cast<double>(period);
        return (1.0 - fraction) * speech_track_.normal(knot) + fraction * speech_track_.normal(knot + 1);
    }

    void add_speech(std::int64_t frame, std::vector<double>& row) const {
        const std::size_t width = row.size();
        for (std::size_t index = 0; index < track_count; ++index) {
            const double amplitude = track_gain * track(index, frame);
            for (std::size_t channel = 0; channel < width; ++channel) {
                row[channel] += amplitude * direction_[index * width + channel];
            }
        }
        for (std::size_t channel = 0; channel < width; ++channel) {
            row[channel] += frame_noise_gain * frame_noise_.normal(count(frame) * width + channel);
        }
    }

    void shape_and_place(std::int64_t frame, std::vector<double>& row) const {
        for (std::size_t channel = 0; channel < row.size(); ++channel) {
            const double rectified = row[channel] < 0 ? row[channel] * leak : row[channel];
            row[channel] =
                gain_[channel] * rectified + sinusoids_.value(static_cast<std::int64_t>(channel), frame);
        }
    }

    void add_register(std::int64_t frame, std::vector<double>& row) const {
        const std::uint64_t kind =
            register_choice_.bits24(register_kind_offset + count(frame)) % register_kinds;
        for (std::size_t channel = 0; channel < row.size(); ++channel) {
            row[channel] += register_gain * register_direction_.normal(kind * row.size() + channel);
        }
    }

    void add_massive(std::int64_t frame, bool is_register, std::vector<double>& row) const {
        for (std::size_t index = 0; index < massive_channels.size(); ++index) {
            const MassiveChannel& massive = massive_channels[index];
            const double amplitude = massive.mean * scale_.massive_amplitude() *
                                     (is_register && !massive.steady ? register_massive_gain : 1.0);
            const double jitter =
                massive_jitter * massive_amplitude_.normal(count(frame) * massive_channels.size() + index);
            row[count(scale_.massive(index))] += amplitude * (1.0 + jitter);
        }
    }

    std::int64_t context_;
    ChannelScale scale_;
    Sinusoids sinusoids_;
    RandomSequence speech_track_;
    RandomSequence frame_noise_;
    RandomSequence register_choice_;
    RandomSequence massive_amplitude_;
    RandomSequence register_direction_;
    std::vector<double> gain_;       // [width]
    std::vector<double> mean_;       // [width]
    std::vector<double> direction_;  // [track, width]
};

}  // namespace

std::vector<float> hard_embedding(std::uint64_t seed, LayerShape shape) {
    return Embedding(seed, shape).rows();
}

}  // namespace datasets
