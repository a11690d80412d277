// Layers whose projections are exact, so that queries, keys and values are known wherever they are computed:
// small integers, weights with few entries that are not 0, every result below 2^8 in magnitude or with no
// more than 8 significant bits. Nothing of them is rounded by any format, order or accumulator of a design.
#pragma once

#include <span>
#include <vector>

#include "datasets/layer_case.hpp"
#include "datasets/path.hpp"
#include "harness/probe_data.hpp"
#include "harness/probe_row.hpp"

namespace harness {

// A layer that holds what its projections read and, computed term by term, what they give.
class KnownLayer final : public datasets::Source {
public:
    // Adds query, key and value to what is recorded, and output where context is.
    explicit KnownLayer(datasets::LayerCase layer);

    // Of attention_norm and the recorded ops. Throws std::out_of_range for any other.
    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override;

    [[nodiscard]] const datasets::LayerCase& layer() const { return layer_; }
    [[nodiscard]] std::span<const float> tensor(datasets::Op op) const;  // [time, width]

    // Of every head, by Cauchy and Schwarz.
    [[nodiscard]] std::vector<LogitMaxima> largest_logits() const;

private:
    datasets::LayerCase layer_;
};

// Inputs of -1, 0 and 1, and as context too; weights of the same, about `terms` a row not 0; biases of -2..2.
datasets::LayerCase integer_layer(datasets::LayerShape shape, std::int64_t terms = 8);

// The layer whose projections of its input are the operands of this probe, for at least two heads; its
// context is not known. `integers` is integer_layer; others edit its weights (ones, zero_keys, raised_keys)
// or read codes of each row (deep_keys, one_hot). The layer's number is that of the probe.
KnownLayer probe_layer(Probe probe, datasets::LayerShape shape);

}  // namespace harness
