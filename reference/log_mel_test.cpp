#include "reference/log_mel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwy/highway.h>
#include <hwy/targets.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <numeric>
#include <random>

#include "datasets/audio.hpp"
#include "datasets/sha256.hpp"
#include "datasets/synthetic_speech.hpp"
#include "reference/fourier.hpp"

namespace reference {
namespace {

constexpr std::int64_t window_samples = datasets::window_samples;

std::vector<float> noise(std::int64_t samples, float amplitude, unsigned seed) {
    std::minstd_rand random(seed);
    std::uniform_real_distribution<float> distribution(-amplitude, amplitude);
    std::vector<float> values(static_cast<std::size_t>(samples));
    std::ranges::generate(values, [&] { return distribution(random); });
    return values;
}

std::vector<float> sine(double frequency_hz, std::int64_t samples) {
    std::vector<float> values(static_cast<std::size_t>(samples));
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(
            0.5 * std::sin(2 * std::numbers::pi * frequency_hz * static_cast<double>(i) / 16000));
    }
    return values;
}

// Written apart from the code: every sum as it stands in the definition, all in fp64, the filterbank from its
// formula over continuous frequency. [frame, mel].
std::vector<double> plain_log_mel(std::span<const float> x, int mels, std::int64_t frames) {
    const auto size = static_cast<std::int64_t>(x.size());
    const auto sample = [&](std::int64_t i) {
        const std::int64_t inside = i < 0 ? -i : (i >= size ? 2 * (size - 1) - i : i);
        return double{x[static_cast<std::size_t>(inside)]};
    };
    const auto to_hertz = [](double mel) {
        return mel < 15 ? mel * 200 / 3 : 1000 * std::pow(6.4, (mel - 15) / 27);
    };
    const double top = 15 + 27 * std::log(8) / std::log(6.4);
    std::vector<std::complex<double>> circle(400);
    for (std::size_t i = 0; i < 400; ++i) {
        circle[i] = std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(i) / 400);
    }
    std::vector<double> result;
    for (std::int64_t frame = 0; frame < frames; ++frame) {
        std::vector<double> power(201);
        for (std::size_t bin = 0; bin < 201; ++bin) {
            std::complex<double> sum;
            for (std::size_t n = 0; n < 400; ++n) {
                const double window = (1 - circle[n].real()) / 2;
                sum += window * sample(frame * 160 - 200 + std::int64_t(n)) * circle[bin * n % 400];
            }
            power[bin] = std::norm(sum);
        }
        for (int mel = 0; mel < mels; ++mel) {
            const double low = to_hertz(top * mel / (mels + 1));
            const double centre = to_hertz(top * (mel + 1) / (mels + 1));
            const double high = to_hertz(top * (mel + 2) / (mels + 1));
            double sum = 0;
            for (std::size_t bin = 0; bin < 201; ++bin) {
                const double f = 40 * static_cast<double>(bin);
                const double triangle =
                    f < centre ? (f - low) / (centre - low) : (high - f) / (high - centre);
                sum += std::max(triangle, 0.0) * 2 / (high - low) * power[bin];
            }
            result.push_back(std::log10(std::max(sum, 1e-10)));
        }
    }
    const double largest = *std::ranges::max_element(result);
    for (double& value : result) {
        value = (std::max(value, largest - 8) + 4) / 4;
    }
    return result;
}

double largest_difference(const LogMel& got, const std::vector<double>& expected) {
    EXPECT_EQ(got.values.size(), expected.size());
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double difference = std::abs(double{got.values[i]} - expected[i]);
        worst = difference <= worst ? worst : difference;  // a NaN is the worst
    }
    return worst;
}

void expect_filterbank(int mels, double sum, std::int64_t present, const std::string& sha256) {
    std::vector<float> bank = mel_filterbank(mels);
    ASSERT_EQ(std::ssize(bank), mels * fourier_bins);
    EXPECT_NEAR(std::accumulate(bank.begin(), bank.end(), 0.0), sum, 2e-7);
    EXPECT_EQ(std::ranges::count_if(bank, [](float weight) { return weight > 0; }), present);
    EXPECT_EQ(std::ranges::count_if(bank, [](float weight) { return weight < 0; }), 0);
    // In the asset the weight of bin 0 for the first mel is a zero with a minus sign.
    EXPECT_EQ(bank[0], 0.0F);
    bank[0] = -0.0F;
    EXPECT_EQ(datasets::sha256_hex(std::as_bytes(std::span(bank))).substr(0, 16), sha256);
}

std::vector<std::int64_t> bins_of_row(const std::vector<float>& bank, std::int64_t row) {
    std::vector<std::int64_t> bins;
    for (std::int64_t bin = 0; bin < fourier_bins; ++bin) {
        if (bank[static_cast<std::size_t>(row * fourier_bins + bin)] != 0) {
            bins.push_back(bin);
        }
    }
    return bins;
}

