#include "datasets/op.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace datasets {
namespace {

std::int64_t no_reduction(const LayerShape&) {
    return 0;
}
std::int64_t over_width(const LayerShape& s) {
    return s.width();
}
std::int64_t over_mlp(const LayerShape& s) {
    return s.mlp_width();
}
std::int64_t over_head(const LayerShape&) {
    return head_width;
}
std::int64_t over_keys(const LayerShape& s) {
    return s.context;
}

double no_flop(const LayerShape&) {
    return 0;
}
double projection_flop(const LayerShape& s) {
    return 2.0 * double(s.context) * double(s.width()) * double(s.width());
}
double square_flop(const LayerShape& s) {
    return 2.0 * double(s.context) * double(s.context) * double(s.width());
}
double mlp_flop(const LayerShape& s) {
    return 2.0 * double(s.context) * double(s.width()) * double(s.mlp_width());
}

void require_stem(Op op) {
    if (op > Op::embedding) {
        throw std::invalid_argument("a StemShape holds the ops from mel to embedding only");
    }
}

constexpr std::array mel_in{Op::mel};
constexpr std::array conv1_in{Op::conv1};
constexpr std::array conv2_in{Op::conv2};
constexpr std::array embedding_in{Op::embedding};
constexpr std::array norm_in{Op::attention_norm};
constexpr std::array scores_in{Op::query, Op::key};
constexpr std::array probabilities_in{Op::scores};
constexpr std::array context_in{Op::probabilities, Op::value};
constexpr std::array output_in{Op::context};
constexpr std::array residual_in{Op::embedding, Op::output};
constexpr std::array mlp_norm_in{Op::attention_residual};
constexpr std::array fc1_in{Op::mlp_norm};
constexpr std::array gelu_in{Op::fc1};
constexpr std::array fc2_in{Op::gelu};
constexpr std::array block_in{Op::attention_residual, Op::fc2};
constexpr std::array encoder_in{Op::block};

constexpr std::array<OpInfo, op_count> table{{
    {Op::mel, "mel", "mel", Form::frames, {}, no_reduction, no_flop},
    {Op::conv1, "conv1", "", Form::frames, mel_in, no_reduction, no_flop},
    {Op::conv2, "conv2", "", Form::rows, conv1_in, no_reduction, no_flop},
    {Op::embedding, "embedding", "embed", Form::rows, conv2_in, no_reduction, no_flop},
    {Op::attention_norm, "attention_norm", "x", Form::rows, embedding_in, no_reduction, no_flop},
    {Op::query, "query", "q", Form::headed_rows, norm_in, over_width, projection_flop},
    {Op::key, "key", "k", Form::headed_rows, norm_in, over_width, projection_flop},
    {Op::value, "value", "v", Form::headed_rows, norm_in, over_width, projection_flop},
    {Op::scores, "scores", "", Form::square, scores_in, over_head, square_flop},
    {Op::probabilities, "probabilities", "", Form::square, probabilities_in, no_reduction, no_flop},
    {Op::context, "context", "ctx", Form::headed_rows, context_in, over_keys, square_flop},
    {Op::output, "output", "y", Form::rows, output_in, over_width, projection_flop},
    {Op::attention_residual, "attention_residual", "", Form::rows, residual_in, no_reduction, no_flop},
    {Op::mlp_norm, "mlp_norm", "", Form::rows, mlp_norm_in, no_reduction, no_flop},
    {Op::fc1, "fc1", "", Form::hidden_rows, fc1_in, over_width, mlp_flop},
    {Op::gelu, "gelu", "", Form::hidden_rows, gelu_in, no_reduction, no_flop},
    {Op::fc2, "fc2", "", Form::rows, fc2_in, over_mlp, mlp_flop},
    {Op::block, "block", "resid_out", Form::rows, block_in, no_reduction, no_flop},
    {Op::encoder, "encoder", "out", Form::rows, encoder_in, no_reduction, no_flop},
}};

constexpr bool table_is_in_enum_order() {
    for (std::size_t i = 0; i < table.size(); ++i) {
        if (static_cast<std::size_t>(table[i].op) != i) {
            return false;
        }
    }
    return true;
}
static_assert(table_is_in_enum_order());

}  // namespace

const OpInfo& info(Op op) {
    return table[static_cast<std::size_t>(op)];
}

std::string_view name(Op op) {
    return info(op).name;
}

std::span<const OpInfo> op_table() {
    return table;
}

std::optional<Op> parse_op(std::string_view name) {
    const auto found = std::ranges::find(table, name, &OpInfo::name);
    return found == table.end() ? std::nullopt : std::optional{found->op};
}

std::int64_t row_width(Op op, const LayerShape& shape) {
    switch (info(op).form) {
        case Form::rows:
            return shape.width();
        case Form::headed_rows:
            return head_width;
        case Form::square:
            return shape.context;
        case Form::hidden_rows:
            return shape.mlp_width();
        case Form::frames:
            break;
    }
    throw std::invalid_argument("a LayerShape does not hold the row width of this op");
}

std::int64_t row_count(Op op, const StemShape& shape) {
    require_stem(op);
    return info(op).form == Form::frames ? shape.frames : shape.context();
}

std::int64_t row_width(Op op, const StemShape& shape) {
    require_stem(op);
    return op == Op::mel ? shape.mels : shape.width();
}

double flop(Op op, const StemShape& shape) {
    require_stem(op);
    if (op != Op::conv1 && op != Op::conv2) {
        return 0;
    }
    const double depth = 3.0 * double(op == Op::conv1 ? shape.mels : shape.width());
    return 2.0 * double(row_count(op, shape)) * double(shape.width()) * depth;
}

std::span<const OpInfo> ops_in(OpRange range) {
    const auto first = static_cast<std::size_t>(range.first);
    return std::span(table).subspan(first, static_cast<std::size_t>(range.last) - first + 1);
}

}  // namespace datasets
