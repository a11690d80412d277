#include "reference/wide.hpp"

#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "datasets/block_linears.hpp"
#include "reference/extent.hpp"
#include "reference/projection.hpp"
#include "reference/softmax.hpp"

namespace reference {
namespace {

using datasets::head_width;
using datasets::LayerCase;
using datasets::Op;
using datasets::Rows;
using datasets::Source;

// A tensor in fp64 and its absolute values in fp32, dense.
struct Operand {
    std::vector<double> value;
    std::vector<float> magnitude;

    explicit Operand(std::span<const float> from) : value(from.begin(), from.end()), magnitude(from.size()) {
        std::ranges::transform(from, magnitude.begin(), [](float x) { return std::abs(x); });
    }
};

Operand pull(const Source& operands, Op op, Rows rows, std::int64_t columns) {
    std::vector<float> narrow(static_cast<std::size_t>(rows.count * columns));
    operands.rows(op, rows, narrow);
    return Operand(narrow);
}

// An operand that is made at its first use.
class Lazy {
public:
    template <typename Make>
    const Operand& get(const Make& make) {
        // Isolated: a thread that waits inside `make` must not start a task that waits for this very operand.
        std::call_once(once_, [&] { tbb::this_task_arena::isolate([&] { made_.emplace(make()); }); });
        return *made_;
    }

private:
    std::once_flag once_;
    std::optional<Operand> made_;
};

// Where the results of one call go, dense.
struct Result {
    std::span<double> value;
    std::span<float> magnitude;
    KTiles tiles;

    [[nodiscard]] bool has_magnitude() const { return !magnitude.empty(); }
    [[nodiscard]] bool has_tiles() const { return tiles.width > 0; }
};

// Part of a result.
struct Target {
    Matrix<double> value;
    Matrix<float> magnitude{};
    Matrix<double> tiles{};
};

// Columns from `first` of a dense result that is `columns` wide.
Target target_of(const Result& result, std::int64_t rows, std::int64_t columns, std::int64_t first,
                 std::int64_t count) {
    Target out{dense(result.value.data(), rows, columns).slice(first, count)};
    if (result.has_magnitude()) {
        out.magnitude = dense(result.magnitude.data(), rows, columns).slice(first, count);
    }
    if (result.has_tiles()) {
        out.tiles = dense(result.tiles.sum.data(), rows, columns).slice(first, count);
    }
    return out;
}

// One product of both kinds: value = scale op(left) right, magnitude the same of the absolute values. What is
// in `into` before stays and is added to, where `begun`.
struct Product {
    Transpose right_side;
    double scale;
    std::int64_t terms;
    std::int64_t right_rows;  // as stored
    std::int64_t right_columns;
    bool begun = false;

    void run(const Operand& left, const Operand& right, std::int64_t right_offset, const Target& into,
             const KTiles& tiles) const {
        const ConstMatrix<double> factor = dense(left.value.data(), into.value.rows, terms);
        const ConstMatrix<double> other = dense(right.value.data() + right_offset, right_rows, right_columns);
        if (tiles.width > 0) {
            sum_tiles(factor, other, into, tiles);
        } else {
            gemm(Transpose::no, right_side, scale, factor, other, begun ? 1.0 : 0.0, into.value);
        }
        if (into.magnitude.data != nullptr) {
            gemm(Transpose::no, right_side, static_cast<float>(scale),
                 dense(left.magnitude.data(), into.value.rows, terms),
                 dense(right.magnitude.data() + right_offset, right_rows, right_columns), begun ? 1.0F : 0.0F,
                 into.magnitude);
        }
    }

