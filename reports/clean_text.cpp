#include "reports/clean_text.hpp"

#include <array>
#include <cstddef>

namespace reports {
namespace {

constexpr char32_t replacement = 0xFFFD;
constexpr std::string_view replacement_utf8 = "\xEF\xBF\xBD";

struct Character {
    char32_t code = replacement;
    std::size_t bytes = 1;
};

// The first of a text that is not empty; where that is no UTF-8 (RFC 3629), the replacement of one byte.
Character first_character(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t bytes = lead < 0x80            ? 1
                              : lead >> 5 == 0b110   ? 2
                              : lead >> 4 == 0b1110  ? 3
                              : lead >> 3 == 0b11110 ? 4
                                                     : 0;
    if (bytes == 0 || bytes > text.size()) {
        return {};
    }
    char32_t code = bytes == 1 ? lead : lead & 0x7FU >> bytes;
    for (const char c : text.substr(1, bytes - 1)) {
        const auto next = static_cast<unsigned char>(c);
        if (next >> 6 != 0b10) {
            return {};
        }
        code = code << 6 | (next & 0x3FU);
    }
    constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};  // of so many bytes
    const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < least[bytes] || code > 0x10FFFF || is_surrogate ? Character{} : Character{code, bytes};
}

bool is_control(char32_t code) {
    constexpr char32_t line_separator = 0x2028;
    constexpr char32_t paragraph_separator = 0x2029;
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == line_separator ||
           code == paragraph_separator || code == 0xFFFE || code == 0xFFFF;
}

std::string cleaned(std::string_view text, bool keep_lines) {
    std::string out;
    while (!text.empty()) {
        const Character first = first_character(text);
        if (first.code == '\n' || first.code == '\r' || first.code == '\t') {
            out += keep_lines ? text[0] : ' ';
        } else if (is_control(first.code) || first.code == replacement) {
            out += replacement_utf8;
        } else {
            out += text.substr(0, first.bytes);
        }
        text.remove_prefix(first.bytes);
    }
    return out;
}

}  // namespace

std::string one_line(std::string_view text) {
    return cleaned(text, false);
}

std::string clean_lines(std::string_view text) {
    return cleaned(text, true);
}

}  // namespace reports
