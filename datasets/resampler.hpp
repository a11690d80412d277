// Any rate to 16 kHz. The only door to libsoxr.
//
// Quality: soxr's VHQ recipe, linear phase. By tones at 8, 22.05, 44.1, 48 and 96 kHz
// (resampler_test.cpp): flat to 0.01 dB up to 91% of the lower Nyquist frequency, tones beyond 8 kHz at
// least 140 dB down, no delay. The arithmetic is fp64 between fp32 ends; with soxr's vector code the last
// bit may depend on the processor.
#pragma once

#include <memory>
#include <span>
#include <vector>

namespace datasets {

// Takes a mono signal in any pieces; what comes out does not depend on where the pieces are cut.
class Resampler {
public:
    // Throws std::runtime_error if soxr refuses the rate.
    explicit Resampler(int rate_hz);
    ~Resampler();
    Resampler(const Resampler&) = delete;
    Resampler& operator=(const Resampler&) = delete;

    // Appends to `out` what has become ready. A signal that is at 16 kHz already passes as it is.
    void push(std::span<const float> samples, std::vector<float>& out);

    // Appends the rest; the last call. In all, n samples become n * 16000 / rate, rounded.
    void finish(std::vector<float>& out);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace datasets
