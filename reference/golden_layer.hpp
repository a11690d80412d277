// One layer of the golden path: fp32 over BLAS, the side that everything else is compared with and timed
// against.
//
// Norm and projections run over row blocks. Attention runs over row blocks of one head: scores, softmax and
// context follow each other while the block is in cache, so a T x T tensor never exists; so do the ops of the
// MLP. Tasks are of fixed size, each with one BLAS thread: results do not depend on the number of threads.
#pragma once

#include <memory>
#include <vector>

#include "datasets/path.hpp"
#include "reference/golden_attention.hpp"

namespace reference {

// Rounding points, all fp32: a norm, computed in fp64, once at its end; each linear layer after its sum and
// after its bias; scores after their sum (the scale 1/8 is exact); the exponential (2^-22 + |x| 2^-23 of
// it) and the row sum; context after the sum of exponential x value, then after the division by the row
// sum; GELU in its subtrahend and at its end; the residual sums. Probabilities are exponential / row sum,
// emitted where the sink wants them; the context is made of the unnormalised exponentials whether or not it
// does, so a sink never changes a result. Only a range that begins at `context` reads probabilities, and
// then they come from the source.
class GoldenLayer final : public datasets::PreparedLayer {
public:
    // `layer` must outlive this. Throws std::invalid_argument where a tensor does not have the shape's size.
    explicit GoldenLayer(const datasets::LayerCase& layer);
    GoldenLayer(const datasets::LayerCase& layer, std::shared_ptr<WorkspacePool> workspaces);

    // From now on `compute` also writes the statistics of the rows that it takes through the softmax; null:
    // no more.
    void collect_row_statistics(RowStatistics* statistics) { statistics_ = statistics; }

    // Any range of layer ops is allowed, of a layer without norms and MLP any range of attention ops. One
    // part per op: attention_norm, query, key, value and output by wall time; scores to context, and
    // attention_residual to block, by their share of the wall time of the row blocks (Clock::host_share),
    // pulling from `source` and pushing to `sink` not counted. Throws std::invalid_argument for another
    // range, a head that does not exist, and a single head of ops without heads. Not to be called
    // concurrently on one object.
    std::vector<datasets::Part> compute(datasets::Work work, const datasets::Source& source,
                                        datasets::Sink& sink) override;

    // The same parts without time: this path counts and models nothing.
    [[nodiscard]] std::vector<datasets::Part> planned(datasets::Work work) const override;

    [[nodiscard]] std::optional<datasets::Site> locate(datasets::Op op, int head, std::int64_t row,
                                                       std::int64_t column) const override;

private:
    void check(datasets::Work work) const;
    void lay_out(Run& run) const;
    void pass_rows(const Run& run, datasets::Op op) const;
    void emit(const Run& run, datasets::Op op) const;

    const datasets::LayerCase& layer_;
    std::shared_ptr<WorkspacePool> workspaces_;
    RowStatistics* statistics_ = nullptr;
};

}  // namespace reference
