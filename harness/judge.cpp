#include "harness/judge.hpp"

#include <algorithm>
#include <stdexcept>

#include "harness/interrupt.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;

std::size_t index(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

bool is_square(Op op) {
    return datasets::info(op).form == datasets::Form::square;
}

}  // namespace

std::string_view name(Input input) {
    return input == Input::isolated ? "isolated" : "chained";
}

EmittedSource::EmittedSource(const datasets::LayerCase& layer) : layer_(layer) {
    for (const datasets::OpInfo& info : datasets::ops_in(datasets::attention_ops)) {
        if (info.form == datasets::Form::headed_rows) {
            tensors_[info.op].resize(index(layer.shape.context * layer.shape.width()));
        }
    }
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
    const std::int64_t width = layer_.shape.width();
    for (std::int64_t row = 0; row < rows.count; ++row) {
        std::ranges::copy(values.row(row), found->second.begin() + (rows.begin + row) * width +
                                               rows.head * datasets::head_width);
    }
}

void EmittedSource::drop(Op op, Rows rows) {
    const std::scoped_lock lock(squares_mutex_);
    squares_.erase({op, {rows.head, rows.begin}});
}

void EmittedSource::rows(Op op, Rows rows, std::span<float> out) const {
    if (is_square(op)) {
        const std::scoped_lock lock(squares_mutex_);
        const auto found = squares_.find({op, {rows.head, rows.begin}});
        if (found == squares_.end()) {
            throw std::logic_error("a path emitted an op before the block it reads");
        }
        std::ranges::copy(found->second, out.begin());
        return;
    }
    const std::int64_t width = layer_.shape.width();
    const auto& tensor = op == Op::attention_norm ? layer_.input : tensors_.at(op);
    const std::int64_t columns = rows.head < 0 ? width : datasets::head_width;
    const std::int64_t offset = rows.head < 0 ? 0 : rows.head * datasets::head_width;
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const float* from = tensor.data() + (rows.begin + row) * width + offset;
        std::copy(from, from + columns, out.data() + row * columns);
    }
}

Judge::Judge(const datasets::LayerCase& layer, const datasets::LayerCase& rounded, const datasets::Path& path,
             const datasets::Source& golden, Input input, int only_head)
    : golden_(golden), input_(input), emitted_(layer) {
    const datasets::Source& upstream = input == Input::isolated ? golden : emitted_;
    for (const datasets::OpRange step : path.steps()) {
        if (datasets::attention_ops.contains(step.last) && path.emits(step.last)) {
            courts_[step.last] =
                std::make_unique<Court>(layer, rounded, step.last, upstream, path.arithmetic(step.last),
                                        step.first != step.last, only_head);
        }
    }
}

void Judge::accept(Op op, Rows rows, const datasets::TensorView& values) {
    throw_if_interrupted();
    const auto found = courts_.find(op);
    if (found == courts_.end()) {
        throw std::logic_error("a path pushed an op that it does not declare to emit");
    }
    Court& court = *found->second;
    if (input_ == Input::chained) {
        emitted_.keep(op, rows, values);
    }
    Scratch& scratch = scratch_.local();
    court.bounds.of(op, rows, court.arithmetic, court.fused, scratch.bounded);
    scratch.golden.resize(scratch.bounded.value.size());
    golden_.rows(op, rows, scratch.golden);
    court.comparison.add(rows, values, scratch.bounded, scratch.golden);
    if (input_ == Input::chained) {
        for (const Op upstream : datasets::info(op).inputs) {
            if (is_square(upstream)) {
                emitted_.drop(upstream, rows);
            }
        }
    }
}

OpStatistics Judge::statistics(Op op) const {
    return courts_.at(op)->comparison.finish();
}

}  // namespace harness
