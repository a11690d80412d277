// Audio that is not what it says it is: one clear line each, never a clip.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sndfile.h>

#include <limits>
#include <random>

#include "datasets/audio.hpp"
#include "datasets/audio_example.hpp"
#include "datasets/recording.hpp"

namespace datasets {
namespace {

class AudioRefusal : public testing::Test {
protected:
    // The refusal of a file, or "" where it is read. Every refusal is one line that begins with the file.
    std::string refusal(const std::string& file) {
        try {
            static_cast<void>(read_audio(file));
            return "";
        } catch (const ReadError& error) {
            const std::string line = error.what();
            EXPECT_TRUE(line.starts_with(file)) << line;
            EXPECT_EQ(line.find('\n'), std::string::npos) << line;
            EXPECT_FALSE(error.object.empty());
            return line;
        }
    }
    std::string refusal_of(std::string_view bytes, const std::string& name = "bad.wav") {
        write_bytes(folder.file(name), bytes);
        return refusal(folder.file(name));
    }
    std::string encode(const std::string& name, int format, int channels = 1, int rate_hz = 16000) {
        SF_INFO info{};
        info.samplerate = rate_hz;
        info.channels = channels;
        info.format = format;
        SNDFILE* sound = sf_open(folder.file(name).c_str(), SFM_WRITE, &info);
        EXPECT_NE(sound, nullptr) << sf_strerror(nullptr);
        std::minstd_rand random(1);
        std::vector<float> noise(static_cast<std::size_t>(50000 * channels));
        for (float& sample : noise) {
            sample = static_cast<float>(random()) * 0x1p-32F;
        }
        EXPECT_EQ(sf_write_float(sound, noise.data(), std::ssize(noise)), std::ssize(noise));
        EXPECT_EQ(sf_close(sound), 0);
        return read_bytes(folder.file(name));
    }