    void sum_tiles(ConstMatrix<double> left, ConstMatrix<double> right, const Target& into,
                   const KTiles& tiles) const {
        const std::int64_t columns = into.value.columns;
        std::vector<double> product(static_cast<std::size_t>(left.rows * columns));
        for (std::int64_t begin = 0; begin < terms; begin += tiles.width) {
            const std::int64_t count = std::min(tiles.width, terms - begin);
            gemm(Transpose::no, right_side, scale, left.slice(begin, count),
                 right_side == Transpose::yes ? right.slice(begin, count) : right.block(begin, count), 0.0,
                 dense(product.data(), left.rows, columns));
            const bool first = begin == 0;
            const bool partial = tiles.of == KTiles::Of::partial_sums;
            for (std::int64_t i = 0; i < left.rows; ++i) {
                for (std::int64_t c = 0; c < columns; ++c) {
                    const double tile = product[static_cast<std::size_t>(i * columns + c)];
                    double& sum = into.value.row(i)[static_cast<std::size_t>(c)];
                    double& total = into.tiles.row(i)[static_cast<std::size_t>(c)];
                    sum = first && !begun ? tile : sum + tile;
                    const double leaves = !partial ? tile : begin + count < terms ? sum : 0.0;
                    total = (first ? 0.0 : total) + std::abs(leaves);
                }
            }
        }
    }
};

constexpr double norm_epsilon = 1e-5;

[[noreturn]] void refuse(Op op, const std::string& reason) {
    throw std::invalid_argument("wide rows of " + std::string(datasets::name(op)) + ": " + reason);
}

// Columns of dense `rows` of an op. Throws std::invalid_argument for rows that the op does not have.
std::int64_t wide_columns(Op op, Rows rows, const datasets::LayerShape& shape) {
    if (datasets::attention_ops.contains(op)) {
        return columns_of(op, rows, shape);
    }
    if (rows.head != -1) {
        refuse(op, "no head " + std::to_string(rows.head));
    }
    if (rows.begin < 0 || rows.count < 0 || rows.begin > shape.context ||
        rows.count > shape.context - rows.begin) {
        refuse(op, std::to_string(rows.begin) + " and " + std::to_string(rows.count) +
                       " more are not within " + std::to_string(shape.context));
    }
    return datasets::row_width(op, shape);
}

// n gain + bias of one row, and |n gain| + |bias| where it is wanted. In place is not allowed.
void normalise_channels(const datasets::Norm& norm, std::span<const float> x, std::span<double> value,
                        std::span<float> magnitude) {
    const auto count = static_cast<double>(x.size());
    double sum = 0;
    for (const float element : x) {
        sum += double{element};
    }
    const double mean = sum / count;
    double squares = 0;
    for (const float element : x) {
        squares += (double{element} - mean) * (double{element} - mean);
    }
    const double deviation = std::sqrt(squares / count + norm_epsilon);
    for (std::size_t j = 0; j < x.size(); ++j) {
        const double scaled = (double{x[j]} - mean) / deviation * double{norm.gain[j]};
        value[j] = scaled + double{norm.bias[j]};
        if (!magnitude.empty()) {
            magnitude[j] = static_cast<float>(std::abs(scaled) + std::abs(double{norm.bias[j]}));
        }
    }
}

}  // namespace

struct WideReference::State {
    datasets::LayerShape shape;
    const LayerCase* layer = nullptr;  // exactly one of the two is set
    const datasets::EndCase* end = nullptr;
    const Source& operands;
    std::map<Op, Lazy> weights;             // query, key, value, output, fc1, fc2
    std::map<Op, std::vector<Lazy>> heads;  // key, value

    State(const LayerCase& of, const Source& from) : shape(of.shape), layer(&of), operands(from) {
        for (const Op op : {Op::query, Op::key, Op::value, Op::output, Op::fc1, Op::fc2}) {
            weights[op];
        }
        for (const Op op : {Op::key, Op::value}) {
            heads.emplace(op, std::vector<Lazy>(static_cast<std::size_t>(shape.heads)));
        }
    }
    State(const datasets::EndCase& of, const Source& from) : shape(of.shape), end(&of), operands(from) {}

