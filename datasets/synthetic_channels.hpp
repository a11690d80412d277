// The residual stream of the synthetic model: its massive channels, and how a recipe tuned for Whisper base
// (width 512) extends to the other sizes. At width 512 every scale is exactly 1.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace datasets {

// A channel that is an order of magnitude larger than the others in every row, as trained transformers have
// them (Sun et al., "Massive Activations in Large Language Models", 2024).
struct MassiveChannel {
    std::int64_t base_channel;  // at width 512
    double mean;                // at width 512
    bool steady;                // keeps its size in register rows
};

inline constexpr std::array<MassiveChannel, 4> massive_channels{{
    {.base_channel = 17, .mean = 16, .steady = false},
    {.base_channel = 201, .mean = -11, .steady = false},
    {.base_channel = 290, .mean = 7, .steady = true},
    {.base_channel = 388, .mean = -5, .steady = false},
}};

// The recipe's channels and magnitudes at a given width.
class ChannelScale {
public:
    static constexpr std::int64_t base_width = 512;

    explicit ChannelScale(std::int64_t width) : width_(width) {}

    [[nodiscard]] std::int64_t width() const { return width_; }

    // The channel nearest to the same fraction of the width. To nearest, because this keeps the massive
    // channels between the frequencies that the heads read, as at the base width.
    [[nodiscard]] std::int64_t channel(std::int64_t base_channel) const {
        return (base_channel * width_ + base_width / 2) / base_width;
    }

    // The positional frequency next to that of Whisper base.
    [[nodiscard]] std::int64_t frequency(std::int64_t base_frequency) const {
        const std::int64_t base_last = base_width / 2 - 1;
        return (base_frequency * (width_ / 2 - 1) + base_last / 2) / base_last;
    }

    [[nodiscard]] std::int64_t massive(std::size_t index) const {
        return channel(massive_channels[index].base_channel);
    }

    [[nodiscard]] bool is_massive(std::int64_t channel) const {
        for (std::size_t index = 0; index < massive_channels.size(); ++index) {
            if (channel == massive(index)) {
                return true;
            }
        }
        return false;
    }

    // Keeps the massive channels' share of a row's energy.
    [[nodiscard]] double massive_amplitude() const {
        return std::sqrt(static_cast<double>(width_) / static_cast<double>(base_width));
    }

    // Keeps the variance of a dot product over the width (or a multiple of it).
    [[nodiscard]] double weight() const { return 1.0 / massive_amplitude(); }

private:
    std::int64_t width_;
};

}  // namespace datasets
