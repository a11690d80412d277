// 2^x, sine and Whisper's positional sinusoids as fixed-point integer polynomials: the mathematical library's
// own functions differ between platforms in the last bit.
#pragma once

#include <cstdint>
#include <vector>

namespace datasets {

// 2^exponent for an exponent clipped to [-16, 16]; relative error below 1.2e-4.
double power_of_two(double exponent);

// sin and cos of 2 pi phase / 2^32; absolute error below 4e-6.
double sine(std::uint32_t phase);
double cosine(std::uint32_t phase);

// The phases of Whisper's positional embedding (`sinusoids` in openai/whisper model.py): frequency i of width
// / 2 is 10000^(-i / (width / 2 - 1)) radians per frame.
class Sinusoids {
public:
    explicit Sinusoids(std::int64_t width);

    [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(turns_per_frame_.size()); }

    // Phase in turns / 2^32 of a frequency at a frame; `frame` may be negative.
    [[nodiscard]] std::uint32_t phase(std::int64_t frequency, std::int64_t frame) const;

    // Element of the embedding: sine in the lower half of the channels, cosine in the upper.
    [[nodiscard]] double value(std::int64_t channel, std::int64_t frame) const;

private:
    std::vector<std::uint64_t> turns_per_frame_;  // in 2^-64 turns
};

}  // namespace datasets
