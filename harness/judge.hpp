// The judge is a sink: it takes what a path emits and compares every element with the fp64 result on the
// operands the path was due to consume (level 1) and with the golden tensor.
#pragma once

#include <tbb/enumerable_thread_specific.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "datasets/path.hpp"
#include "harness/bounds.hpp"
#include "harness/comparison.hpp"
#include "harness/operands.hpp"

namespace harness {

// What the steps of a run read: the golden upstream, or what the path itself emitted before.
enum class Input : std::uint8_t { isolated, chained };

std::string_view name(Input input);

// Upstream as the path itself emitted it. Tensors of [time, width] are kept whole, square blocks only until
// the next op of the same block has been judged.
class EmittedSource final : public datasets::Source {
public:
    EmittedSource(const datasets::LayerCase& layer);

    void keep(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values);
    void drop(datasets::Op op, datasets::Rows rows);
    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override;

private:
    const datasets::LayerCase& layer_;
    std::map<datasets::Op, std::vector<float>> tensors_;  // [time, width]
    mutable std::mutex squares_mutex_;
    std::map<std::pair<datasets::Op, std::pair<int, std::int64_t>>, std::vector<float>> squares_;
};

// Judges one run of one path over one layer. All references must outlive it.
class Judge final : public datasets::Sink {
public:
    // `rounded` holds the weights as declared (rounded_weights).
    Judge(const datasets::LayerCase& layer, const datasets::LayerCase& rounded, const datasets::Path& path,
          const datasets::Source& golden, Input input, int only_head);

    bool wants(datasets::Op) const override { return true; }
    void accept(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values) override;

    [[nodiscard]] OpStatistics statistics(datasets::Op op) const;

private:
    struct Court {
        Court(const datasets::LayerCase& layer, const datasets::LayerCase& rounded, datasets::Op op,
              const datasets::Source& upstream, const datasets::Arithmetic& declared, bool ends_fused_step,
              int only_head)
            : arithmetic(declared),
              fused(ends_fused_step),
              operands(upstream, arithmetic),
              bounds(rounded, operands),
              comparison(op, layer.shape, only_head) {}

        datasets::Arithmetic arithmetic;
        bool fused;
        RoundedSource operands;
        Bounds bounds;
        Comparison comparison;
    };

    // Of one task: blocks of one op are equally large, so that it settles after the first.
    struct Scratch {
        Bounded bounded;
        std::vector<float> golden;
    };

    const datasets::Source& golden_;
    Input input_;
    EmittedSource emitted_;
    std::map<datasets::Op, std::unique_ptr<Court>> courts_;
    tbb::enumerable_thread_specific<Scratch> scratch_;
};

}  // namespace harness
