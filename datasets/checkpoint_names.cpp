// The table of names: openai/whisper model.py, and WHISPER_MAPPING of Hugging Face's convert_openai_to_hf.py.
#include "datasets/checkpoint_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace datasets {
namespace {

enum class Place : std::uint8_t { stem, layer, end };

struct Row {
    EncoderPart part;
    Place place;
    std::string_view hugging_face;
    std::string_view openai;
};

constexpr std::array<Row, 12> rows{{
    {EncoderPart::conv1, Place::stem, "conv1", "conv1"},
    {EncoderPart::conv2, Place::stem, "conv2", "conv2"},
    {EncoderPart::positions, Place::stem, "embed_positions", "positional_embedding"},
    {EncoderPart::attention_norm, Place::layer, "self_attn_layer_norm", "attn_ln"},
    {EncoderPart::query, Place::layer, "self_attn.q_proj", "attn.query"},
    {EncoderPart::key, Place::layer, "self_attn.k_proj", "attn.key"},
    {EncoderPart::value, Place::layer, "self_attn.v_proj", "attn.value"},
    {EncoderPart::output, Place::layer, "self_attn.out_proj", "attn.out"},
    {EncoderPart::mlp_norm, Place::layer, "final_layer_norm", "mlp_ln"},
    {EncoderPart::fc1, Place::layer, "fc1", "mlp.0"},
    {EncoderPart::fc2, Place::layer, "fc2", "mlp.2"},
    {EncoderPart::final_norm, Place::end, "layer_norm", "ln_post"},
}};

constexpr std::array<std::string_view, 3> prefixes{"model.encoder.", "encoder.", ""};

// More layers than this are a damaged number, not a model.
constexpr std::size_t longest_layer_number = 4;

std::string_view layer_word(Naming naming) {
    return naming == Naming::hugging_face ? "layers." : "blocks.";
}

std::string_view part_name(Naming naming, const Row& row) {
    return naming == Naming::hugging_face ? row.hugging_face : row.openai;
}

// The one parameter of a table of positions has no name of its own in OpenAI's checkpoints.
std::string_view parameter_name(Naming naming, EncoderPart part, Parameter parameter) {
    if (part == EncoderPart::positions && naming == Naming::openai) {
        return "";
    }
    return parameter == Parameter::weight ? ".weight" : ".bias";
}

// Takes "layers.12." off the front of a name. -1: the name has no layer; nothing: it is none of a layer.
std::optional<int> take_layer(Naming naming, std::string_view& name) {
    const std::string_view word = layer_word(naming);
    if (!name.starts_with(word)) {
        return -1;
    }
    name.remove_prefix(word.size());
    const std::size_t digits = name.find('.');
    const std::string_view number = name.substr(0, digits);
    const bool is_number =
        digits != std::string_view::npos && !number.empty() && number.size() <= longest_layer_number &&
        std::ranges::all_of(number, [](char digit) { return digit >= '0' && digit <= '9'; });
    if (!is_number || (number.size() > 1 && number.front() == '0')) {
        return std::nullopt;
    }
    int layer = 0;
    std::from_chars(number.data(), number.data() + number.size(), layer);
    name.remove_prefix(digits + 1);
    return layer;
}

}  // namespace

std::string_view name(Naming naming) {
    return naming == Naming::hugging_face ? "Hugging Face" : "OpenAI";
}

std::optional<NamingScheme> find_naming_scheme(const std::vector<std::string_view>& names) {
    for (const std::string_view prefix : prefixes) {
        const std::string conv1 = fmt::format("{}conv1.weight", prefix);
        if (std::ranges::find(names, conv1) == names.end()) {
            continue;
        }
        const std::string openai_layer = fmt::format("{}{}", prefix, layer_word(Naming::openai));
        const std::string openai_table = fmt::format("{}positional_embedding", prefix);
        const bool is_openai = std::ranges::any_of(names, [&](std::string_view name) {
            return name.starts_with(openai_layer) || name == openai_table;
        });
        return NamingScheme{std::string(prefix), is_openai ? Naming::openai : Naming::hugging_face};
    }
    return std::nullopt;
}

bool belongs_to_encoder(const NamingScheme& scheme, std::string_view name) {
    const bool is_of_decoder =
        name.starts_with("decoder.") || name.starts_with("model.decoder.") || name.starts_with("proj_out.");
    return name.starts_with(scheme.prefix) && !is_of_decoder;
}

std::optional<EncoderSlot> parse_tensor_name(const NamingScheme& scheme, std::string_view name) {
    if (!name.starts_with(scheme.prefix)) {
        return std::nullopt;
    }
    name.remove_prefix(scheme.prefix.size());
    const std::optional<int> layer = take_layer(scheme.naming, name);
    if (!layer) {
        return std::nullopt;
    }
    for (const Row& row : rows) {
        for (const Parameter parameter : {Parameter::weight, Parameter::bias}) {
            const bool exists = row.part != EncoderPart::positions || parameter == Parameter::weight;
            if (exists && (row.place == Place::layer) == (*layer >= 0) &&
                name == fmt::format("{}{}", part_name(scheme.naming, row),
                                    parameter_name(scheme.naming, row.part, parameter))) {
                return EncoderSlot{*layer, row.part, parameter};
            }
        }
    }
    return std::nullopt;
}

std::string tensor_name(const NamingScheme& scheme, const EncoderSlot& slot) {
    const Row& row = *std::ranges::find(rows, slot.part, &Row::part);
    const std::string layer =
        slot.layer < 0 ? std::string() : fmt::format("{}{}.", layer_word(scheme.naming), slot.layer);
    return fmt::format("{}{}{}{}", scheme.prefix, layer, part_name(scheme.naming, row),
                       parameter_name(scheme.naming, slot.part, slot.parameter));
}

std::vector<EncoderSlot> required_slots(int layers) {
    std::vector<EncoderSlot> slots;
    const auto add = [&](int layer, const Row& row) {
        slots.push_back({layer, row.part, Parameter::weight});
        if (row.part != EncoderPart::key && row.part != EncoderPart::positions) {
            slots.push_back({layer, row.part, Parameter::bias});
        }
    };
    for (const Row& row : rows) {
        if (row.place != Place::layer) {
            add(-1, row);
        }
    }
    for (int layer = 0; layer < layers; ++layer) {
        for (const Row& row : rows) {
            if (row.place == Place::layer) {
                add(layer, row);
            }
        }
    }
    return slots;
}

std::vector<std::int64_t> expected_shape(const EncoderSlot& slot, const EncoderDimensions& dimensions) {
    const std::int64_t width = dimensions.width;
    const bool is_bias = slot.parameter == Parameter::bias;
    switch (slot.part) {
        case EncoderPart::conv1:
            return is_bias ? std::vector{width} : std::vector{width, dimensions.mels, std::int64_t{3}};
        case EncoderPart::conv2:
            return is_bias ? std::vector{width} : std::vector{width, width, std::int64_t{3}};
        case EncoderPart::positions:
            return {dimensions.rows, width};
        case EncoderPart::fc1:
            return is_bias ? std::vector{4 * width} : std::vector{4 * width, width};
        case EncoderPart::fc2:
            return is_bias ? std::vector{width} : std::vector{width, 4 * width};
        case EncoderPart::query:
        case EncoderPart::key:
        case EncoderPart::value:
        case EncoderPart::output:
            return is_bias ? std::vector{width} : std::vector{width, width};
        case EncoderPart::attention_norm:
        case EncoderPart::mlp_norm:
        case EncoderPart::final_norm:
            break;
    }
    return {width};
}

}  // namespace datasets
