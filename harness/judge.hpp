// The judge is a sink: it takes what a path emits and compares every element with the fp64 result on the
// operands the path was due to consume (level 1) and with the golden tensor.
#pragma once

#include <tbb/enumerable_thread_specific.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "datasets/path.hpp"
#include "harness/bounds.hpp"
#include "harness/comparison.hpp"
#include "harness/error_model.hpp"
#include "harness/judge_input.hpp"
#include "harness/operands.hpp"

namespace harness {

// Upstream as a run over `range` reads it: what lies within the range as the path itself emitted it, what
// lies before from `upstream`, which must outlive this. Square blocks are kept only until the next op of the
// same block has been judged, the other tensors whole.
class EmittedSource final : public datasets::Source {
public:
    EmittedSource(const datasets::LayerShape& shape, datasets::OpRange range,
                  const datasets::Source& upstream);

    // Rows that no later op of the range reads are not kept.
    void keep(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values);
    void drop(datasets::Op op, datasets::Rows rows);
    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override;

private:
    // Columns of a kept tensor, all heads.
    [[nodiscard]] std::int64_t columns_of(datasets::Op op) const;

    datasets::LayerShape shape_;
    datasets::OpRange range_;
    const datasets::Source& upstream_;
    std::map<datasets::Op, std::vector<float>> tensors_;  // [time, columns]
    mutable std::mutex squares_mutex_;
    std::map<std::pair<datasets::Op, std::pair<int, std::int64_t>>, std::vector<float>> squares_;
};

// One block as it was judged. Everything is valid only during the call that hands it over.
struct JudgedBlock {
    datasets::Op op{};
    datasets::Rows rows;
    datasets::TensorView got;
    const Bounded& expected;
    std::span<const float> golden;  // dense
    const datasets::Arithmetic& arithmetic;
    bool fused = false;                // the op ends a fused step: its operands are query, key and value
    const datasets::Source& upstream;  // operands as the harness supplied or the path emitted them
    const datasets::Source& operands;  // the same, rounded as the design declares
};

// Judges one run of one path over a contiguous range of ops of one piece of the encoder. All references must
// outlive it. `rounded` holds the weights as declared (rounded_weights); `golden` serves the ops of the range
// and what they read. Throws std::invalid_argument for a range that does not begin and end at borders of the
// path's steps, and for a fused step whose bound nobody has derived (known: scores..context).
class Judge final : public datasets::Sink {
public:
    // `only_head`: the head of a run of a single head, else -1. `errors`: of the same range, for level 2;
    // null where nobody asks for it. `supplied`: what the path was due to read from before the range, where
    // that is not `golden` itself.
    Judge(const datasets::LayerCase& rounded, datasets::OpRange range, const datasets::Path& path,
          const datasets::Source& golden, Input input, int only_head,
          std::shared_ptr<const ErrorModel> errors = nullptr, const datasets::Source* supplied = nullptr);
    // Of the end of the encoder, whose one op is `encoder`.
    Judge(const datasets::EndCase& rounded, const datasets::Path& path, const datasets::Source& golden,
          Input input, std::shared_ptr<const ErrorModel> errors = nullptr);

    bool wants(datasets::Op) const override { return true; }
    void accept(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values) override;

    // Computes what level 2 needs of these ops, on all cores, before blocks arrive.
    void prepare(datasets::OpRange ops) const;

    [[nodiscard]] OpStatistics statistics(datasets::Op op) const;

    // Comparison::error_maps of the op.
    [[nodiscard]] std::vector<HeadErrorMap> error_maps(datasets::Op op) const;

    // Of an op in a chain: what it reads of the path's own results and the path does not emit. The bound of
    // such an op cannot be told: its statistics hold no `rho`, and nothing but NaN and infinities is outside.
    [[nodiscard]] std::optional<datasets::Op> missing_operand(datasets::Op op) const;
    // Before a run: hands over every block behind its judgement, also concurrently.
    void observe(std::function<void(const JudgedBlock&)> observer) { observer_ = std::move(observer); }

private:
    // Where one op is judged.
    struct Court {
        template <typename Piece>
        Court(const Piece& rounded, datasets::OpRange step, const datasets::Source& upstream,
              const datasets::Arithmetic& declared, int only_head)
            : arithmetic(declared),
              fused(step.first != step.last),
              operands(upstream, arithmetic),
              bounds(rounded, operands),
              comparison(step.last, rounded.shape, only_head, arithmetic.store) {}

        datasets::Arithmetic arithmetic;
        bool fused;
        std::optional<datasets::Op> missing;
        RoundedSource operands;
        Bounds bounds;
        Comparison comparison;
    };

    // Of one task: blocks of one op are equally large, so that it settles after the first.
    struct Scratch {
        Bounded bounded;
        std::vector<float> golden;
        Predicted predicted;
    };

    [[nodiscard]] const datasets::Source& upstream() const;

    template <typename Piece>
    void open_courts(const Piece& rounded, datasets::OpRange range, const datasets::Path& path,
                     int only_head);

    const datasets::Source& golden_;
    const datasets::Source& supplied_;
    Input input_;
    std::shared_ptr<const ErrorModel> errors_;  // null: level 2 is not asked for
    std::optional<EmittedSource> emitted_;      // of a chained run
    std::function<void(const JudgedBlock&)> observer_;
    std::map<datasets::Op, std::unique_ptr<Court>> courts_;
    std::set<datasets::Op> consumed_;  // by those of them that have bounds
    tbb::enumerable_thread_specific<Scratch> scratch_;
};

}  // namespace harness
