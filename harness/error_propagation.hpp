// How errors go from op to op of one layer: what an op reads, what it adds, and the whole tensors that are
// kept. The rooms behind ErrorModel, which says what is predicted.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "harness/declared.hpp"
#include "harness/error_attention.hpp"
#include "harness/judge_input.hpp"

namespace harness {

// Thread-safe: whole tensors are computed once, on all cores, by whoever asks first.
class ErrorPropagation {
public:
    // The whole error of an op that is not square, [time, row of all heads].
    struct Whole {
        std::once_flag opened;  // memory is there, and what the op reads
        std::once_flag filled;
        std::unique_ptr<std::once_flag[]>
            blocks;  // of the context, which fills block by block: [head, block]
        Moments moments;
        std::vector<float> shared;  // [row]: of key and value, chained: variance that all rows share
    };

    // All outlive this.
    ErrorPropagation(datasets::LayerOrEnd piece, const datasets::Source& golden, Declared declared,
                     datasets::OpRange range, int only_head);

    // Computes on all cores what blocks of the op read; what follows a context of the same run waits for it.
    void prepare(datasets::Op op, Input input);
    const Whole& whole_of(datasets::Op op, Input input);
    // The same, of which only these rows need be filled.
    const Whole& rows_of(datasets::Op op, datasets::Rows rows, Input input);
    // Scores or probabilities of one block of one head. A run's probabilities leave the errors of the block's
    // context behind, which come of the same softmax.
    [[nodiscard]] Moments square_block(datasets::Op op, datasets::Rows rows, Input input);

    [[nodiscard]] const datasets::LayerShape& shape() const { return shape_; }
    [[nodiscard]] const datasets::Source& golden() const { return golden_; }
    [[nodiscard]] const Declared& declared() const { return declared_; }
    // Columns of an op, all heads.
    [[nodiscard]] std::int64_t columns_of(datasets::Op op) const;

private:
    // Key and value of all heads as the attention reads them.
    struct Operands {
        std::once_flag once;
        std::optional<Erring> key, value;
    };

    [[nodiscard]] const datasets::Linear& linear(datasets::Op op) const;
    [[nodiscard]] const datasets::Norm& norm(datasets::Op op) const;
    [[nodiscard]] bool emitted(datasets::Op op, Input input) const;
    [[nodiscard]] Input source_of(datasets::Op op, Input input) const;
    [[nodiscard]] Erring incoming(datasets::Op op, const datasets::Arithmetic& consumer, Input input,
                                  datasets::Rows rows);

    void fill_upstream(datasets::Op op, Input input);
    Whole& opened(datasets::Op op, Input input);
    void fill(datasets::Op op, Input input, Whole& slot);
    template <typename Errors>
    void in_blocks(datasets::Op op, Whole& slot, const Errors& errors);
    void fill_product(datasets::Op op, Input input, Whole& slot);
    void fill_context(Input input, Whole& slot);
    void fill_context_block(datasets::Rows rows, Input input, Whole& slot, const SoftmaxErrors* softmax);
    [[nodiscard]] std::vector<float> mean_row(datasets::Op op) const;
    [[nodiscard]] Moments activation(Input input, datasets::Rows rows);
    [[nodiscard]] Moments normed(datasets::Op op, datasets::Rows rows) const;

    [[nodiscard]] const datasets::Arithmetic& logit_arithmetic() const;
    const Operands& attention_operands(Input input);
    [[nodiscard]] HeadOperands head_operands(datasets::Rows rows, Input input, const Erring& query);
    [[nodiscard]] SoftmaxErrors softmax_of(const HeadOperands& head, Input input) const;
    [[nodiscard]] Moments stored_probabilities(const SoftmaxErrors& softmax, Input input) const;
    [[nodiscard]] SoftmaxErrors exact_softmax(datasets::Rows rows) const;
    [[nodiscard]] Moments context_block(datasets::Rows rows, Input input, const HeadOperands& head,
                                        const SoftmaxErrors& softmax);

    datasets::LayerShape shape_;
    datasets::LayerOrEnd piece_;
    const datasets::Source& golden_;
    Declared declared_;
    datasets::OpRange range_;
    int only_head_;
    bool biased_;  // some rounding is directed or known: means are kept
    std::array<std::array<Whole, datasets::op_count>, 2> whole_;  // by input
    std::array<Operands, 2> operands_;
};

}  // namespace harness