// Facts of Whisper's own asset, mel_filters.npz.
TEST(LogMel, FilterbankIsThatOfWhisper) {
    expect_filterbank(80, 1.99902415, 391, "4f2701b1d287d74a");
    expect_filterbank(128, 3.19098544, 394, "2a5f9822897750e0");
    const std::vector<float> bank80 = mel_filterbank(80);
    EXPECT_NEAR(*std::ranges::max_element(bank80), 0.0258806832F, 2e-9F);
    EXPECT_THAT(bins_of_row(bank80, 0), testing::ElementsAre(1));
    EXPECT_NEAR(bank80[1], 0.0248625949F, 2e-9F);
    const auto last80 = bins_of_row(bank80, 79);
    EXPECT_EQ(last80.front(), 186);
    EXPECT_EQ(last80.back(), 199);
    const std::vector<float> bank128 = mel_filterbank(128);
    EXPECT_THAT(bins_of_row(bank128, 0), testing::ElementsAre(1));
    EXPECT_NEAR(bank128[1], 0.0123739867F, 2e-9F);
    const auto last128 = bins_of_row(bank128, 127);
    EXPECT_EQ(last128.front(), 191);
    EXPECT_EQ(last128.back(), 199);
}

struct Vector {
    std::string name;
    std::vector<float> samples;
    double least, largest, mean;
    double at_0_0, at_10_100, at_40_500, at_79_1000;  // [mel, frame]
};

TEST(LogMel, KnownVectors) {
    std::vector<float> impulse(window_samples);
    impulse[16000] = 1;
    const std::vector<Vector> vectors{
        {"zeros", std::vector<float>(window_samples), -1.5, -1.5, -1.5, -1.5, -1.5, -1.5, -1.5},
        {"sine", sine(440, window_samples), -0.561796, 1.438204, -0.46758197, 0.983279, 1.348738, -0.561796,
         -0.561796},
        {"impulse", impulse, -1.392209, 0.607791, -1.39055771, -1.392209, 0.598887, -1.392209, -1.392209},
    };
    for (const Vector& vector : vectors) {
        SCOPED_TRACE(vector.name);
        const LogMel mel = log_mel(vector.samples, 80);
        ASSERT_EQ(mel.mels, 80);
        ASSERT_EQ(mel.frames, 3000);
        ASSERT_EQ(mel.values.size(), 240000U);
        EXPECT_NEAR(double{*std::ranges::min_element(mel.values)}, vector.least, 1e-6);
        EXPECT_NEAR(double{*std::ranges::max_element(mel.values)}, vector.largest, 1e-6);
        EXPECT_NEAR(std::accumulate(mel.values.begin(), mel.values.end(), 0.0) / 240000, vector.mean, 1e-6);
        EXPECT_NEAR(double{mel.at(0, 0)}, vector.at_0_0, 2e-6);
        EXPECT_NEAR(double{mel.at(10, 100)}, vector.at_10_100, 2e-6);
        EXPECT_NEAR(double{mel.at(40, 500)}, vector.at_40_500, 2e-6);
        EXPECT_NEAR(double{mel.at(79, 1000)}, vector.at_79_1000, 2e-6);
    }
}

// Every element of inputs of many kinds and lengths, both variants, against sums as they are defined. The
// tones are the hard ones: most of their spectrum lies at the floor, 8 decades below the largest power.
TEST(LogMel, IsThePlainFourierTransform) {
    const std::vector<float> speech = datasets::synthetic_speech(4, 1).samples;
    std::vector<float> loud_then_faint = noise(16000, 1, 2);
    std::ranges::for_each(std::span(loud_then_faint).subspan(6000), [](float& v) { v *= 3e-4F; });
    const std::vector<std::vector<float>> inputs{speech,
                                                 loud_then_faint,
                                                 sine(440, 8000),
                                                 sine(7990, 8000),
                                                 noise(201, 0.5F, 3),
                                                 noise(399, 0.5F, 4),
                                                 noise(479, 1e-4F, 5),
                                                 noise(5121, 0.5F, 6)};
    double worst = 0;
    for (const auto& samples : inputs) {
        for (const int mels : {80, 128}) {
            const std::int64_t hops = std::ssize(samples) / 160;
            const double dropped =
                largest_difference(log_mel(samples, mels), plain_log_mel(samples, mels, hops));
            const double kept = largest_difference(log_mel(samples, mels, LastFrame::kept),
                                                   plain_log_mel(samples, mels, hops + 1));
            EXPECT_LE(std::max(dropped, kept), 1e-6) << samples.size() << " samples, " << mels << " mels";
            worst = std::max({worst, dropped, kept});
        }
    }
    RecordProperty("largest_difference", testing::PrintToString(worst));
    EXPECT_GE(worst, 1e-8);  // fp32 cannot do better: something was compared
}

TEST(LogMel, FramesOfBothVariants) {
    const std::vector<float> samples = noise(window_samples, 0.5F, 7);
    const LogMel dropped = log_mel(samples, 80);
    const LogMel kept = log_mel(samples, 80, LastFrame::kept);
    EXPECT_EQ(dropped.frames, 3000);
    ASSERT_EQ(kept.frames, 3001);
    // Noise never comes near the floor, so that only the last frame differs.
    EXPECT_TRUE(std::ranges::equal(dropped.values, std::span(kept.values).first(dropped.values.size())));
    EXPECT_EQ(log_mel(std::span(samples).first(176000), 80).frames, 1100);
    EXPECT_EQ(log_mel(std::span(samples).first(201), 80).frames, 1);
    EXPECT_EQ(log_mel(std::span(samples).first(319), 80, LastFrame::kept).frames, 2);
}

