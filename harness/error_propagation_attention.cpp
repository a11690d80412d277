#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <optional>

#include "harness/error_propagation.hpp"
#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::block_rows;
using datasets::DType;
using datasets::head_width;
using datasets::Op;
using datasets::Rows;
using reference::Transpose;

}  // namespace

// Arithmetic by which the attention reads query and key, and values.
const Arithmetic& ErrorPropagation::logit_arithmetic() const {
    return declared_.of(declared_.fused(Op::context) ? Op::context : Op::scores);
}

const ErrorPropagation::Operands& ErrorPropagation::attention_operands(Input input) {
    Operands& slot = operands_[input == Input::chained ? 1 : 0];
    std::call_once(slot.once, [&] {
        tbb::this_task_arena::isolate([&] {
            const Rows all{-1, 0, shape_.context};
            slot.key.emplace(incoming(Op::key, logit_arithmetic(), input, all));
            slot.value.emplace(incoming(Op::value, declared_.of(Op::context), input, all));
        });
    });
    return slot;
}

// What the attention reads of one head for a block of rows. `query` owns the block's part.
HeadOperands ErrorPropagation::head_operands(Rows rows, Input input, const Erring& query) {
    const Operands& all = attention_operands(input);
    const std::int64_t column = std::int64_t{rows.head} * head_width;
    HeadOperands out{query.factor(),
                     all.key->factor().slice(column, head_width),
                     all.value->factor().slice(column, head_width),
                     {},
                     {}};
    if (emitted(Op::key, input)) {
        out.key_shared = std::span(whole_of(Op::key, input).shared).subspan(index(column), head_width);
    }
    if (emitted(Op::value, input)) {
        out.value_shared = std::span(whole_of(Op::value, input).shared).subspan(index(column), head_width);
    }
    return out;
}

// Logits that reach a softmax of its own exact are golden scores.
SoftmaxErrors ErrorPropagation::softmax_of(const HeadOperands& head, Input input) const {
    const bool fused = declared_.fused(Op::context);
    const bool errs = fused || emitted(Op::scores, input);
    return softmax_errors(head, errs ? &declared_.of(Op::scores) : nullptr,
                          declared_.of(fused ? Op::context : Op::probabilities), fused, biased_);
}

// The store of probabilities, or their rounding as operands of the context.
Moments ErrorPropagation::stored_probabilities(const SoftmaxErrors& softmax, Input input) const {
    if (declared_.fused(Op::context)) {
        return {};
    }
    Moments out{std::vector<float>(softmax.probability.size()),
                std::vector<float>(biased_ ? softmax.probability.size() : 0)};
    const Arithmetic& consumer = declared_.of(Op::context);
    const Arithmetic& maker = declared_.of(Op::probabilities);
    const bool errs = emitted(Op::probabilities, input);
    if (errs) {
        add_store(softmax.probability, maker.store, maker.store_rounding, out);
    }
    if (!errs) {
        add_operand(softmax.probability, consumer.operand, consumer.operand_rounding, out);
    } else if (maker.store == DType::f32) {
        add_store(softmax.probability, consumer.operand, consumer.operand_rounding, out);
    }
    return out;
}

// Golden probabilities, which do not err.
SoftmaxErrors ErrorPropagation::exact_softmax(Rows rows) const {
    SoftmaxErrors out;
    out.probability.resize(index(rows.count * shape_.context));
    golden_.rows(Op::probabilities, rows, out.probability);
    return out;
}

Moments ErrorPropagation::context_block(Rows rows, Input input, const HeadOperands& head,
                                        const SoftmaxErrors& softmax) {
    const bool fused = declared_.fused(Op::context);
    const Arithmetic& arithmetic = declared_.of(Op::context);
    std::vector<float> values(index(rows.count * head_width));
    golden_.rows(Op::context, rows, values);
    const int key_tile = declared_.of(fused ? Op::context : Op::probabilities).key_tile;
    Moments out =
        context_errors(head, softmax, stored_probabilities(softmax, input), fused, key_tile, values, biased_);
    if (fused) {
        add_store(values, arithmetic.store, arithmetic.store_rounding, out);
    } else {
        add_product_stores(arithmetic,
                           reference::dense(softmax.probability.data(), rows.count, shape_.context),
                           head.value.value, Transpose::no, 1.0F, {}, values, out);
    }
    return out;
}

void ErrorPropagation::fill_context_block(Rows rows, Input input, Whole& slot, const SoftmaxErrors* softmax) {
    std::call_once(slot.blocks[index(rows.head * shape_.blocks() + rows.block())], [&] {
        const Erring query = incoming(Op::query, logit_arithmetic(), input, rows);
        const HeadOperands head = head_operands(rows, input, query);
        std::optional<SoftmaxErrors> own;
        if (softmax == nullptr) {
            const bool errs = declared_.fused(Op::context) || emitted(Op::probabilities, input);
            own = errs ? softmax_of(head, input) : exact_softmax(rows);
        }
        const Moments moments = context_block(rows, input, head, own ? *own : *softmax);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::int64_t to =
                (rows.begin + row) * shape_.width() + std::int64_t{rows.head} * head_width;
            const auto from = row * head_width;
            std::copy_n(moments.variance.begin() + from, head_width, slot.moments.variance.begin() + to);
            if (biased_) {
                std::copy_n(moments.mean.begin() + from, head_width, slot.moments.mean.begin() + to);
            }
        }
    });
}

void ErrorPropagation::fill_context(Input input, Whole& slot) {
    const int first = std::max(only_head_, 0);
    const std::int64_t heads = only_head_ < 0 ? shape_.heads : 1;
    attention_operands(input);
    tbb::parallel_for(std::int64_t{0}, heads * shape_.blocks(), [&](std::int64_t task) {
        const std::int64_t begin = task % shape_.blocks() * block_rows;
        fill_context_block({first + static_cast<int>(task / shape_.blocks()), begin,
                            std::min(block_rows, shape_.context - begin)},
                           input, slot, nullptr);
    });
}

Moments ErrorPropagation::square_block(Op op, Rows rows, Input input) {
    const Erring query = incoming(Op::query, logit_arithmetic(), input, rows);
    const HeadOperands head = head_operands(rows, input, query);
    if (op == Op::scores) {
        const Arithmetic& arithmetic = declared_.of(op);
        const std::vector<float> values =
            product_stores_err(arithmetic) ? score_values(head) : std::vector<float>();
        return score_errors(head, arithmetic, values, biased_);
    }
    const SoftmaxErrors softmax = softmax_of(head, input);
    if (declared_.has(Op::context) && emitted(op, input)) {
        fill_context_block(rows, input, opened(Op::context, input), &softmax);
    }
    Moments out = probability_errors(softmax, shape_.context);
    const Arithmetic& arithmetic = declared_.of(op);
    add_store(softmax.probability, arithmetic.store, arithmetic.store_rounding, out);
    return out;
}

}  // namespace harness
