#include "datasets/resampler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "datasets/audio.hpp"

namespace datasets {
namespace {

constexpr int rates_hz[] = {8000, 11025, 22050, 44100, 48000, 96000};

std::vector<float> resampled(int rate_hz, std::span<const float> samples, std::size_t piece = 8192) {
    Resampler resampler(rate_hz);
    std::vector<float> out;
    for (std::size_t begin = 0; begin < samples.size(); begin += piece) {
        resampler.push(samples.subspan(begin, std::min(piece, samples.size() - begin)), out);
    }
    resampler.finish(out);
    return out;
}

std::vector<float> tone(double frequency_hz, int rate_hz) {
    std::vector<float> samples(static_cast<std::size_t>(rate_hz));
    for (std::size_t i = 0; i < samples.size(); ++i) {
        samples[i] = static_cast<float>(
            0.5 * std::sin(2 * std::numbers::pi * frequency_hz * static_cast<double>(i) / rate_hz));
    }
    return samples;
}

// What is left of a tone of 0.5, in dB: of the tone itself, and of everything else. Away from the ends,
// under a Hann window.
struct Remains {
    double tone_db = 0;
    double rest_db = 0;
};

Remains remains(int rate_hz, double frequency_hz) {
    const std::vector<float> y = resampled(rate_hz, tone(frequency_hz, rate_hz));
    const std::size_t edge = 2000;
    const double span = static_cast<double>(y.size() - 2 * edge);
    const auto angle = [&](std::size_t i) {
        return 2 * std::numbers::pi * frequency_hz * static_cast<double>(i) / sample_rate_hz;
    };
    const auto weight = [&](std::size_t i) {
        return 1 - std::cos(2 * std::numbers::pi * static_cast<double>(i - edge) / span);
    };
    double in_phase = 0;
    for (std::size_t i = edge; i + edge < y.size(); ++i) {
        in_phase += 2 / span * weight(i) * double{y[i]} * std::sin(angle(i));
    }
    // A tone above 8 kHz has no place at 16 kHz: all that comes out is rest.
    const double kept = frequency_hz < 8000 ? in_phase : 0;
    double rest = 0;
    for (std::size_t i = edge; i + edge < y.size(); ++i) {
        rest += weight(i) / span * std::pow(double{y[i]} - kept * std::sin(angle(i)), 2);
    }
    return {20 * std::log10(std::abs(in_phase) / 0.5), 10 * std::log10(rest / 0.125)};
}

// Level, phase (only the sine in phase counts) and purity of tones up to 91% of the lower Nyquist frequency.
TEST(Resampler, KeepsWhatIsHeard) {
    for (const int rate_hz : rates_hz) {
        const double nyquist_hz = std::min(rate_hz, sample_rate_hz) / 2.0;
        for (const double share : {0.05, 0.13, 0.4, 0.63, 0.8, 0.91}) {
            const double frequency_hz = std::round(share * nyquist_hz);
            SCOPED_TRACE(std::to_string(rate_hz) + " " + std::to_string(frequency_hz));
            const Remains got = remains(rate_hz, frequency_hz);
            EXPECT_NEAR(got.tone_db, 0, 0.01);
            EXPECT_LE(got.rest_db, -140);
        }
    }
}

TEST(Resampler, LetsNothingFoldBack) {
    for (const int rate_hz : {22050, 44100, 48000, 96000}) {
        for (const double frequency_hz :
             {8050.0, 8100.0, 8500.0, 9000.0, 10900.0, 12000.0, 16000.0, 20000.0}) {
            if (frequency_hz < rate_hz / 2.0) {
                EXPECT_LE(remains(rate_hz, frequency_hz).rest_db, -140) << rate_hz << " " << frequency_hz;
            }
        }
    }
}

// An impulse stays where it is: its highest sample to the nearest, its centre to a hundredth.
TEST(Resampler, HasNoDelay) {
    for (const int rate_hz : rates_hz) {
        for (const std::size_t at : {std::size_t(rate_hz) / 4, std::size_t(rate_hz) / 2 + 1}) {
            std::vector<float> impulse(static_cast<std::size_t>(rate_hz));
            impulse[at] = 1;
            const std::vector<float> y = resampled(rate_hz, impulse);
            const double expected = static_cast<double>(at) * sample_rate_hz / rate_hz;
            const auto highest = std::ranges::max_element(y, {}, [](float v) { return std::abs(v); });
            EXPECT_LE(std::abs(static_cast<double>(highest - y.begin()) - expected), 0.5) << rate_hz;
            double first = 0;
            double sum = 0;
            for (std::size_t i = 0; i < y.size(); ++i) {
                first += static_cast<double>(i) * double{y[i]};
                sum += double{y[i]};
            }
            EXPECT_NEAR(first / sum, expected, 0.01) << rate_hz;
        }
    }
}

TEST(Resampler, LengthIsThatOfTheSource) {
    for (const int rate_hz : {4000, 8000, 11025, 22050, 32000, 44100, 44101, 48000, 384000}) {
        for (const std::size_t length : {1U, 2U, 100U, 4095U, 4096U, 30011U}) {
            const std::vector<float> zeros(length);
            const double expected = static_cast<double>(length) * sample_rate_hz / rate_hz;
            EXPECT_NEAR(static_cast<double>(resampled(rate_hz, zeros).size()), expected, 0.51)
                << rate_hz << " " << length;
        }
    }
}

TEST(Resampler, PiecesDoNotMatter) {
    std::minstd_rand random(3);
    std::vector<float> noise(30000);
    std::ranges::generate(noise, [&] { return static_cast<float>(random()) * 0x1p-31F - 0.5F; });
    for (const int rate_hz : {8000, 44100, 48000}) {
        const std::vector<float> whole = resampled(rate_hz, noise, noise.size());
        for (const std::size_t piece : {std::size_t{1}, std::size_t{997}, std::size_t{4096}}) {
            EXPECT_EQ(resampled(rate_hz, noise, piece), whole) << rate_hz << " " << piece;
        }
    }
}

TEST(Resampler, SixteenKilohertzPassUnchanged) {
    const std::vector<float> samples{0.1F, -0.2F, 1.0F, 0x1p-149F};
    EXPECT_EQ(resampled(16000, samples), samples);
}

}  // namespace
}  // namespace datasets
