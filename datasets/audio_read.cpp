// Audio files: checked, decoded by libsndfile piece by piece, averaged to mono and resampled.
#include <fmt/format.h>
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>

#include "datasets/audio.hpp"
#include "datasets/audio_riff.hpp"
#include "datasets/recording.hpp"
#include "datasets/resampler.hpp"
#include "datasets/sha256.hpp"

namespace datasets {
namespace {

constexpr std::string_view write_anew =
    "get the whole file again, or write it anew (ffmpeg -i IN -ar 16000 -ac 1 OUT.wav)";

struct CloseSound {
    void operator()(SNDFILE* sound) const { sf_close(sound); }
};
using Sound = std::unique_ptr<SNDFILE, CloseSound>;

struct OpenSound {
    Sound sound;
    SF_INFO info{};
};

std::string format_name(int format) {
    SF_FORMAT_INFO info{};
    info.format = format;
    const bool known = sf_command(nullptr, SFC_GET_FORMAT_INFO, &info, sizeof(info)) == 0;
    return known && info.name != nullptr ? info.name : fmt::format("format {:#x}", format);
}

bool is_taken(int format) {
    const int kind = format & SF_FORMAT_TYPEMASK;
    return kind == SF_FORMAT_WAV || kind == SF_FORMAT_WAVEX || kind == SF_FORMAT_RF64 ||
           kind == SF_FORMAT_FLAC || kind == SF_FORMAT_OGG;
}

// What the header says, before anything is believed.
void check_header(const std::string& file, const SF_INFO& info) {
    const auto refuse = [&](const std::string& reason) { throw ReadError(file, "header", reason); };
    if (!is_taken(info.format)) {
        refuse(
            fmt::format("this is {}; WAV, FLAC and Ogg are read: convert it (ffmpeg -i IN -ar 16000 -ac 1 "
                        "OUT.wav)",
                        format_name(info.format & SF_FORMAT_TYPEMASK)));
    }
    if (info.samplerate < lowest_rate_hz || info.samplerate > highest_rate_hz) {
        refuse(fmt::format("a rate of {} Hz is not within {} .. {}: {}", info.samplerate, lowest_rate_hz,
                           highest_rate_hz, write_anew));
    }
    if (info.channels < 1 || info.channels > most_channels) {
        refuse(
            fmt::format("{} channels are not within 1 .. {}: {}", info.channels, most_channels, write_anew));
    }
    if (info.frames == SF_COUNT_MAX || info.frames < 0) {
        refuse(fmt::format("its end is missing, so that its length is unknown: {}", write_anew));
    }
    if (info.frames == 0) {
        refuse("it holds no samples: record or export it again");
    }
    if (info.frames / info.samplerate >= longest_audio_seconds) {
        refuse(fmt::format("{} frames at {} Hz are {} s, the limit is {}: cut it into shorter files",
                           info.frames, info.samplerate, info.frames / info.samplerate,
                           longest_audio_seconds));
    }
}

OpenSound open_sound(const std::string& file) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (!std::filesystem::exists(status)) {
        throw ReadError(file, "file", "there is no such file: check the name");
    }
    if (!std::filesystem::is_regular_file(status)) {
        throw ReadError(file, "file", "this is not a regular file: name one audio file");
    }
    if (!std::ifstream(file, std::ios::binary)) {
        throw ReadError(file, "file", "it cannot be opened: check its permissions");
    }
    if (const std::string objection = riff_objection(file); !objection.empty()) {
        throw ReadError(file, "samples", fmt::format("{}: {}", objection, write_anew));
    }
    OpenSound opened;
    opened.sound.reset(sf_open(file.c_str(), SFM_READ, &opened.info));
    if (!opened.sound) {
        std::string reason = sf_strerror(nullptr);
        reason.erase(reason.find_last_not_of(". \n") + 1);
        throw ReadError(
            file, "header",
            fmt::format("no audio that can be read (libsndfile: {}): give a whole WAV, FLAC or Ogg", reason));
    }
    check_header(file, opened.info);
    return opened;
}

// The mean of each frame. `first_frame` is only named in errors.
void average(const std::string& file, std::span<const float> interleaved, std::int64_t first_frame,
             std::span<float> mono) {
    const std::size_t channels = interleaved.size() / mono.size();
    for (std::size_t frame = 0; frame < mono.size(); ++frame) {
        double sum = 0;
        for (std::size_t channel = 0; channel < channels; ++channel) {
            const float sample = interleaved[frame * channels + channel];
            if (!(std::abs(sample) <= largest_sample)) {
                throw ReadError(
                    file, fmt::format("sample {}", first_frame + static_cast<std::int64_t>(frame)),
                    std::isfinite(sample)
                        ? fmt::format(
                              "{} in channel {} is beyond {} times full scale: scale the audio to [-1, 1]",
                              sample, channel, largest_sample)
                        : fmt::format("{} in channel {}: audio must be finite, export it again", sample,
                                      channel));
            }
            sum += static_cast<double>(sample);
        }
        mono[frame] = static_cast<float>(sum / static_cast<double>(channels));
    }
}

std::vector<float> decode(const std::string& file, OpenSound& opened) {
    constexpr std::int64_t piece_frames = 8192;
    const auto channels = static_cast<std::size_t>(opened.info.channels);
    std::vector<float> interleaved(piece_frames * channels);
    std::vector<float> mono(piece_frames);
    std::vector<float> samples;
    samples.reserve(
        static_cast<std::size_t>(opened.info.frames * sample_rate_hz / opened.info.samplerate + 2));
    Resampler resampler(opened.info.samplerate);
    std::int64_t total = 0;
    while (const auto frames = sf_readf_float(opened.sound.get(), interleaved.data(), piece_frames)) {
        const auto count = static_cast<std::size_t>(frames);
        average(file, std::span(interleaved).first(count * channels), total, std::span(mono).first(count));
        resampler.push(std::span(mono).first(count), samples);
        total += frames;
    }
    if (sf_error(opened.sound.get()) != SF_ERR_NO_ERROR || total != opened.info.frames) {
        const std::string reason = sf_error(opened.sound.get()) != SF_ERR_NO_ERROR
                                       ? fmt::format(" ({})", sf_strerror(opened.sound.get()))
                                       : "";
        throw ReadError(file, "samples",
                        fmt::format("corrupt: of {} frames {} could be decoded{}: {}", opened.info.frames,
                                    total, reason, write_anew));
    }
    resampler.finish(samples);
    return samples;
}

// Control characters of a file's name would break the line that it is printed in.
std::string printable(std::string name) {
    std::ranges::replace_if(
        name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '_');
    return name;
}

}  // namespace

