// Published tensor names of a Whisper encoder, and the slots that they fill.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace datasets {

enum class EncoderPart : std::uint8_t {
    conv1,
    conv2,
    positions,
    attention_norm,
    query,
    key,
    value,
    output,
    mlp_norm,
    fc1,
    fc2,
    final_norm,
};

enum class Parameter : std::uint8_t { weight, bias };  // of a norm: gain, bias; of the positions: weight

// Where a tensor belongs. Ordered by layer (-1: stem and end) and by the order of the computation.
struct EncoderSlot {
    int layer = -1;
    EncoderPart part = EncoderPart::conv1;
    Parameter parameter = Parameter::weight;

    auto operator<=>(const EncoderSlot&) const = default;
};

enum class Naming : std::uint8_t { hugging_face, openai };

std::string_view name(Naming naming);

// What stands before every name of the encoder in one checkpoint, and whose names they are.
struct NamingScheme {
    std::string prefix;  // "model.encoder.", "encoder." or ""
    Naming naming = Naming::hugging_face;
};

// The scheme of a checkpoint with these tensors: by conv1, which both namings share, and by the word for a
// layer. Nothing where no name ends in conv1.weight under a known prefix.
[[nodiscard]] std::optional<NamingScheme> find_naming_scheme(const std::vector<std::string_view>& names);

// Whether a name is one of the encoder's: it has the prefix and is no decoder's.
[[nodiscard]] bool belongs_to_encoder(const NamingScheme& scheme, std::string_view name);

// Nothing for a name that no Whisper encoder has.
[[nodiscard]] std::optional<EncoderSlot> parse_tensor_name(const NamingScheme& scheme, std::string_view name);

// The inverse.
[[nodiscard]] std::string tensor_name(const NamingScheme& scheme, const EncoderSlot& slot);

// Every slot that an encoder of so many layers fills; the key's bias, which it does not have, is not among
// them.
[[nodiscard]] std::vector<EncoderSlot> required_slots(int layers);

// Shape of a slot, outermost first. `rows` is the length of the table of positions.
struct EncoderDimensions {
    std::int64_t width = 0;
    std::int64_t mels = 0;
    std::int64_t rows = 0;
};
[[nodiscard]] std::vector<std::int64_t> expected_shape(const EncoderSlot& slot,
                                                       const EncoderDimensions& dimensions);

}  // namespace datasets