    ScratchFolder folder{"audio-refusal-test"};
    const std::string samples = bytes_of(std::vector<std::int16_t>(1000, 7));
};

using testing::AllOf;
using testing::HasSubstr;

TEST_F(AudioRefusal, TheHealthyFileIsRead) {
    EXPECT_EQ(refusal_of(wav_bytes({}, samples)), "");
}

TEST_F(AudioRefusal, NoFile) {
    EXPECT_THAT(refusal(folder.file("none.wav")), HasSubstr("no such file"));
    EXPECT_THAT(refusal(folder.file("")), HasSubstr("not a regular file"));
}

TEST_F(AudioRefusal, NotAudio) {
    EXPECT_THAT(refusal_of(""), HasSubstr("no audio"));
    EXPECT_THAT(refusal_of("hello, this is a text and no audio at all\n"), HasSubstr("no audio"));
    EXPECT_THAT(refusal_of(std::string(5000, '\0')), HasSubstr("no audio"));
}

TEST_F(AudioRefusal, AnotherKindOfAudio) {
    EXPECT_THAT(refusal_of(encode("a.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16), "a.aiff"),
                AllOf(HasSubstr("AIFF"), HasSubstr("WAV, FLAC and Ogg")));
}

TEST_F(AudioRefusal, NoSamples) {
    EXPECT_THAT(refusal_of(wav_bytes({}, "")), HasSubstr("no samples"));
}

TEST_F(AudioRefusal, SamplesThatAreNoNumbers) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
        std::vector<float> values(30000, 0.25F);
        values[2 * 12345 + 1] = bad;
        EXPECT_THAT(refusal_of(wav_bytes({.format = 3, .channels = 2, .bits = 32}, bytes_of(values))),
                    AllOf(HasSubstr("sample 12345"), HasSubstr("channel 1"), HasSubstr("finite")));
    }
}

TEST_F(AudioRefusal, SamplesInAnotherUnit) {
    std::vector<float> values(3000, 0.25F);
    values[17] = 16;
    EXPECT_EQ(refusal_of(wav_bytes({.format = 3, .bits = 32}, bytes_of(values))), "");
    values[17] = -20000;
    EXPECT_THAT(refusal_of(wav_bytes({.format = 3, .bits = 32}, bytes_of(values))),
                AllOf(HasSubstr("sample 17"), HasSubstr("-20000"), HasSubstr("scale")));
}

TEST_F(AudioRefusal, AWavThatWasCut) {
    const std::string whole = wav_bytes({}, samples);
    for (const std::size_t length : {whole.size() - 1, whole.size() - 2, whole.size() / 2, std::size_t{46}}) {
        EXPECT_THAT(refusal_of(whole.substr(0, length)), HasSubstr("promises 2000 bytes")) << length;
    }
    EXPECT_THAT(refusal_of(whole.substr(0, 30)), HasSubstr("end of the file"));
    EXPECT_THAT(refusal_of(whole.substr(0, 36)), HasSubstr("'data' is missing"));
    EXPECT_THAT(refusal_of(wav_bytes({.data_bytes = 4000}, samples)), HasSubstr("promises 4000 bytes"));
}

TEST_F(AudioRefusal, AWavThatEndsWithinAFrame) {
    EXPECT_THAT(refusal_of(wav_bytes({}, samples.substr(1))), HasSubstr("no whole frames of 2 bytes"));
    EXPECT_THAT(refusal_of(wav_bytes({.channels = 3}, samples)), HasSubstr("no whole frames of 6 bytes"));
    EXPECT_THAT(refusal_of("RIFX" + wav_bytes({}, samples).substr(4)), HasSubstr("RIFX"));
}

TEST_F(AudioRefusal, ALengthThatWasNeverFilledIn) {
    EXPECT_THAT(refusal_of(wav_bytes({.data_bytes = 0xFFFFFFFF}, samples)), HasSubstr("pipe"));
    EXPECT_THAT(refusal_of(wav_bytes({.data_bytes = 0}, samples)), HasSubstr("no samples"));
}

TEST_F(AudioRefusal, AnRf64ThatWasCut) {
    const std::string whole = encode("a.rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_16);
    EXPECT_EQ(refusal_of(whole), "");
    EXPECT_THAT(refusal_of(whole.substr(0, whole.size() / 2)), HasSubstr("promises 100000 bytes"));
}

TEST_F(AudioRefusal, ChunksThatLie) {
    const std::string beyond = "LIST" + little_endian(1 << 30U, 4) + "INFO";
    EXPECT_THAT(refusal_of(wav_bytes({.extra_chunk = beyond}, samples)), HasSubstr("'LIST' at byte 36"));
    std::string without_format = wav_bytes({}, samples);
    without_format.replace(12, 4, "xxxx");
    EXPECT_NE(refusal_of(without_format), "");
}

TEST_F(AudioRefusal, ImpossibleHeaders) {
    EXPECT_NE(refusal_of(wav_bytes({.channels = 0}, samples)), "");
    EXPECT_THAT(refusal_of(wav_bytes({.channels = 33}, samples.substr(0, 660))), HasSubstr("33 channels"));
    EXPECT_NE(refusal_of(wav_bytes({.channels = 65535}, samples)), "");
    EXPECT_NE(refusal_of(wav_bytes({.rate_hz = 0}, samples)), "");
    EXPECT_THAT(refusal_of(wav_bytes({.rate_hz = 1}, samples)), HasSubstr("1 Hz"));
    EXPECT_THAT(refusal_of(wav_bytes({.rate_hz = 500000}, samples)), HasSubstr("500000 Hz"));
    EXPECT_NE(refusal_of(wav_bytes({.rate_hz = 0xFFFFFFFF}, samples)), "");
    EXPECT_NE(refusal_of(wav_bytes({.bits = 40}, samples)), "");
    EXPECT_NE(refusal_of(wav_bytes({.format = 0x7777}, samples)), "");
}

// STREAMINFO of FLAC holds the number of samples in 36 bits, from byte 21 of the file on.
TEST_F(AudioRefusal, AnAbsurdLengthIsRefusedBeforeAnythingIsAllocated) {
    std::string flac = encode("a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16);
    ASSERT_EQ(flac.substr(0, 4), "fLaC");
    flac[21] = static_cast<char>(flac[21] | 0x0F);
    EXPECT_THAT(refusal_of(flac), AllOf(HasSubstr("the limit is 21600"), HasSubstr("cut it")));
}

// libsndfile delivers what it can and is silent about the rest.
TEST_F(AudioRefusal, ACompressedFileThatWasCut) {
    for (const int format : {SF_FORMAT_FLAC | SF_FORMAT_PCM_16, SF_FORMAT_OGG | SF_FORMAT_VORBIS,
                             SF_FORMAT_OGG | SF_FORMAT_OPUS}) {
        const std::string whole = encode("whole", format);
        EXPECT_EQ(refusal_of(whole), "");
        for (const std::size_t length : {whole.size() - 1, whole.size() / 2, whole.size() * 3 / 4}) {
            const bool ogg = (format & SF_FORMAT_TYPEMASK) == SF_FORMAT_OGG;
            EXPECT_THAT(refusal_of(whole.substr(0, length)),
                        HasSubstr(ogg ? "end is missing" : "could be decoded"))
                << format << " " << length;
        }
    }
}

TEST_F(AudioRefusal, ACompressedFileWithADamagedMiddle) {
    for (const int format : {SF_FORMAT_FLAC | SF_FORMAT_PCM_16, SF_FORMAT_OGG | SF_FORMAT_VORBIS,
                             SF_FORMAT_OGG | SF_FORMAT_OPUS}) {
        std::string bytes = encode("whole", format);
        for (std::size_t i = 0; i < 16; ++i) {
            bytes[bytes.size() / 2 + i] = static_cast<char>(bytes[bytes.size() / 2 + i] ^ 0x55);
        }
        EXPECT_THAT(refusal_of(bytes), HasSubstr("corrupt")) << format;
    }
}

// Whatever single bytes are changed to, a file is either read or refused in one line: no crash, no other
// exception, no endless loop.
TEST_F(AudioRefusal, DamageAnywhereIsReadOrRefused) {
    std::minstd_rand random(7);
    std::int64_t refused = 0;
    for (const int format : {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
                             SF_FORMAT_OGG | SF_FORMAT_VORBIS}) {
        const std::string whole = encode("whole", format).substr(0, 20000);
        for (int round = 0; round < 60; ++round) {
            std::string bytes = whole;
            for (int change = 0; change < 4; ++change) {
                bytes[random() % (round % 2 == 0 ? 64 : bytes.size())] = static_cast<char>(random());
            }
            refused += refusal_of(bytes).empty() ? 0 : 1;
        }
    }
    EXPECT_GE(refused, 60);
}

}  // namespace
}  // namespace datasets
