// The golden tensors of one layer as a `Source`: what candidates read as upstream and the judge compares
// with.
#pragma once

#include <map>
#include <vector>

#include "datasets/path.hpp"
#include "reference/golden_layer.hpp"
#include "reference/recent_blocks.hpp"

namespace reference {

// Runs the golden layer once and keeps what it makes: where the layer has its stream and the weights of its
// norms and MLP, attention_norm to block; else query to output of the layer's input. Square tensors are not
// kept, for they are T x T per head: scores and probabilities are computed anew for the rows that are asked
// for, with the same kernels from the kept query and key: equal to what the golden path pushes up to the
// order of summation (1e-6 relative), since a BLAS may sum other shapes in another order; the same rows in
// the same call always have the same bits. Nor is gelu: fc1 is kept, and gelu follows from it at 1 ns an
// element with the same bits, which saves [time, 4 width]; fc1 anew would cost 134 MFLOP for 64 rows of
// Whisper base, and other bits.
class GoldenSource final : public datasets::Source {
public:
    // `layer` must outlive this. Throws std::invalid_argument where it has neither stream nor input, or a
    // tensor of another size.
    explicit GoldenSource(const datasets::LayerCase& layer);

    // Serves the op that the golden began with (embedding or attention_norm) and every op that it ran, any
    // rows. Thread-safe. Throws std::invalid_argument for other ops, heads or rows, or where `out` has
    // another size.
    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override;
    // Blocks of square tensors are served where they are remembered.
    datasets::RowsView view(datasets::Op op, datasets::Rows rows, std::span<float> room) const override;

    // A kept tensor, [time, width] (fc1: [time, 4 width]), or what the golden began with. Throws
    // std::invalid_argument for another op.
    [[nodiscard]] std::span<const float> tensor(datasets::Op op) const;

    // What the golden ran.
    [[nodiscard]] datasets::OpRange ops() const { return ops_; }

    [[nodiscard]] const RowStatistics& row_statistics() const { return statistics_; }

private:
    void require_size(datasets::Op op, datasets::Rows rows, std::size_t elements) const;
    [[nodiscard]] RecentBlocks::Values square_block(datasets::Op op, datasets::Rows rows) const;
    void compute_scores(datasets::Rows rows, std::span<float> out) const;
    void soften(datasets::Rows rows, std::span<float> scores) const;

    const datasets::LayerCase& layer_;
    datasets::OpRange ops_;
    std::map<datasets::Op, std::vector<float>> tensors_;
    RowStatistics statistics_;
    // What a wave reads, the judge asks for next, and probabilities follow from their scores.
    mutable RecentBlocks scores_;
    mutable RecentBlocks probabilities_;
};

}  // namespace reference
