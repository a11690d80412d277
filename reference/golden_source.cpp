#include "reference/golden_source.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "reference/attention_rows.hpp"
#include "reference/projection.hpp"
#include "reference/softmax.hpp"

namespace reference {
namespace {

using datasets::head_width;
using datasets::Op;
using datasets::Rows;

std::size_t slot(Op op) {
    return static_cast<std::size_t>(op) - static_cast<std::size_t>(Op::query);
}

bool is_square(Op op) {
    return datasets::info(op).form == datasets::Form::square;
}

// All that the range needs from outside is the input of the layer.
class InputSource final : public datasets::Source {
public:
    explicit InputSource(const datasets::LayerCase& layer) : layer_(layer) {}

    void rows(Op, Rows rows, std::span<float> out) const override {
        const auto begin = layer_.input.begin() + rows.begin * layer_.shape.width();
        std::copy_n(begin, out.size(), out.begin());
    }

private:
    const datasets::LayerCase& layer_;
};

// Puts blocks into whole tensors. Blocks are disjoint, so pushing concurrently is safe.
class Keeper final : public datasets::Sink {
public:
    Keeper(std::span<std::vector<float>> tensors, std::int64_t width) : tensors_(tensors), width_(width) {}

    bool wants(Op op) const override { return !is_square(op); }

    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        const std::int64_t column = std::max(rows.head, 0) * std::int64_t{head_width};
        for (std::int64_t i = 0; i < rows.count; ++i) {
            const std::span<const float> row = values.row(i);
            std::ranges::copy(row, tensors_[slot(op)].begin() + (rows.begin + i) * width_ + column);
        }
    }

private:
    std::span<std::vector<float>> tensors_;
    std::int64_t width_;
};

}  // namespace

GoldenSource::GoldenSource(const datasets::LayerCase& layer) : layer_(layer) {
    GoldenLayer golden(layer);
    for (const datasets::OpInfo& info : datasets::ops_in(datasets::attention_ops)) {
        if (!is_square(info.op)) {
            tensors_[slot(info.op)].resize(layer.input.size());
        }
    }
    golden.collect_row_statistics(&statistics_);
    Keeper keeper(tensors_, layer.shape.width());
    golden.compute({}, InputSource(layer), keeper);
}

void GoldenSource::rows(Op op, Rows rows, std::span<float> out) const {
    const bool input = op == Op::attention_norm;
    // The input has the form of the output: rows without heads.
    if (out.size() != elements_of(input ? Op::output : op, rows, layer_.shape)) {
        throw std::invalid_argument("rows of " + std::string(datasets::name(op)) +
                                    ": a span of another size");
    }
    const std::int64_t width = layer_.shape.width();
    const std::int64_t column = std::max(rows.head, 0) * std::int64_t{head_width};
    if (!is_square(op)) {
        const std::int64_t columns = rows.head < 0 ? width : head_width;
        const float* from = tensor(op).data() + rows.begin * width + column;
        for (std::int64_t i = 0; i < rows.count; ++i) {
            std::copy_n(from + i * width, columns, out.begin() + i * columns);
        }
        return;
    }
    const std::int64_t keys = layer_.shape.context;
    const auto of_head = [&](Op of) {
        return dense(tensor(of).data(), keys, width).slice(column, head_width);
    };
    const Matrix<float> square = dense(out.data(), rows.count, keys);
    gemm(Transpose::no, Transpose::yes, score_scale, of_head(Op::query).block(rows.begin, rows.count),
         of_head(Op::key), 0.0F, square);
    if (op == Op::probabilities) {
        std::vector<float> row_max(static_cast<std::size_t>(rows.count));
        std::vector<float> row_sum(row_max.size());
        exponentials(square, row_max, row_sum);
        divide_rows(square, row_sum);
    }
}

std::span<const float> GoldenSource::tensor(Op op) const {
    if (op == Op::attention_norm) {
        return layer_.input;
    }
    if (!datasets::attention_ops.contains(op) || is_square(op)) {
        throw std::invalid_argument(std::string(datasets::name(op)) + " is not a kept golden tensor");
    }
    return tensors_[slot(op)];
}

}  // namespace reference