    void require_piece(Op op) const {
        if ((op == Op::encoder) != (end != nullptr)) {
            refuse(op, "it belongs to another piece of the encoder");
        }
    }
    [[nodiscard]] const datasets::Linear& linear(Op op) const {
        const datasets::Linear* found = datasets::linear_of(layer->weights, op);
        const std::int64_t outputs = datasets::has_heads(op) ? shape.width() : datasets::row_width(op, shape);
        const auto size = static_cast<std::size_t>(outputs);
        if (found == nullptr ||
            found->weight.size() != size * static_cast<std::size_t>(datasets::info(op).reduction(shape)) ||
            (!found->bias.empty() && found->bias.size() != size)) {
            refuse(op, "its weights are missing or have another size");
        }
        return *found;
    }
    [[nodiscard]] const datasets::Norm& norm(Op op) const {
        const datasets::Norm& found = op == Op::encoder          ? end->norm
                                      : op == Op::attention_norm ? layer->weights.attention_norm
                                                                 : layer->weights.mlp_norm;
        const auto width = static_cast<std::size_t>(shape.width());
        if (found.gain.size() != width || found.bias.size() != width) {
            refuse(op, "its weights are missing or have another size");
        }
        return found;
    }
    const Operand& weight(Op op) {
        return weights.at(op).get([&] { return Operand(linear(op).weight); });
    }
    const Operand& head(Op op, int index) {
        return heads.at(op).at(static_cast<std::size_t>(index)).get([&] {
            return pull(operands, op, {index, 0, shape.context}, head_width);
        });
    }

    void project(Op op, Rows rows, const Result& result);
    void score(Rows rows, const Result& result);
    void normalise(Rows rows, const Result& result) const;
    void mix(Rows rows, const Result& result);
    void normalise_rows(Op op, Rows rows, const Result& result) const;
    void activate(Rows rows, const Result& result) const;
};

void WideReference::State::project(Op op, Rows rows, const Result& result) {
    const std::int64_t inputs = datasets::info(op).reduction(shape);
    const std::int64_t columns = wide_columns(op, rows, shape);
    const std::int64_t first = std::max(rows.head, 0) * std::int64_t{head_width};
    const std::vector<float>& bias = linear(op).bias;
    const Operand left =
        pull(operands, datasets::info(op).inputs.front(), {-1, rows.begin, rows.count}, inputs);
    const Target into = target_of(result, rows.count, columns, 0, columns);
    if (!bias.empty()) {
        const auto part =
            std::span(bias).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(columns));
        for (std::int64_t i = 0; i < rows.count; ++i) {
            std::ranges::copy(part, into.value.row(i).begin());
            if (result.has_magnitude()) {
                std::ranges::transform(part, into.magnitude.row(i).begin(),
                                       [](float b) { return std::abs(b); });
            }
        }
    }
    Product{Transpose::yes, 1.0, inputs, columns, inputs, !bias.empty()}.run(left, weight(op), first * inputs,
                                                                             into, result.tiles);
}

void WideReference::State::score(Rows rows, const Result& result) {
    const std::int64_t keys = shape.context;
    const Operand query = pull(operands, Op::query, rows, head_width);
    Product{Transpose::yes, double{score_scale}, head_width, keys, head_width}.run(
        query, head(Op::key, rows.head), 0, target_of(result, rows.count, keys, 0, keys), result.tiles);
}

void WideReference::State::normalise(Rows rows, const Result& result) const {
    const auto keys = static_cast<std::size_t>(shape.context);
    std::vector<float> scores(result.value.size());
    operands.rows(Op::scores, rows, scores);
    for (std::size_t at = 0; at < scores.size(); at += keys) {
        wide_softmax_row(std::span(scores).subspan(at, keys), result.value.subspan(at, keys),
                         !result.has_magnitude() ? result.magnitude : result.magnitude.subspan(at, keys));
    }
}

