// Audio files that tests write: WAV byte by byte, so that any part of it can be a lie.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace datasets {

// A folder of its own that vanishes with the object.
class ScratchFolder {
public:
    explicit ScratchFolder(const std::string& name)
        : path_(std::filesystem::temp_directory_path() / (name + "-XXXXXX")) {
        std::string pattern = path_.string();
        if (mkdtemp(pattern.data()) == nullptr) {
            throw std::runtime_error("cannot make the folder " + pattern);
        }
        path_ = pattern;
    }
    ~ScratchFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

inline void write_bytes(const std::string& file, std::string_view bytes) {
    std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string read_bytes(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// The low `bytes` bytes of a number, the lowest first.
inline std::string little_endian(std::uint64_t value, int bytes) {
    std::string text;
    for (; bytes > 0; --bytes, value >>= 8U) {
        text += static_cast<char>(value & 0xFFU);
    }
    return text;
}

// The header fields of a WAV file; what is left out is derived from the samples.
struct WavHeader {
    std::uint32_t format = 1;  // 1: integer PCM, 3: floating point
    std::uint32_t channels = 1;
    std::uint32_t rate_hz = 16000;
    std::uint32_t bits = 16;
    std::int64_t data_bytes = -1;  // -1: as many as there are
    std::string extra_chunk{};     // whole, before the samples
};

inline std::string wav_bytes(const WavHeader& header, std::string_view samples) {
    const std::uint32_t frame = header.channels * header.bits / 8;
    const auto promised =
        header.data_bytes < 0 ? samples.size() : static_cast<std::size_t>(header.data_bytes);
    const std::string format = little_endian(header.format, 2) + little_endian(header.channels, 2) +
                               little_endian(header.rate_hz, 4) +
                               little_endian(std::uint64_t{header.rate_hz} * frame, 4) +
                               little_endian(frame, 2) + little_endian(header.bits, 2);
    const std::string body = "WAVEfmt " + little_endian(format.size(), 4) + format + header.extra_chunk +
                             "data" + little_endian(promised, 4) + std::string(samples);
    return "RIFF" + little_endian(body.size(), 4) + body;
}

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace datasets
