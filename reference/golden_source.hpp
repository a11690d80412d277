// The golden tensors of one layer as a `Source`: what candidates read as upstream and the judge compares
// with.
#pragma once

#include <array>
#include <vector>

#include "datasets/path.hpp"
#include "reference/golden.hpp"

namespace reference {

// Runs the golden attention once and keeps query, key, value, context and output (5 x [time, width]) and the
// row statistics. Scores and probabilities are computed anew for the rows that are asked for, with the same
// kernels from the kept query and key: equal to what the golden path pushes up to the order of summation
// (1e-6 relative), since a BLAS may sum other shapes in another order; the same rows in the same call always
// have the same bits.
class GoldenSource final : public datasets::Source {
public:
    // `layer` must outlive this.
    explicit GoldenSource(const datasets::LayerCase& layer);

    // Serves attention_norm (the layer's input) and every attention op, any rows. Thread-safe. Throws
    // std::invalid_argument for other ops, heads or rows, or where `out` has another size.
    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override;

    // A kept tensor, [time, width]; for attention_norm the layer's input. Throws std::invalid_argument for a
    // square op.
    [[nodiscard]] std::span<const float> tensor(datasets::Op op) const;

    [[nodiscard]] const RowStatistics& row_statistics() const { return statistics_; }

private:
    const datasets::LayerCase& layer_;
    std::array<std::vector<float>, datasets::attention_op_count> tensors_;
    RowStatistics statistics_;
};

}  // namespace reference
