#include "datasets/audio_riff.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace datasets {
namespace {

// A size that stands in the ds64 chunk of an RF64 file, or was never filled in.
constexpr std::uint64_t no_size = 0xFFFFFFFFU;

struct ChunkHead {
    std::string name;
    std::uint64_t bytes = 0;
};

std::uint64_t little_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
        value = value << 8U | static_cast<unsigned char>(bytes[i]);
    }
    return value;
}

bool read_head(std::ifstream& in, ChunkHead& head) {
    std::array<char, 8> bytes{};
    if (!in.read(bytes.data(), bytes.size())) {
        return false;
    }
    const std::string_view text(bytes.data(), bytes.size());
    head = {std::string(text.substr(0, 4)), little_endian(text.substr(4))};
    return true;
}

// The bytes of one frame in a chunk 'fmt ', where the samples are numbers of fixed width: integer, floating
// point, or either of them in the extensible form. 1 for codecs.
std::uint64_t frame_bytes(std::ifstream& in) {
    std::array<char, 14> bytes{};
    in.read(bytes.data(), bytes.size());
    const std::string_view text(bytes.data(), bytes.size());
    const std::uint64_t kind = little_endian(text.substr(0, 2));
    const bool fixed_width = kind == 1 || kind == 3 || kind == 0xFFFE;
    const std::uint64_t frame = little_endian(text.substr(12, 2));
    return in && fixed_width && frame > 0 ? frame : 1;
}

// The size of the samples in a ds64 chunk: after the size of the whole file.
std::uint64_t wide_size(std::ifstream& in) {
    std::array<char, 16> bytes{};
    in.read(bytes.data(), bytes.size());
    return in ? little_endian(std::string_view(bytes.data(), bytes.size()).substr(8)) : no_size;
}

}  // namespace

std::string riff_objection(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    ChunkHead head;
    if (read_head(in, head) && head.name == "RIFX") {
        return "big-endian WAV (RIFX) is not read";
    }
    if (!in || (head.name != "RIFF" && head.name != "RF64")) {
        return "";
    }
    const std::uint64_t length = std::filesystem::file_size(file);
    std::uint64_t wide = no_size;
    std::uint64_t frame = 1;
    std::uint64_t begin = 12;
    while (in.seekg(static_cast<std::streamoff>(begin)) && read_head(in, head)) {
        begin += 8;
        if (head.name == "ds64") {
            wide = wide_size(in);
        }
        if (head.name == "fmt ") {
            frame = frame_bytes(in);
        }
        if (head.name == "data") {
            const std::uint64_t promised = head.bytes == no_size ? wide : head.bytes;
            if (promised == no_size) {
                return "the header does not say how many samples follow, as when a file is written into a "
                       "pipe";
            }
            if (promised > length - begin) {
                return fmt::format("the header promises {} bytes of samples, {} are there", promised,
                                   length - begin);
            }
            return promised % frame == 0
                       ? ""
                       : fmt::format("{} bytes of samples are no whole frames of {} bytes", promised, frame);
        }
        if (head.bytes > length - begin) {
            return fmt::format("chunk '{}' at byte {} reaches beyond the end of the file", head.name,
                               begin - 8);
        }
        begin += head.bytes + head.bytes % 2;  // chunks begin at even bytes
    }
    return "the chunk 'data' is missing";
}

}  // namespace datasets
