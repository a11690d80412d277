// The words for what a Whisper encoder computes: one `Op` per tensor, one table row per `Op`.
//
// An `Op` names the tensor that a computation yields. The same name runs from the recording to the report
// line; strings become an `Op` once, at the edge (`parse_op`).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace datasets {

// In dataflow order, so that a contiguous range of the enum is a contiguous piece of the encoder.
enum class Op : std::uint8_t {
    mel,
    conv1,
    conv2,
    embedding,
    attention_norm,
    query,
    key,
    value,
    scores,
    probabilities,
    context,
    output,
    attention_residual,
    mlp_norm,
    fc1,
    gelu,
    fc2,
    block,
    encoder,
};

inline constexpr int op_count = 19;

// Width of one attention head in every published Whisper size.
inline constexpr int head_width = 64;

// Rows of one canonical block: results are pushed, judged and summed in blocks of this many rows.
inline constexpr std::int64_t block_rows = 64;

// Dimensions of one encoder layer for one clip: context rows of heads x 64 channels.
struct LayerShape {
    std::int64_t context = 0;
    int heads = 0;

    [[nodiscard]] std::int64_t width() const { return std::int64_t{heads} * head_width; }
    [[nodiscard]] std::int64_t mlp_width() const { return 4 * width(); }
    [[nodiscard]] std::int64_t blocks() const { return (context + block_rows - 1) / block_rows; }

    bool operator==(const LayerShape&) const = default;
};

// Dimensions of the stem for one clip: how mel frames become rows of the embedding. Both convolutions are 3
// wide, padded by one frame at each side; the second moves by `stride` frames.
struct StemShape {
    int mels = 0;
    std::int64_t frames = 0;
    std::int64_t stride = 2;  // 1 in the variant that does not halve the frames
    int heads = 0;

    [[nodiscard]] std::int64_t context() const { return frames < 1 ? 0 : (frames - 1) / stride + 1; }
    [[nodiscard]] std::int64_t width() const { return std::int64_t{heads} * head_width; }

    bool operator==(const StemShape&) const = default;
};

// The form of an op's tensor.
enum class Form : std::uint8_t {
    rows,         // [time, width]
    headed_rows,  // [time, width], heads concatenated: per head [time, 64]
    square,       // [head, query time, key time]; never whole in memory
    hidden_rows,  // [time, 4 width]
    frames,       // [mel frame, mels or width]: of the stem, whose dimensions a LayerShape does not hold
};

struct OpInfo {
    Op op;
    std::string_view name;
    std::string_view dataset;  // name in a recording, empty: not recorded
    Form form;
    std::span<const Op> inputs;  // upstream ops
    // Length of the dot products behind one element (0: no reduction by multiplication).
    std::int64_t (*reduction)(const LayerShape&);
    // Floating-point operations of one layer, 2 per multiply-add (softmax and norms count 0).
    double (*flop)(const LayerShape&);
};

const OpInfo& info(Op op);
std::string_view name(Op op);
std::span<const OpInfo> op_table();
std::optional<Op> parse_op(std::string_view name);

// T x T per head: never whole in memory.
inline bool is_square(Op op) {
    return info(op).form == Form::square;
}

inline bool has_heads(Op op) {
    return info(op).form == Form::headed_rows || is_square(op);
}

// Columns of one row of `op`: per head where the op has heads, else of the whole row. Throws
// std::invalid_argument for mel and conv1.
std::int64_t row_width(Op op, const LayerShape& shape);

// Rows, columns of one row, and floating-point operations (2 per multiply-add) of a stem op: mel to
// embedding. Throw std::invalid_argument for another.
std::int64_t row_count(Op op, const StemShape& shape);
std::int64_t row_width(Op op, const StemShape& shape);
double flop(Op op, const StemShape& shape);

// A contiguous range of ops in dataflow order, both ends included.
struct OpRange {
    Op first;
    Op last;

    [[nodiscard]] bool contains(Op op) const { return first <= op && op <= last; }
    bool operator==(const OpRange&) const = default;
};

// The attention block: everything that the NPU paths take over.
inline constexpr OpRange attention_ops{Op::query, Op::output};
inline constexpr int attention_op_count = 7;

// The pieces of the encoder. A layer reads `embedding`: the residual stream that enters it, which behind the
// first layer is the `block` of the one before.
inline constexpr OpRange stem_ops{Op::conv1, Op::embedding};
inline constexpr OpRange layer_ops{Op::attention_norm, Op::block};
inline constexpr OpRange mlp_ops{Op::fc1, Op::fc2};
inline constexpr OpRange end_ops{Op::encoder, Op::encoder};

// The ops of a range, in order.
std::span<const OpInfo> ops_in(OpRange range);

}  // namespace datasets
