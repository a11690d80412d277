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
};

// One product of both kinds: value = scale op(left) right, and the same of the absolute values.
struct Product {
    Transpose right_side;
    double scale;
    std::int64_t terms;
    std::int64_t right_rows;  // as stored
    std::int64_t right_columns;

    void run(const Operand& left, const Operand& right, std::int64_t right_offset, Matrix<double> value,
             Matrix<float> magnitude) const {
        gemm(Transpose::no, right_side, scale, dense(left.value.data(), value.rows, terms),
             dense(right.value.data() + right_offset, right_rows, right_columns), 0.0, value);
        if (magnitude.data != nullptr) {
            gemm(Transpose::no, right_side, static_cast<float>(scale),
                 dense(left.magnitude.data(), value.rows, terms),
                 dense(right.magnitude.data() + right_offset, right_rows, right_columns), 0.0F, magnitude);
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
    const Matrix<double> value = dense(result.value.data(), rows.count, columns);
    const Matrix<float> magnitude = dense(result.magnitude.data(), rows.count, columns);
    Product{Transpose::yes, 1.0, inputs, columns, inputs}.run(left, weight(op), first * inputs, value,
                                                              magnitude);
    if (bias.empty()) {
        return;
    }
    const auto part =
        std::span(bias).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(columns));
    for (std::int64_t i = 0; i < rows.count; ++i) {
        std::ranges::transform(value.row(i), part, value.row(i).begin(),
                               [](double sum, float b) { return sum + double{b}; });
        if (!result.magnitude.empty()) {
            std::ranges::transform(magnitude.row(i), part, magnitude.row(i).begin(),
                                   [](float sum, float b) { return sum + std::abs(b); });
        }
    }
}

void WideReference::State::score(Rows rows, const Result& result) {
    const std::int64_t keys = shape.context;
    const Operand query = pull(operands, Op::query, rows, head_width);
    Product{Transpose::yes, double{score_scale}, head_width, keys, head_width}.run(
        query, head(Op::key, rows.head), 0, dense(result.value.data(), rows.count, keys),
        dense(result.magnitude.data(), rows.count, keys));
}

void WideReference::State::normalise(Rows rows, const Result& result) const {
    const auto keys = static_cast<std::size_t>(shape.context);
    std::vector<float> scores(result.value.size());
    operands.rows(Op::scores, rows, scores);
    for (std::size_t at = 0; at < scores.size(); at += keys) {
        wide_softmax_row(std::span(scores).subspan(at, keys), result.value.subspan(at, keys),
                         result.magnitude.empty() ? result.magnitude : result.magnitude.subspan(at, keys));
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
        const Matrix<double> value =
            dense(result.value.data(), rows.count, columns).slice(column, head_width);
        Matrix<float> magnitude{};
        if (!result.magnitude.empty()) {
            magnitude = dense(result.magnitude.data(), rows.count, columns).slice(column, head_width);
        }
        Product{Transpose::no, 1.0, keys, keys, head_width}.run(share, head(Op::value, index), 0, value,
                                                                magnitude);
    }
}

void WideReference::State::normalise_rows(Op op, Rows rows, const Result& result) const {
    const datasets::Norm& of = norm(op);
    const std::size_t width = of.gain.size();
    std::vector<float> x(result.value.size());
    operands.rows(datasets::info(op).inputs.front(), rows, x);
    for (std::size_t at = 0; at < x.size(); at += width) {
        normalise_channels(of, std::span(x).subspan(at, width), result.value.subspan(at, width),
                           result.magnitude.empty() ? result.magnitude : result.magnitude.subspan(at, width));
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
    if (!result.magnitude.empty()) {
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

void WideReference::rows(Op op, Rows rows, std::span<double> value, std::span<float> magnitude) const {
    state_->require_piece(op);
    const auto size = static_cast<std::size_t>(rows.count * wide_columns(op, rows, state_->shape));
    if (value.size() != size || (!magnitude.empty() && magnitude.size() != size)) {
        throw std::invalid_argument("the spans for wide rows have another size than the rows");
    }
    if (size == 0) {
        return;
    }
    const Result result{value, magnitude};
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

const float* WideReference::value_magnitudes(int head) const {
    return state_->head(Op::value, head).magnitude.data();
}

}  // namespace reference
