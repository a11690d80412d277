#include "harness/exact_source.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;

}  // namespace

Op entry_of(datasets::OpRange range) {
    return datasets::info(range.first).inputs.front();
}

std::int64_t whole_columns(Op op, const datasets::LayerShape& shape) {
    return datasets::has_heads(op) ? shape.width() : datasets::row_width(op, shape);
}

struct ExactSource::Lazy {
    struct Tensor {
        std::once_flag once;
        std::vector<float> values;
    };
    std::map<Op, Tensor> tensors;
};

ExactSource::ExactSource(const datasets::LayerCase& layer, Given given, std::optional<GivenBlock> block,
                         datasets::OpRange range)
    : layer_(layer),
      given_(std::move(given)),
      block_(block),
      reference_(layer, *this),
      lazy_(std::make_shared<Lazy>()) {
    if (!given_.contains(entry_of(range))) {
        throw std::invalid_argument("an exact continuation needs what the range reads");
    }
    for (const datasets::OpInfo& info : datasets::ops_in(range)) {
        if (!is_square(info.op)) {
            lazy_->tensors[info.op];
        }
    }
}

std::vector<float> ExactSource::made(Op op) const {
    const std::int64_t width = whole_columns(op, layer_.shape);
    const std::int64_t columns = datasets::row_width(op, layer_.shape);
    const std::int64_t heads = width / columns;
    std::vector<float> out(index(layer_.shape.context * width));
    // Isolated: a thread that waits here must not start a task that waits for this very tensor.
    tbb::this_task_arena::isolate([&] {
        tbb::parallel_for(std::int64_t{0}, heads * layer_.shape.blocks(), [&](std::int64_t task) {
            const std::int64_t begin = task / heads * datasets::block_rows;
            const std::int64_t head = task % heads;
            const Rows rows{datasets::has_heads(op) ? static_cast<int>(head) : -1, begin,
                            std::min(datasets::block_rows, layer_.shape.context - begin)};
            std::vector<double> exact(index(rows.count * columns));
            reference_.rows(op, rows, exact, {});
            for (std::int64_t row = 0; row < rows.count; ++row) {
                for (std::int64_t column = 0; column < columns; ++column) {
                    out[index((begin + row) * width + head * columns + column)] =
                        static_cast<float>(exact[index(row * columns + column)]);
                }
            }
        });
    });
    return out;
}

std::span<const float> ExactSource::whole(Op op) const {
    if (const auto found = given_.find(op); found != given_.end()) {
        return found->second;
    }
    Lazy::Tensor& tensor = lazy_->tensors.at(op);
    std::call_once(tensor.once, [&] { tensor.values = made(op); });
    return tensor.values;
}

std::vector<float> ExactSource::tensor(Op op) const {
    const auto values = whole(op);
    return {values.begin(), values.end()};
}

void ExactSource::rows(Op op, Rows rows, std::span<float> out) const {
    if (block_ && block_->op == op) {
        for (std::int64_t row = 0; row < rows.count; ++row) {
            std::ranges::copy(block_->values.row(row), out.begin() + row * block_->values.columns);
        }
        return;
    }
    if (is_square(op)) {
        std::vector<double> exact(out.size());
        reference_.rows(op, rows, exact, {});
        std::ranges::transform(exact, out.begin(), [](double v) { return static_cast<float>(v); });
        return;
    }
    const auto from = whole(op);
    const std::int64_t width = whole_columns(op, layer_.shape);
    const std::int64_t columns = rows.head < 0 ? width : datasets::head_width;
    const std::int64_t offset = std::max(rows.head, 0) * std::int64_t{datasets::head_width};
    for (std::int64_t row = 0; row < rows.count; ++row) {
        std::copy_n(from.begin() + (rows.begin + row) * width + offset, columns, out.begin() + row * columns);
    }
}

}  // namespace harness
