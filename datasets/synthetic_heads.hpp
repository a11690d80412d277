// The attention heads of the hard profile: eight types that between them have what makes attention hard to
// compute and easy to get wrong unnoticed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "datasets/layer_case.hpp"
#include "datasets/synthetic_channels.hpp"

namespace datasets {

// What the last channel of a head's keys reads besides noise.
enum class KeyReadout : std::uint8_t {
    steady,     // a massive channel of equal size in all rows: shifts all logits of a query alike
    registers,  // massive channels that shrink in register rows: those keys stand apart for every query
};

struct HeadType {
    std::string_view name;
    double position;               // gain of the positional read-out; logits peak where key = query + offset
    std::int64_t offset;           // frames
    std::int64_t first_frequency;  // of the read-out, at width 512: the higher, the wider the peak
    double noise;                  // of the query and key weights, independent
    double content;                // of a random projection that queries and keys share
    double constant;               // query bias against the key read-out
    KeyReadout key_readout;
};

inline constexpr std::array<HeadType, 8> head_types{{
    {"diagonal", 2.7, 0, 0, 0.02, 0, 0, KeyReadout::steady},
    {"previous", 2.4, -2, 0, 0.03, 0, 10, KeyReadout::steady},
    {"next", 2.1, 3, 40, 0.03, 0, -24, KeyReadout::steady},
    {"content", 0, 0, 0, 0.02, 0.085, 0, KeyReadout::steady},
    {"broad", 0, 0, 0, 0.03, 0, 0, KeyReadout::steady},
    {"sinks", 0, 0, 0, 0.06, 0, 12, KeyReadout::registers},
    {"all_negative", 0, 0, 20, 0.05, 0, -40, KeyReadout::steady},
    {"hot", 1.9, 1, 0, 0.10, 0, 8, KeyReadout::steady},
}};

// Rotates by one head per layer, so that every type occurs at every position.
constexpr const HeadType& head_type(int head, int layer) {
    return head_types[static_cast<std::size_t>(head + layer) % head_types.size()];
}

struct QueryKey {
    Linear query;  // [width, width], [width]
    Linear key;    // [width, width], no bias
};

// The query and key projections of one layer. `norm_gain` [width] of the layer's attention norm is divided
// out where the projections read the positional embedding and the massive channels.
QueryKey hard_query_key(std::uint64_t seed, int layer, LayerShape shape, const std::vector<float>& norm_gain);

}  // namespace datasets
