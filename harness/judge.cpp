#include "harness/judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <stdexcept>

#include "harness/index.hpp"
#include "harness/interrupt.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;

std::string name_of(datasets::OpRange range) {
    return fmt::format("{}..{}", datasets::name(range.first), datasets::name(range.last));
}

// What a step reads from before it.
std::vector<Op> operands_of(datasets::OpRange step) {
    std::vector<Op> operands;
    for (const datasets::OpInfo& info : datasets::ops_in(step)) {
        std::ranges::copy_if(info.inputs, std::back_inserter(operands),
                             [&](Op input) { return !step.contains(input); });
    }
    return operands;
}

// In the place of bounds that cannot be told: every finite value lies within.
void unbounded(const datasets::TensorView& values, Bounded& into) {
    const std::size_t elements = index(values.rows * values.columns);
    into = {};  // what another op left there bounds nothing here
    into.rows = values.rows;
    into.columns = values.columns;
    into.value.assign(elements, 0);
    into.bound.assign(elements, std::numeric_limits<double>::max());
}

}  // namespace

std::string_view name(Input input) {
    return input == Input::isolated ? "isolated" : "chained";
}

EmittedSource::EmittedSource(const datasets::LayerShape& shape, datasets::OpRange range,
                             const datasets::Source& upstream)
    : shape_(shape), range_(range), upstream_(upstream) {
    for (const datasets::OpInfo& info : datasets::ops_in(range)) {
        for (const Op input : info.inputs) {
            if (range.contains(input) && !is_square(input)) {
                tensors_[input].resize(index(shape.context * columns_of(input)));
            }
        }
    }
}

std::int64_t EmittedSource::columns_of(Op op) const {
    return datasets::has_heads(op) ? shape_.width() : datasets::row_width(op, shape_);
}

void EmittedSource::keep(Op op, Rows rows, const datasets::TensorView& values) {
    if (is_square(op)) {
        std::vector<float> block;
        block.reserve(index(rows.count * values.columns));
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const auto from = values.row(row);
            block.insert(block.end(), from.begin(), from.end());
        }
        const std::scoped_lock lock(squares_mutex_);
        squares_[{op, {rows.head, rows.begin}}] = std::move(block);
        return;
    }
    const auto found = tensors_.find(op);
    if (found == tensors_.end()) {
        return;
    }
    const std::int64_t width = columns_of(op);
    const std::int64_t column = std::max(rows.head, 0) * std::int64_t{datasets::head_width};
    for (std::int64_t row = 0; row < rows.count; ++row) {
        std::ranges::copy(values.row(row), found->second.begin() + (rows.begin + row) * width + column);
    }
}

void EmittedSource::drop(Op op, Rows rows) {
    const std::scoped_lock lock(squares_mutex_);
    squares_.erase({op, {rows.head, rows.begin}});
}

void EmittedSource::rows(Op op, Rows rows, std::span<float> out) const {
    if (!range_.contains(op)) {
        upstream_.rows(op, rows, out);
        return;
    }
    if (is_square(op)) {
        const std::scoped_lock lock(squares_mutex_);
        const auto found = squares_.find({op, {rows.head, rows.begin}});
        if (found == squares_.end()) {
            throw std::logic_error("a path emitted an op before the block it reads");
        }
        std::ranges::copy(found->second, out.begin());
        return;
    }
    const std::vector<float>& tensor = tensors_.at(op);
    const std::int64_t width = columns_of(op);
    const std::int64_t columns = rows.head < 0 ? width : datasets::head_width;
    const std::int64_t offset = std::max(rows.head, 0) * std::int64_t{datasets::head_width};
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const float* from = tensor.data() + (rows.begin + row) * width + offset;
        std::copy(from, from + columns, out.data() + row * columns);
    }
}

const datasets::Source& Judge::upstream() const {
    return emitted_ ? static_cast<const datasets::Source&>(*emitted_) : supplied_;
}

