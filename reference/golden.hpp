// The golden path: fp32 attention over BLAS, the side that everything else is compared with and timed
// against.
//
// Projections run over row blocks. Attention runs over row blocks of one head: scores, softmax and context
// follow each other while the block is in cache, so a T x T tensor never exists. Tasks are (head, row block)
// pairs of fixed size, each with one BLAS thread: results do not depend on the number of threads.
#pragma once

#include <memory>
#include <vector>

#include "datasets/path.hpp"

namespace reference {

// The softmax statistics of every row of the scaled scores, [head, time] each. log_sum_exp includes the
// maximum.
struct RowStatistics {
    std::vector<float> max;
    std::vector<float> log_sum_exp;
};

// Rounding points, all fp32: each projection after its sum and after its bias; scores after their sum (the
// scale 1/8 is exact); the exponential (2^-22 + |x| 2^-23 of it) and the row sum; context after the sum of
// exponential x value, then after the division by the row sum. Probabilities are exponential / row sum,
// emitted where the sink wants them; the context is made of the unnormalised exponentials whether or not it
// does, so a sink never changes a result. Only a range that begins at `context` reads probabilities, and then
// they come from the source.
class GoldenLayer final : public datasets::PreparedLayer {
public:
    // `layer` must outlive this. Throws std::invalid_argument where a tensor does not have the shape's size.
    explicit GoldenLayer(const datasets::LayerCase& layer);
    ~GoldenLayer() override;

    // From now on `compute` also writes the statistics of the rows that it takes through the softmax; null:
    // no more.
    void collect_row_statistics(RowStatistics* statistics);

    // Any range of attention ops is allowed. One part per op: query, key, value and output by wall time;
    // scores, probabilities and context by their share of the wall time of the row blocks
    // (Clock::host_share), pulling from `source` and pushing to `sink` not counted. Throws
    // std::invalid_argument for a range outside the attention, a head that does not exist, and a single head
    // of `output`. Not to be called concurrently on one object.
    std::vector<datasets::Part> compute(datasets::Work work, const datasets::Source& source,
                                        datasets::Sink& sink) override;

    // The same parts without time: this path counts and models nothing.
    [[nodiscard]] std::vector<datasets::Part> planned(datasets::Work work) const override;

    [[nodiscard]] std::optional<datasets::Site> locate(datasets::Op op, int head, std::int64_t row,
                                                       std::int64_t column) const override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

class GoldenPath final : public datasets::Path {
public:
    [[nodiscard]] std::string_view name() const override { return "golden"; }

    // Each attention op alone.
    [[nodiscard]] std::span<const datasets::OpRange> steps() const override;

    [[nodiscard]] bool emits(datasets::Op op) const override;
    [[nodiscard]] datasets::Arithmetic arithmetic(datasets::Op op) const override;
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override;
};

}  // namespace reference