void WideReference::State::mix(Rows rows, const Result& result) {
    const std::int64_t keys = shape.context;
    const std::int64_t columns = columns_of(Op::context, rows, shape);
    const int first = std::max(rows.head, 0);
    const int last = rows.head < 0 ? shape.heads - 1 : rows.head;
    for (int index = first; index <= last; ++index) {
        const Operand share = pull(operands, Op::probabilities, {index, rows.begin, rows.count}, keys);
        const std::int64_t column = (index - first) * std::int64_t{head_width};
        Product{Transpose::no, 1.0, keys, keys, head_width}.run(
            share, head(Op::value, index), 0, target_of(result, rows.count, columns, column, head_width),
            result.tiles);
    }
}

void WideReference::State::normalise_rows(Op op, Rows rows, const Result& result) const {
    const datasets::Norm& of = norm(op);
    const std::size_t width = of.gain.size();
    std::vector<float> x(result.value.size());
    operands.rows(datasets::info(op).inputs.front(), rows, x);
    for (std::size_t at = 0; at < x.size(); at += width) {
        normalise_channels(of, std::span(x).subspan(at, width), result.value.subspan(at, width),
                           !result.has_magnitude() ? result.magnitude : result.magnitude.subspan(at, width));
    }
}

void WideReference::State::activate(Rows rows, const Result& result) const {
    std::vector<float> x(result.value.size());
    operands.rows(Op::fc1, rows, x);
    // erfc, not 1 + erf: the latter loses every digit of the left tail.
    std::ranges::transform(x, result.value.begin(), [](float element) {
        const double wide{element};
        return 0.5 * wide * std::erfc(-wide * (std::numbers::sqrt2 / 2));
    });
    if (result.has_magnitude()) {
        std::ranges::transform(result.value, result.magnitude.begin(),
                               [](double value) { return static_cast<float>(std::abs(value)); });
    }
}

WideReference::WideReference(const LayerCase& layer, const Source& operands)
    : state_(std::make_unique<State>(layer, operands)) {}

WideReference::WideReference(const datasets::EndCase& end, const Source& operands)
    : state_(std::make_unique<State>(end, operands)) {}

WideReference::~WideReference() = default;
WideReference::WideReference(WideReference&&) noexcept = default;
WideReference& WideReference::operator=(WideReference&&) noexcept = default;

void WideReference::rows(Op op, Rows rows, std::span<double> value, std::span<float> magnitude,
                         KTiles tiles) const {
    state_->require_piece(op);
    const auto size = static_cast<std::size_t>(rows.count * wide_columns(op, rows, state_->shape));
    if (tiles.width > 0 && datasets::info(op).reduction(state_->shape) == 0) {
        refuse(op, "it has no k tiles");
    }
    if (value.size() != size || (!magnitude.empty() && magnitude.size() != size) ||
        tiles.sum.size() != (tiles.width > 0 ? size : 0)) {
        throw std::invalid_argument("the spans for wide rows have another size than the rows");
    }
    if (size == 0) {
        return;
    }
    const Result result{value, magnitude, tiles};
    switch (op) {
        case Op::scores:
            return state_->score(rows, result);
        case Op::probabilities:
            return state_->normalise(rows, result);
        case Op::context:
            return state_->mix(rows, result);
        case Op::attention_norm:
        case Op::mlp_norm:
        case Op::encoder:
            return state_->normalise_rows(op, rows, result);
        case Op::gelu:
            return state_->activate(rows, result);
        default:
            return state_->project(op, rows, result);
    }
}

const datasets::Norm& WideReference::norm(Op op) const {
    state_->require_piece(op);
    return state_->norm(op);
}

const double* WideReference::key_matrix(int head) const {
    return state_->head(Op::key, head).value.data();
}

const double* WideReference::value_matrix(int head) const {
    return state_->head(Op::value, head).value.data();
}

}  // namespace reference
