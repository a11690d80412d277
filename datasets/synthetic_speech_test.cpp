#include "datasets/synthetic_speech.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>

#include "datasets/sha256.hpp"
#include "datasets/synthetic.hpp"
#include "datasets/synthetic_fingerprints.hpp"

namespace datasets {
namespace {

double rms(std::span<const float> samples) {
    double sum = 0;
    for (const float sample : samples) {
        sum += double{sample} * double{sample};
    }
    return std::sqrt(sum / static_cast<double>(samples.size()));
}

// The identity of the clip, on every machine and with every compiler.
TEST(SyntheticSpeech, Fingerprints) {
    for (const SpeechFingerprint& frozen : frozen_speech) {
        EXPECT_EQ(fingerprint(synthetic_speech(frozen.seconds, frozen.seed).samples), frozen.value);
    }
}

TEST(SyntheticSpeech, HasItsLengthAndLevel) {
    for (const double seconds : {0.0001, 0.01, 1.0, 5.0, 11.0, 40.0}) {
        for (const std::uint64_t seed : {1U, 2U, 3U}) {
            const AudioClip clip = synthetic_speech(seconds, seed);
            EXPECT_EQ(std::ssize(clip.samples), std::llround(seconds * sample_rate_hz));
            for (const float sample : clip.samples) {
                ASSERT_LE(std::abs(sample), 0.95F + 0x1p-16F);
                ASSERT_EQ(sample * 32768, std::round(sample * 32768)) << "16-bit PCM does not hold it";
            }
            if (seconds >= 5) {
                const double level_db = 20 * std::log10(rms(clip.samples));
                EXPECT_GE(level_db, -24) << seconds << " " << seed;
                EXPECT_LE(level_db, -19.999) << seconds << " " << seed;
            }
        }
    }
}

TEST(SyntheticSpeech, EndsInSilence) {
    const AudioClip clip = synthetic_speech(20, 5);
    const auto tail = std::span(clip.samples).last(sample_rate_hz / 2);
    EXPECT_TRUE(std::ranges::all_of(tail, [](float sample) { return sample == 0; }));
    EXPECT_GT(rms(std::span(clip.samples).first(clip.samples.size() - tail.size()).last(sample_rate_hz / 2)),
              0);
}

// Loud and quiet stretches: pauses 30 dB below the level, as speech has them; and no sound lasts.
TEST(SyntheticSpeech, HasPausesAndChanges) {
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
        const AudioClip clip = synthetic_speech(20, seed);
        constexpr std::size_t piece = 320;
        std::int64_t quiet = 0;
        std::int64_t loud = 0;
        for (std::size_t begin = 0; begin + piece <= clip.samples.size() - 8000; begin += piece) {
            const double level = rms(std::span(clip.samples).subspan(begin, piece));
            quiet += level < 0.1 * std::pow(10.0, -30.0 / 20) ? 1 : 0;
            loud += level > 0.05 ? 1 : 0;
        }
        EXPECT_GE(quiet, 20) << seed;
        EXPECT_GE(loud, 200) << seed;
    }
}

// Voiced stretches repeat with the pitch: somewhere the autocorrelation at a lag of 1/320 to 1/80 s is high;
// in others it is low, where only noise sounds.
TEST(SyntheticSpeech, HasVoiceAndHiss) {
    const AudioClip clip = synthetic_speech(20, 1);
    constexpr std::size_t piece = 640;
    std::int64_t voiced = 0;
    std::int64_t hissing = 0;
    for (std::size_t begin = 0; begin + 2 * piece <= clip.samples.size() - 8000; begin += piece) {
        const auto at = std::span(clip.samples).subspan(begin, 2 * piece);
        if (rms(at) < 0.01) {
            continue;
        }
        double best = 0;
        for (std::size_t lag = 50; lag <= 200; ++lag) {
            double product = 0;
            for (std::size_t i = 0; i < piece; ++i) {
                product += double{at[i]} * double{at[i + lag]};
            }
            best = std::max(best, product / (static_cast<double>(piece) * rms(at.first(piece)) *
                                             (rms(at.subspan(lag, piece)) + 1e-9)));
        }
        voiced += best > 0.8 ? 1 : 0;
        hissing += best < 0.4 ? 1 : 0;
    }
    EXPECT_GE(voiced, 100);
    EXPECT_GE(hissing, 10);
}

TEST(SyntheticSpeech, DependsOnTheSeedAlone) {
    const AudioClip clip = synthetic_speech(2, 9);
    EXPECT_EQ(clip.samples, synthetic_speech(2, 9).samples);
    EXPECT_NE(clip.samples, synthetic_speech(2, 10).samples);
    EXPECT_EQ(clip.id, "synthetic-speech-9");
    EXPECT_EQ(clip.sha256, sha256_hex(std::as_bytes(std::span(clip.samples))));
    EXPECT_DOUBLE_EQ(clip.seconds, 2);
}

TEST(SyntheticSpeech, RefusesImpossibleLengths) {
    for (const double seconds : {0.0, -1.0, 1e-9, 1e6, std::nan(""), HUGE_VAL}) {
        EXPECT_THROW(static_cast<void>(synthetic_speech(seconds, 1)), std::invalid_argument) << seconds;
    }
}

}  // namespace
}  // namespace datasets
