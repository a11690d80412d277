#include "datasets/whisper_size.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace datasets {
namespace {

struct Alias {
    std::string_view alias;
    std::string_view name;
};

constexpr std::array<Alias, 7> aliases{{
    {"tiny.en", "tiny"},
    {"base.en", "base"},
    {"small.en", "small"},
    {"medium.en", "medium"},
    {"large-v1", "large"},
    {"large-v2", "large"},
    {"turbo", "large-v3-turbo"},
}};

}  // namespace

std::optional<WhisperSize> parse_whisper_size(std::string_view name) {
    const auto* const alias = std::ranges::find(aliases, name, &Alias::alias);
    const std::string_view published = alias == aliases.end() ? name : alias->name;
    const auto* const size = std::ranges::find(whisper_sizes, published, &WhisperSize::name);
    return size == whisper_sizes.end() ? std::nullopt : std::optional(*size);
}

std::string whisper_size_names() {
    std::string names;
    for (const WhisperSize& size : whisper_sizes) {
        names += fmt::format("{}{}", names.empty() ? "" : ", ", size.name);
    }
    return names;
}

std::string whisper_model_id(int mels, int heads, int layers) {
    for (const WhisperSize& size : whisper_sizes) {
        if (size.mels == mels && size.heads == heads && size.layers == layers) {
            return fmt::format("whisper-{}", size.name);
        }
    }
    return fmt::format("whisper-{}x{}x{}", mels, heads, layers);
}

}  // namespace datasets
