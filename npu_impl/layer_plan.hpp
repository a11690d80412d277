// A piece of the encoder as a design runs it: a tile plan per step, how each op's tensor lies in its
// buffer, and the launches that the device gets. Pure values; buffers are handed in.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "datasets/op.hpp"
#include "datasets/path.hpp"
#include "npu_impl/tile_plan.hpp"

namespace npu_impl {

// The heads that take part. Tensors with heads hold only theirs.
struct HeadSpan {
    int first = 0;
    int count = 0;

    bool operator==(const HeadSpan&) const = default;
};

// How an op's tensor lies in its buffer: row-major [rows, columns], both padded to tiles.
struct TensorLayout {
    datasets::DType type = datasets::DType::bf16;
    std::int64_t rows = 0;
    std::int64_t columns = 0;

    [[nodiscard]] std::int64_t stride() const { return columns * bytes_of(type); }
    [[nodiscard]] std::int64_t bytes() const { return rows * stride(); }
};

// The ops whose tensors have buffers: from the stream that enters a layer to the encoder's output.
inline constexpr std::size_t tensor_count = 16;
inline constexpr std::size_t tensor_index(datasets::Op op) {
    return static_cast<std::size_t>(op) - static_cast<std::size_t>(datasets::Op::embedding);
}
static_assert(tensor_index(datasets::Op::encoder) + 1 == tensor_count);

// What runs without the host in between: the steps before the first residual addition, those between both,
// and the end.
inline constexpr std::array pieces{datasets::OpRange{datasets::Op::attention_norm, datasets::Op::output},
                                   datasets::OpRange{datasets::Op::mlp_norm, datasets::Op::fc2},
                                   datasets::OpRange{datasets::Op::encoder, datasets::Op::encoder}};

// Index of the piece that holds a whole range. Throws std::invalid_argument where none does.
std::size_t piece_of(datasets::OpRange ops);

// Buffers of one prepared layer. Absent where nothing asked for the step yet, where the design does not emit
// the op, where the projection has no bias or the host adds it, and where nobody on the device reads what the
// host adds up. The weight of a norm is its gain.
struct LayerBuffers {
    std::array<std::optional<Buffer>, tensor_count> tensor;
    std::array<std::optional<Buffer>, tensor_count> weight;
    std::array<std::optional<Buffer>, tensor_count> bias;
    std::optional<Buffer>
        partial;  // the partial tiles of one wave of any step whose k tiles the host adds up
};

struct StepPlan {
    datasets::OpRange ops{};
    TilePlan tiles;

    [[nodiscard]] bool square() const {
        return datasets::Op::scores <= ops.first && ops.last <= datasets::Op::context;
    }

    // Upstream tensors, in dataflow order.
    [[nodiscard]] std::vector<datasets::Op> inputs() const;
};

// Scores and probabilities: one wave of row blocks, one below the other.
inline bool lives_in_waves(datasets::Op op) {
    return datasets::is_square(op);
}

struct LayerPlan {
    const Design* design = nullptr;
    datasets::LayerShape shape;
    HeadSpan heads;
    std::vector<StepPlan> steps;           // only those with heads where only some take part
    std::vector<std::vector<Pair>> waves;  // of the square part; heads counted from heads.first

    // In device memory: as stored by its step, or, where the host adds up, as its reader takes it.
    [[nodiscard]] TensorLayout layout(datasets::Op op) const;

    // Elements of a row, without padding, of the heads that take part.
    [[nodiscard]] std::int64_t row_elements(datasets::Op op) const;
    [[nodiscard]] const StepPlan* step_of(datasets::Op op) const;

    // The op's result is the host's fp32 sum of partial tiles.
    [[nodiscard]] bool summed_on_host(datasets::Op op) const;

    // What makes an element of an op, of one head or (-1) in the row of all; nothing for what the plan does
    // not make.
    [[nodiscard]] std::optional<datasets::Site> locate(datasets::Op op, int head, std::int64_t row,
                                                       std::int64_t column) const;
};

// The steps of `ops`. `design` must outlive the plan. Throws std::invalid_argument for an empty shape or
// span.
LayerPlan plan_layer(const Design& design, datasets::LayerShape shape, HeadSpan heads,
                     datasets::OpRange ops = device_ops);

// Throws std::invalid_argument where the rows of a norm among `ops` are wider than its kernel has room for.
void require_fit(const LayerPlan& plan, datasets::OpRange ops);

// Whether anybody on the device reads the op's tensor. The others end a piece.
inline bool read_on_device(datasets::Op op) {
    return op != datasets::Op::output && op != datasets::Op::fc2 && op != datasets::Op::encoder;
}

// A product's columns and the length of its sums, of the heads that take part.
MatmulShape product_shape(datasets::Op op, datasets::LayerShape shape, HeadSpan heads);

// The launches of one wave of a step (projections on the device: one wave).
std::vector<Launch> bind(const LayerPlan& plan, const StepPlan& step, std::int64_t wave,
                         const LayerBuffers& buffers);

// Marks the jobs that a fast emulation computes exactly: all of them where results are stored as fp32, since
// the sum is all there is to those; else the first of every core and those of the last, ragged row block.
void mark_sample(const LayerPlan& plan, const StepPlan& step, std::int64_t wave, std::span<Launch> launches);

// Scale of the scores: 1 / sqrt(64), a power of two. The kernel applies it before its store; where the host
// adds up partial tiles, the host does.
inline constexpr float score_scale = 0.125F;

}  // namespace npu_impl