TEST(LogMel, IsAtMostTwoHigh) {
    for (unsigned seed = 1; seed <= 60; ++seed) {
        std::vector<float> samples(4000);
        const float amplitude = std::pow(10.0F, -4 + 0.1F * static_cast<float>(seed));
        const std::vector<float> burst = noise(900, amplitude, seed);
        std::ranges::copy(burst, samples.begin() + 500);
        const LogMel mel = log_mel(samples, 80);
        const double least = *std::ranges::min_element(mel.values);
        const double largest = *std::ranges::max_element(mel.values);
        EXPECT_LE(largest - least, 2.0) << seed;
        EXPECT_GE(least, -1.5);
        if (largest > 0.6) {
            EXPECT_GE(largest - least, 2.0 - 1e-6) << seed;
        }
    }
}

TEST(LogMel, DoesNotHearTheSign) {
    std::vector<float> samples = datasets::synthetic_speech(3, 2).samples;
    const LogMel mel = log_mel(samples, 80);
    std::ranges::for_each(samples, [](float& sample) { sample = -sample; });
    EXPECT_EQ(log_mel(samples, 80).values, mel.values);
}

TEST(LogMel, TenTimesAsLoudIsHalfHigher) {
    std::vector<float> samples = noise(16000, 0.05F, 8);
    const LogMel mel = log_mel(samples, 80);
    std::ranges::for_each(samples, [](float& sample) { sample *= 10; });
    const LogMel louder = log_mel(samples, 80);
    for (std::size_t i = 0; i < mel.values.size(); ++i) {
        ASSERT_NEAR(louder.values[i] - mel.values[i], 0.5F, 1e-6F);
    }
}

// A shift by one hop moves the frames and changes no bit of those that see the same samples.
TEST(LogMel, MovesWithTheSignal) {
    const std::vector<float> samples = noise(16000, 0.5F, 9);
    const LogMel whole = log_mel(samples, 80, LastFrame::kept);
    for (const std::int64_t hops : {1, 3, 33}) {
        const LogMel later =
            log_mel(std::span(samples).subspan(std::size_t(hops) * 160), 80, LastFrame::kept);
        ASSERT_EQ(later.frames, whole.frames - hops);
        for (std::int64_t frame = 2; frame < later.frames; ++frame) {
            for (int mel = 0; mel < 80; ++mel) {
                ASSERT_EQ(later.at(mel, frame), whole.at(mel, frame + hops));
            }
        }
    }
}

TEST(LogMel, SameBitsForEveryNumberOfThreads) {
    const std::vector<float> samples = datasets::synthetic_speech(12, 3).samples;
    const LogMel expected = log_mel(samples, 80);
    for (const std::size_t threads : {1U, 2U, 3U, 8U}) {
        const tbb::global_control control(tbb::global_control::max_allowed_parallelism, threads);
        EXPECT_EQ(log_mel(samples, 80).values, expected.values) << threads;
    }
}

TEST(LogMel, SameBitsWithEveryInstructionSet) {
    const std::vector<float> samples = datasets::synthetic_speech(3, 4).samples;
    const LogMel expected = log_mel(samples, 128, LastFrame::kept);
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        EXPECT_EQ(log_mel(samples, 128, LastFrame::kept).values, expected.values) << hwy::TargetName(target);
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// Parseval: the squares of a frame are its power, whatever the number of frames at once.
TEST(PowerSpectra, KeepTheEnergyOfEachFrame) {
    const std::vector<double> window(fourier_samples, 1.0);
    for (const std::int64_t frames : {1, 2, 3, 4, 5, 7, 8, 9, 33}) {
        const std::vector<float> samples = noise(160 * (frames - 1) + 400, 1, unsigned(frames));
        std::vector<double> power(static_cast<std::size_t>(fourier_bins * frames), -1);
        power_spectra(samples, window, frames, power);
        for (std::int64_t frame = 0; frame < frames; ++frame) {
            double energy = 0;
            for (const float sample : std::span(samples).subspan(std::size_t(frame) * 160, 400)) {
                energy += double{sample} * double{sample};
            }
            double sum = 0;
            for (std::int64_t bin = 0; bin < fourier_bins; ++bin) {
                const double times = bin == 0 || bin == 200 ? 1 : 2;
                sum += times * power[static_cast<std::size_t>(bin * frames + frame)];
            }
            EXPECT_NEAR(sum / 400, energy, 1e-12 * energy) << frames << " " << frame;
        }
    }
}

TEST(LogMel, RefusesWhatItCannotDo) {
    EXPECT_THROW(static_cast<void>(log_mel(std::vector<float>(200), 80)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(log_mel({}, 80)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(log_mel(std::vector<float>(400), 0)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(mel_filterbank(129)), std::invalid_argument);
}

}  // namespace
}  // namespace reference
