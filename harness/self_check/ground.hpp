// The data on which faults are planted, and what can be seen on it at all.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datasets/layer_case.hpp"

namespace harness {

// What the attention of a layer looks like, in fp64 from the golden's query and key, on sampled row blocks
// (the first, the last and up to six between) of every head. Whether a fault shows depends on these.
struct Traits {
    double largest_logit = 0;
    double deepest_row = 0;      // largest distance between two logits of one row
    double latest_growth = 0;    // largest growth of a row's maximum behind its first 64 keys
    double effective_keys = 0;   // of the broadest row: 1 / sum of p^2
    double last_key_share = 0;   // largest probability of the last key
    double last_tile_share = 0;  // largest probability of the keys in the last tile of 64
    double padding_share = 0;    // largest share that the padded keys would take with logits of 0
};

struct Ground {
    std::string name;               // e.g. "hard 20240607 T=250 layer 4"
    std::string arguments;          // of `harness self-check`, which bring it back
    datasets::LayerCase layer;      // with its stream and all weights where they are known
    datasets::LayerCase attention;  // the same, the attention alone
    datasets::LayerCase other;      // another layer's weights and another clip's input, of the same shape
    std::optional<datasets::EndCase> end;
    std::vector<float> block;  // [time, width]: what the end reads
    Traits traits;
    bool last_resort = false;  // only for faults that no other ground shows

    // The case to judge `ops` on: the smallest that holds them.
    [[nodiscard]] const datasets::LayerCase& case_for(datasets::OpRange ops) const;
};

Traits traits_of(const datasets::LayerCase& layer);

// Heads of the synthetic model, rotated so that of four layer 0 has the positional ones (diagonal, previous,
// next, content) and layer 4 the others (broad, sinks, all negative, hot).
// `sharpness` scales the queries, hence the logits. What differs from four heads as they are is a ground of
// last resort.
struct SyntheticGround {
    std::uint64_t seed = 0;
    std::int64_t context = 250;
    int layer = 0;
    int heads = 4;
    float sharpness = 1;
};
std::shared_ptr<const Ground> synthetic_ground(const SyntheticGround& of);

// One layer of a recording of an encoder with random weights over generated speech, made by the recorder
// itself: the stand-in for a checkpoint.
std::shared_ptr<const Ground> encoder_ground(std::uint64_t seed, std::int64_t context);

// The first recorded layer of the first clip of a recording. Throws datasets::ReadError.
std::shared_ptr<const Ground> recorded_ground(const std::string& file);

}  // namespace harness
