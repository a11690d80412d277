#include "reference/wide.hpp"

#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "reference/attention_rows.hpp"
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

}  // namespace

struct WideReference::State {
    const LayerCase& layer;
    const Source& operands;
    std::map<Op, Lazy> weights;             // query, key, value, output
    std::map<Op, std::vector<Lazy>> heads;  // key, value

    State(const LayerCase& of, const Source& from) : layer(of), operands(from) {
        for (const Op op : {Op::query, Op::key, Op::value, Op::output}) {
            weights[op];
        }
        for (const Op op : {Op::key, Op::value}) {
            heads.emplace(op, std::vector<Lazy>(static_cast<std::size_t>(layer.shape.heads)));
        }
    }

    const Operand& weight(Op op) {
        return weights.at(op).get([&] { return Operand(linear_of(op, layer.weights.attention).weight); });
    }
    const Operand& head(Op op, int index) {
        return heads.at(op).at(static_cast<std::size_t>(index)).get([&] {
            return pull(operands, op, {index, 0, layer.shape.context}, head_width);
        });
    }

    void project(Op op, Rows rows, const Result& result);
    void score(Rows rows, const Result& result);
    void normalise(Rows rows, const Result& result) const;
    void mix(Rows rows, const Result& result);
};

void WideReference::State::project(Op op, Rows rows, const Result& result) {
    const std::int64_t width = layer.shape.width();
    const std::int64_t columns = columns_of(op, rows, layer.shape);
    const std::int64_t first = std::max(rows.head, 0) * std::int64_t{head_width};
    const Operand left =
        pull(operands, datasets::info(op).inputs.front(), {-1, rows.begin, rows.count}, width);
    const Matrix<double> value = dense(result.value.data(), rows.count, columns);
    const Matrix<float> magnitude = dense(result.magnitude.data(), rows.count, columns);
    Product{Transpose::yes, 1.0, width, columns, width}.run(left, weight(op), first * width, value,
                                                            magnitude);
    const std::vector<float>& bias = linear_of(op, layer.weights.attention).bias;
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
    const std::int64_t keys = layer.shape.context;
    const Operand query = pull(operands, Op::query, rows, head_width);
    Product{Transpose::yes, double{score_scale}, head_width, keys, head_width}.run(
        query, head(Op::key, rows.head), 0, dense(result.value.data(), rows.count, keys),
        dense(result.magnitude.data(), rows.count, keys));
}

void WideReference::State::normalise(Rows rows, const Result& result) const {
    const auto keys = static_cast<std::size_t>(layer.shape.context);
    std::vector<float> scores(result.value.size());
    operands.rows(Op::scores, rows, scores);
    for (std::size_t at = 0; at < scores.size(); at += keys) {
        wide_softmax_row(std::span(scores).subspan(at, keys), result.value.subspan(at, keys),
                         result.magnitude.empty() ? result.magnitude : result.magnitude.subspan(at, keys));
    }
}

void WideReference::State::mix(Rows rows, const Result& result) {
    const std::int64_t keys = layer.shape.context;
    const std::int64_t columns = columns_of(Op::context, rows, layer.shape);
    const int first = std::max(rows.head, 0);
    const int last = rows.head < 0 ? layer.shape.heads - 1 : rows.head;
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

WideReference::WideReference(const LayerCase& layer, const Source& operands)
    : state_(std::make_unique<State>(layer, operands)) {}

WideReference::~WideReference() = default;
WideReference::WideReference(WideReference&&) noexcept = default;
WideReference& WideReference::operator=(WideReference&&) noexcept = default;

void WideReference::rows(Op op, Rows rows, std::span<double> value, std::span<float> magnitude) const {
    const std::size_t size = elements_of(op, rows, state_->layer.shape);
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
        default:
            return state_->project(op, rows, result);
    }
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
