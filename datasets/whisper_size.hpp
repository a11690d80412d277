// The published sizes of Whisper, as far as the encoder knows them.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace datasets {

// An encoder's dimensions. A head has 64 channels in every size.
struct WhisperSize {
    std::string_view name;
    int mels = 0;
    int heads = 0;
    int layers = 0;
};

// Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), table 1, and the model
// cards of large-v3 and large-v3-turbo. The encoders of `large` (v1, v2) and of the turbo and large-v3 are
// alike in their dimensions; the English models (tiny.en ...) have those of the multilingual ones.
inline constexpr std::array<WhisperSize, 7> whisper_sizes{{
    {"tiny", 80, 6, 4},
    {"base", 80, 8, 6},
    {"small", 80, 12, 12},
    {"medium", 80, 16, 24},
    {"large", 80, 20, 32},
    {"large-v3", 128, 20, 32},
    {"large-v3-turbo", 128, 20, 32},
}};

// By name, also "large-v1", "large-v2", "turbo" and the English models ("base.en").
[[nodiscard]] std::optional<WhisperSize> parse_whisper_size(std::string_view name);

// "tiny, base, ...", for messages.
[[nodiscard]] std::string whisper_size_names();

// "whisper-base" for the dimensions of a published size (the first with these), else "whisper-80x7x5" (mels,
// heads, layers).
[[nodiscard]] std::string whisper_model_id(int mels, int heads, int layers);

}  // namespace datasets