template <typename Piece>
void Judge::open_courts(const Piece& rounded, datasets::OpRange range, const datasets::Path& path,
                        int only_head) {
    for (const datasets::OpRange step : path.steps()) {
        const bool inside = range.contains(step.first) && range.contains(step.last);
        if (!inside && step.first <= range.last && range.first <= step.last) {
            throw std::invalid_argument(
                fmt::format("the step {} lies across a border of {}", name_of(step), name_of(range)));
        }
        if (!inside || !path.emits(step.last)) {
            continue;
        }
        if (step.first != step.last && step != datasets::OpRange{Op::scores, Op::context}) {
            throw std::invalid_argument(
                fmt::format("no bound is known for the fused step {}", name_of(step)));
        }
        auto& court = courts_[step.last];
        court = std::make_unique<Court>(rounded, step, upstream(), path.arithmetic(step.last), only_head);
        const auto operands = operands_of(step);
        const auto missing = std::ranges::find_if(
            operands, [&](Op input) { return range.contains(input) && !path.emits(input); });
        if (emitted_ && missing != operands.end()) {
            court->missing = *missing;
        } else {
            consumed_.insert(operands.begin(), operands.end());
        }
    }
}

Judge::Judge(const datasets::LayerCase& rounded, datasets::OpRange range, const datasets::Path& path,
             const datasets::Source& golden, Input input, int only_head,
             std::shared_ptr<const ErrorModel> errors, const datasets::Source* supplied)
    : golden_(golden),
      supplied_(supplied == nullptr ? golden : *supplied),
      input_(input),
      errors_(std::move(errors)) {
    if (input == Input::chained) {
        emitted_.emplace(rounded.shape, range, supplied_);
    }
    open_courts(rounded, range, path, only_head);
}

Judge::Judge(const datasets::EndCase& rounded, const datasets::Path& path, const datasets::Source& golden,
             Input input, std::shared_ptr<const ErrorModel> errors)
    : golden_(golden), supplied_(golden), input_(input), errors_(std::move(errors)) {
    if (input == Input::chained) {
        emitted_.emplace(rounded.shape, datasets::end_ops, golden);
    }
    open_courts(rounded, datasets::end_ops, path, -1);
}

void Judge::accept(Op op, Rows rows, const datasets::TensorView& values) {
    throw_if_interrupted();
    const auto found = courts_.find(op);
    if (found == courts_.end()) {
        throw std::logic_error("a path pushed an op that it does not declare to emit");
    }
    Court& court = *found->second;
    if (court.comparison.repeats(rows)) {
        return;  // what it reads may be gone; that it came again is a finding
    }
    if (emitted_ && consumed_.contains(op)) {
        emitted_->keep(op, rows, values);
    }
    Scratch& scratch = scratch_.local();
    if (court.missing) {
        unbounded(values, scratch.bounded);
    } else {
        court.bounds.of(op, rows, court.arithmetic, court.fused, scratch.bounded);
    }
    scratch.golden.resize(scratch.bounded.value.size());
    const datasets::RowsView golden = golden_.view(op, rows, scratch.golden);
    if (errors_) {
        errors_->of(op, rows, input_, scratch.predicted);
    }
    court.comparison.add(rows, values, scratch.bounded, golden.values,
                         errors_ ? &scratch.predicted : nullptr);
    if (observer_) {
        observer_({op, rows, values, scratch.bounded, golden.values, court.arithmetic, court.fused,
                   upstream(), court.operands});
    }
    if (emitted_) {
        for (const Op upstream : datasets::info(op).inputs) {
            if (is_square(upstream)) {
                emitted_->drop(upstream, rows);
            }
        }
    }
}

void Judge::prepare(datasets::OpRange ops) const {
    for (const auto& [op, court] : courts_) {
        if (errors_ && ops.contains(op)) {
            errors_->prepare(op, input_);
        }
    }
}

OpStatistics Judge::statistics(Op op) const {
    return courts_.at(op)->comparison.finish();
}

std::vector<HeadErrorMap> Judge::error_maps(Op op) const {
    return courts_.at(op)->comparison.error_maps(most_mapped_heads);
}

std::optional<Op> Judge::missing_operand(Op op) const {
    return courts_.at(op)->missing;
}

}  // namespace harness
