#include "datasets/audio.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sndfile.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "datasets/audio_example.hpp"
#include "datasets/sha256.hpp"

namespace datasets {
namespace {

class Audio : public testing::Test {
protected:
    // Writes `samples` (interleaved) through libsndfile.
    std::string encode(const std::string& name, int format, int rate_hz, int channels,
                       const std::vector<float>& samples) {
        SF_INFO info{};
        info.samplerate = rate_hz;
        info.channels = channels;
        info.format = format;
        SNDFILE* sound = sf_open(folder.file(name).c_str(), SFM_WRITE, &info);
        EXPECT_NE(sound, nullptr) << sf_strerror(nullptr);
        EXPECT_EQ(sf_write_float(sound, samples.data(), std::ssize(samples)), std::ssize(samples));
        EXPECT_EQ(sf_close(sound), 0);
        return folder.file(name);
    }
    std::string write(const std::string& name, const WavHeader& header, std::string_view samples) {
        write_bytes(folder.file(name), wav_bytes(header, samples));
        return folder.file(name);
    }

    ScratchFolder folder{"audio-test"};
};

std::vector<float> tone(double frequency_hz, int rate_hz, double seconds) {
    std::vector<float> samples(static_cast<std::size_t>(std::lround(seconds * rate_hz)));
    for (std::size_t i = 0; i < samples.size(); ++i) {
        samples[i] = static_cast<float>(
            0.5 * std::sin(2 * std::numbers::pi * frequency_hz * static_cast<double>(i) / rate_hz));
    }
    return samples;
}

// Root of the mean square difference to a tone of 0.5, away from the ends.
double distance_to_tone(const std::vector<float>& samples, double frequency_hz) {
    const std::vector<float> expected =
        tone(frequency_hz, sample_rate_hz, static_cast<double>(samples.size()) / sample_rate_hz);
    double sum = 0;
    const std::size_t edge = 1600;
    for (std::size_t i = edge; i + edge < samples.size(); ++i) {
        sum += std::pow(double{samples[i]} - double{expected[i]}, 2);
    }
    return std::sqrt(sum / static_cast<double>(samples.size() - 2 * edge));
}

// Every 16-bit value, once: no resampling, no dither, no scaling but 2^-15.
TEST_F(Audio, SixteenBitsAreReadBitExactly) {
    std::vector<std::int16_t> values(65536);
    std::iota(values.begin(), values.end(), std::int16_t{-32768});
    const AudioClip clip = read_audio(write("every value.wav", {}, bytes_of(values)));
    ASSERT_EQ(clip.samples.size(), values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(clip.samples[i], static_cast<float>(values[i]) / 32768.0F);
    }
    EXPECT_EQ(clip.id, "every value");
    EXPECT_DOUBLE_EQ(clip.seconds, 4.096);
    const std::string bytes = read_bytes(folder.file("every value.wav"));
    EXPECT_EQ(clip.sha256, sha256_hex(std::as_bytes(std::span(bytes))));
    EXPECT_THAT(clip.origin, testing::HasSubstr("16000 Hz, 1 channel"));
}

TEST_F(Audio, OtherPrecisionsAreExactToo) {
    std::string three_bytes;
    std::vector<std::int32_t> four_bytes;
    std::vector<float> real;
    for (std::int32_t value = -8388608; value < 8388608; value += 4099) {
        three_bytes += little_endian(static_cast<std::uint32_t>(value), 3);
        four_bytes.push_back(value * 256);
        real.push_back(static_cast<float>(value) * 0x1p-23F);
    }
    EXPECT_EQ(read_audio(write("24.wav", {.bits = 24}, three_bytes)).samples, real);
    EXPECT_EQ(read_audio(write("32.wav", {.bits = 32}, bytes_of(four_bytes))).samples, real);
    EXPECT_EQ(read_audio(write("f.wav", {.format = 3, .bits = 32}, bytes_of(real))).samples, real);
    const AudioClip eight = read_audio(write("8.wav", {.bits = 8}, std::string("\x00\x80\xff", 3)));
    EXPECT_THAT(eight.samples, testing::ElementsAre(-1.0F, 0.0F, 127.0F / 128.0F));
}

TEST_F(Audio, ChannelsAreAveraged) {
    const std::vector<std::int16_t> stereo{100, 200, -32768, -32768, 32767, -32767, 1, 0};
    const AudioClip clip = read_audio(write("stereo.wav", {.channels = 2}, bytes_of(stereo)));
    EXPECT_THAT(clip.samples, testing::ElementsAre(150.0F / 32768, -1.0F, 0.0F, 0.5F / 32768));
    EXPECT_THAT(clip.origin, testing::HasSubstr("2 channels, averaged"));
    const std::vector<std::int16_t> six{6, 12, 18, 24, 30, 36};
    EXPECT_THAT(read_audio(write("six.wav", {.channels = 6}, bytes_of(six))).samples,
                testing::ElementsAre(21.0F / 32768));
}

TEST_F(Audio, UnknownChunksAreSkipped) {
    const std::string list = "LIST" + little_endian(5, 4) + std::string("INFO\1\0", 6);
    const std::vector<std::int16_t> values{1, 2, 3};
    EXPECT_EQ(read_audio(write("list.wav", {.extra_chunk = list}, bytes_of(values))).samples.size(), 3U);
    EXPECT_EQ(read_audio(write("tail.wav", {}, bytes_of(values))).samples.size(), 3U);
    write_bytes(folder.file("tail.wav"),
                wav_bytes({.data_bytes = 6}, bytes_of(values) + "LIST" + little_endian(4, 4) + "INFO"));
    EXPECT_EQ(read_audio(folder.file("tail.wav")).samples.size(), 3U);
}

// The same tone, whatever it is wrapped in.
TEST_F(Audio, ContainersAndRatesGiveTheSameTone) {
    struct Case {
        std::string name;
        int format;
        double tolerance;  // root mean square; the codecs with loss are judged as such
    };
    const std::vector<Case> cases{
        {"pcm.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 2e-5},
        {"wide.rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_24, 1e-6},
        {"extensible.wav", SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 1e-6},
        {"lossless.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 1e-6},
        {"vorbis.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 2e-2},
    };
    for (const int rate_hz : {8000, 11025, 16000, 22050, 44100, 48000}) {
        for (const Case& c : cases) {
            SCOPED_TRACE(c.name + " " + std::to_string(rate_hz));
            const AudioClip clip =
                read_audio(encode(c.name, c.format, rate_hz, 1, tone(1000, rate_hz, 1.25)));
            EXPECT_NEAR(static_cast<double>(clip.samples.size()), 1.25 * sample_rate_hz, 1);
            EXPECT_NEAR(clip.seconds, 1.25, 1e-4);
            EXPECT_LE(distance_to_tone(clip.samples, 1000), c.tolerance);
        }
    }
    const AudioClip opus =
        read_audio(encode("o.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 1, tone(1000, 48000, 1.25)));
    EXPECT_NEAR(static_cast<double>(opus.samples.size()), 1.25 * sample_rate_hz, 1);
    EXPECT_LE(distance_to_tone(opus.samples, 1000), 2e-2);
}

AudioClip clip_of(std::int64_t samples, float value = 0.5F) {
    AudioClip clip;
    clip.id = "talk";
    clip.samples.assign(static_cast<std::size_t>(samples), value);
    return clip;
}

// Windows lie side by side, cover everything but a silent remainder, and are never empty.
TEST(AudioWindows, CoverTheClip) {
    for (const std::int64_t samples :
         {std::int64_t{1}, std::int64_t{159}, window_samples - 1, window_samples, window_samples + 1,
          window_samples + hop_samples, 2 * window_samples, 3 * window_samples + 7}) {
        SCOPED_TRACE(samples);
        const AudioClip clip = clip_of(samples);
        std::int64_t covered = 0;
        for (const Window& window : windows(clip)) {
            EXPECT_EQ(window.begin, covered);
            EXPECT_GE(window.count, 1);
            EXPECT_LE(window.count, window_samples);
            EXPECT_DOUBLE_EQ(window.audio_seconds, static_cast<double>(window.count) / 16000);
            covered += window.count;
        }
        EXPECT_EQ(covered, samples);
    }
    EXPECT_THROW(static_cast<void>(windows(AudioClip{})), std::invalid_argument);
}

TEST(AudioWindows, AreNamedAfterTheClip) {
    EXPECT_EQ(windows(clip_of(window_samples)).at(0).id, "talk");
    const auto several = windows(clip_of(window_samples + 1));
    ASSERT_EQ(several.size(), 2U);
    EXPECT_EQ(several[0].id, "talk-000");
    EXPECT_EQ(several[1].id, "talk-001");
}

TEST(AudioWindows, ASilentRemainderBelowOneHopMakesNone) {
    const auto count = [](std::int64_t remainder, float value) {
        AudioClip clip = clip_of(window_samples + remainder);
        std::fill(clip.samples.begin() + window_samples, clip.samples.end(), value);
        return windows(clip).size();
    };
    EXPECT_EQ(count(hop_samples - 1, 0), 1U);
    EXPECT_EQ(count(hop_samples - 1, -0x1p-15F), 1U);
    EXPECT_EQ(count(hop_samples - 1, 0x1p-14F), 2U);
    EXPECT_EQ(count(1, 0.1F), 2U);
    EXPECT_EQ(count(hop_samples, 0), 2U);
    EXPECT_EQ(windows(clip_of(10, 0)).size(), 1U);
}

TEST(AudioWindows, ArePaddedWithSilence) {
    const AudioClip clip = clip_of(window_samples + 3);
    const auto all = windows(clip);
    const std::vector<float> last = padded_samples(clip, all.at(1));
    ASSERT_EQ(std::ssize(last), window_samples);
    EXPECT_EQ(last[2], 0.5F);
    EXPECT_EQ(last[3], 0.0F);
    EXPECT_EQ(last.back(), 0.0F);
    EXPECT_EQ(padded_samples(clip, all[0]).back(), 0.5F);
    EXPECT_THROW(static_cast<void>(padded_samples(clip, {.id = "x", .begin = window_samples, .count = 4})),
                 std::invalid_argument);
}

TEST(AudioWindows, ValidFramesCountTheRowsThatSeeAudio) {
    const StemShape halved{.mels = 80, .frames = 3000, .stride = 2, .heads = 8};
    EXPECT_EQ(valid_frames(1, halved), 1);
    EXPECT_EQ(valid_frames(320, halved), 1);
    EXPECT_EQ(valid_frames(321, halved), 2);
    EXPECT_EQ(valid_frames(80000, halved), 250);
    EXPECT_EQ(valid_frames(window_samples - 320, halved), 1499);
    EXPECT_EQ(valid_frames(window_samples, halved), 1500);
    const StemShape whole{.mels = 80, .frames = 3001, .stride = 1, .heads = 8};
    EXPECT_EQ(valid_frames(80000, whole), 500);
    EXPECT_EQ(valid_frames(80001, whole), 501);
    EXPECT_EQ(valid_frames(window_samples, whole), 3000);
    const StemShape shorter{.mels = 80, .frames = 1000, .stride = 2, .heads = 8};
    EXPECT_EQ(valid_frames(window_samples, shorter), 500);
}

}  // namespace
}  // namespace datasets
