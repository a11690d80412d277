#include "reference/wide.hpp"

#include <tbb/enumerable_thread_specific.h>
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

#include "datasets/op_weights.hpp"
#include "reference/extent.hpp"
#include "reference/projection.hpp"
#include "reference/softmax.hpp"
#include "reference/wide_product.hpp"

namespace reference {
namespace {

using datasets::head_width;
using datasets::LayerCase;
using datasets::Op;
using datasets::Rows;
using datasets::Source;

// The left operand that a thread pulled last, of one op.
struct Left {
    Rows rows{};  // count 0: none
    Operand operand;
};

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

constexpr double norm_epsilon = 1e-5;

[[noreturn]] void refuse_wide(Op op, const std::string& reason) {
    throw std::invalid_argument("wide rows of " + std::string(datasets::name(op)) + ": " + reason);
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
    tbb::enumerable_thread_specific<std::map<Op, Left>> lefts;

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
            refuse_wide(op, "it belongs to another piece of the encoder");
        }
    }
    [[nodiscard]] const datasets::Linear& linear(Op op) const {
        const datasets::Linear* found = datasets::linear_of(layer->weights, op);
        const std::int64_t outputs = datasets::has_heads(op) ? shape.width() : datasets::row_width(op, shape);
        const auto size = static_cast<std::size_t>(outputs);
        if (found == nullptr ||
            found->weight.size() != size * static_cast<std::size_t>(datasets::info(op).reduction(shape)) ||
            (!found->bias.empty() && found->bias.size() != size)) {
            refuse_wide(op, "its weights are missing or have another size");
        }
        return *found;
    }
    [[nodiscard]] const datasets::Norm& norm(Op op) const {
        const datasets::Norm* found = datasets::norm_of({layer, end}, op);
        const auto width = static_cast<std::size_t>(shape.width());
        if (found == nullptr || found->gain.size() != width || found->bias.size() != width) {
            refuse_wide(op, "its weights are missing or have another size");
        }
        return *found;
    }
    // [inputs, outputs]
    Factor weight(Op op) {
        const std::int64_t inputs = datasets::info(op).reduction(shape);
        const Operand& made =
            weights.at(op).get([&] { return Operand(transposed(linear(op).weight, inputs)); });
        return made.factor(static_cast<std::int64_t>(linear(op).weight.size()) / inputs);
    }
    // [64, time]
    Factor key(int head) {
        return heads.at(Op::key)
            .at(static_cast<std::size_t>(head))
            .get([&] { return Operand(transposed(whole(Op::key, head), head_width)); })
            .factor(shape.context);
    }
    // [time, 64]
    Factor value(int head) {
        return heads.at(Op::value)
            .at(static_cast<std::size_t>(head))
            .get([&] { return Operand(whole(Op::value, head)); })
            .factor(head_width);
    }
    [[nodiscard]] std::vector<float> whole(Op op, int head) const {
        std::vector<float> rows(static_cast<std::size_t>(shape.context * head_width));
        operands.rows(op, {head, 0, shape.context}, rows);
        return rows;
    }
    // Every head of a projection reads the same rows, one head after the other.
    Factor left(Op op, Rows rows, std::int64_t columns) {
        Left& last = lefts.local()[op];
        if (last.rows != rows) {
            last.rows = {};
            // Isolated as above: another task of this thread would pull into the same memory.
            tbb::this_task_arena::isolate([&] { last.operand.pull(operands, op, rows, columns); });
            last.rows = rows;
        }
        return last.operand.factor(columns);
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
    const std::int64_t columns = columns_of(op, rows, shape);
    const std::int64_t first = std::max(rows.head, 0) * std::int64_t{head_width};
    const std::vector<float>& bias = linear(op).bias;
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
    Product{1.0, !bias.empty()}.run(
        left(datasets::info(op).inputs.front(), {-1, rows.begin, rows.count}, inputs),
        weight(op).slice(first, columns), into, result.tiles);
}

void WideReference::State::score(Rows rows, const Result& result) {
    const std::int64_t keys = shape.context;
    Product{double{score_scale}}.run(left(Op::query, rows, head_width), key(rows.head),
                                     target_of(result, rows.count, keys, 0, keys), result.tiles);
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
        const Factor share = left(Op::probabilities, {index, rows.begin, rows.count}, keys);
        const std::int64_t column = (index - first) * std::int64_t{head_width};
        Product{}.run(share, value(index), target_of(result, rows.count, columns, column, head_width),
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
    const std::size_t size = elements_of(op, rows, state_->shape);
    if (tiles.width > 0 && datasets::info(op).reduction(state_->shape) == 0) {
        refuse_wide(op, "it has no k tiles");
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

std::vector<double> WideReference::key_norms(int head) const {
    const ConstMatrix<double> keys = state_->key(head).value;
    std::vector<double> norms(static_cast<std::size_t>(keys.columns));
    for (std::int64_t c = 0; c < keys.rows; ++c) {
        std::ranges::transform(norms, keys.row(c), norms.begin(),
                               [](double sum, double x) { return sum + x * x; });
    }
    std::ranges::transform(norms, norms.begin(), [](double sum) { return std::sqrt(sum); });
    return norms;
}

const double* WideReference::value_matrix(int head) const {
    return state_->value(head).value.data;
}

}  // namespace reference