AudioClip read_audio(const std::string& file) {
    OpenSound opened = open_sound(file);
    AudioClip clip;
    clip.samples = decode(file, opened);
    if (clip.samples.empty()) {
        throw ReadError(file, "samples", "shorter than one sample at 16 kHz: record or export it again");
    }
    // The name of the file without its ending, as a name for a group of a recording.
    clip.id = printable(std::filesystem::path(file).stem().string());
    if (clip.id.empty() || clip.id == "." || clip.id == "..") {
        clip.id = "clip";
    }
    clip.seconds = static_cast<double>(opened.info.frames) / opened.info.samplerate;
    clip.sha256 = sha256_of_file(file);
    clip.origin = fmt::format("{}: {}, {}, {} Hz, {} channel{}", printable(file),
                              format_name(opened.info.format & SF_FORMAT_TYPEMASK),
                              format_name(opened.info.format & SF_FORMAT_SUBMASK), opened.info.samplerate,
                              opened.info.channels, opened.info.channels == 1 ? "" : "s");
    if (opened.info.channels > 1) {
        clip.origin += ", averaged";
    }
    if (opened.info.samplerate != sample_rate_hz) {
        clip.origin += ", resampled to 16 kHz (soxr VHQ)";
    }
    return clip;
}

}  // namespace datasets
