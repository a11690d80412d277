#include "reference/golden_source.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "reference/elementwise.hpp"
#include "reference/extent.hpp"
#include "reference/projection.hpp"
#include "reference/softmax.hpp"

namespace reference {
namespace {

using datasets::head_width;
using datasets::Op;
using datasets::OpRange;
using datasets::Rows;

bool is_kept(Op op) {
    return !is_square(op) && op != Op::gelu;
}

OpRange runnable(const datasets::LayerCase& layer) {
    return is_whole(layer) && !layer.stream.empty() ? datasets::layer_ops : datasets::attention_ops;
}

// All that the range needs from outside is what enters the layer.
class Entrance final : public datasets::Source {
public:
    Entrance(std::span<const float> tensor, std::int64_t width) : tensor_(tensor), width_(width) {}

    void rows(Op, Rows rows, std::span<float> out) const override {
        std::ranges::copy(tensor_.subspan(static_cast<std::size_t>(rows.begin * width_), out.size()),
                          out.begin());
    }

private:
    std::span<const float> tensor_;
    std::int64_t width_;
};

// Puts blocks into whole tensors. Blocks are disjoint, so pushing concurrently is safe.
class Keeper final : public datasets::Sink {
public:
    Keeper(std::map<Op, std::vector<float>>& tensors, const datasets::LayerShape& shape)
        : tensors_(tensors), shape_(shape) {}

    bool wants(Op op) const override { return is_kept(op); }

    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        const std::int64_t width = columns_of(op, {-1, rows.begin, rows.count}, shape_);
        const std::int64_t column = std::max(rows.head, 0) * std::int64_t{head_width};
        for (std::int64_t i = 0; i < rows.count; ++i) {
            const std::span<const float> row = values.row(i);
            std::ranges::copy(row, tensors_.at(op).begin() + (rows.begin + i) * width + column);
        }
    }

private:
    std::map<Op, std::vector<float>>& tensors_;
    const datasets::LayerShape& shape_;
};

}  // namespace

GoldenSource::GoldenSource(const datasets::LayerCase& layer) : layer_(layer), ops_(runnable(layer)) {
    const std::vector<float>& entrance = ops_ == datasets::layer_ops ? layer.stream : layer.input;
    if (entrance.empty()) {
        throw std::invalid_argument(
            "clip " + layer.clip + ", layer " + std::to_string(layer.layer) +
            ": neither its input, nor its stream with the weights of its norms and MLP");
    }
    GoldenLayer golden(layer);
    for (const datasets::OpInfo& info : datasets::ops_in(ops_)) {
        if (is_kept(info.op)) {
            tensors_[info.op].resize(elements_of(info.op, {-1, 0, layer.shape.context}, layer.shape));
        }
    }
    golden.collect_row_statistics(&statistics_);
    Keeper keeper(tensors_, layer.shape);
    golden.compute({ops_, -1}, Entrance(entrance, layer.shape.width()), keeper);
}

datasets::RowsView GoldenSource::view(Op op, Rows rows, std::span<float> room) const {
    if (!is_square(op) || rows.count > datasets::block_rows) {
        return Source::view(op, rows, room);
    }
    require_size(op, rows, room.size());
    const RecentBlocks::Values values = square_block(op, rows);
    return {{values.get(), room.size()}, values};
}

void GoldenSource::rows(Op op, Rows rows, std::span<float> out) const {
    require_size(op, rows, out.size());
    if (is_square(op)) {
        if (rows.count <= datasets::block_rows) {
            std::copy_n(square_block(op, rows).get(), out.size(), out.begin());
            return;
        }
        compute_scores(rows, out);
        return op == Op::scores ? void() : soften(rows, out);
    }
    const std::int64_t columns = columns_of(op, rows, layer_.shape);
    const std::int64_t width = columns_of(op, {-1, rows.begin, rows.count}, layer_.shape);
    const std::int64_t column = std::max(rows.head, 0) * std::int64_t{head_width};
    const bool from_fc1 = op == Op::gelu && ops_.contains(op);
    const float* from = tensor(from_fc1 ? Op::fc1 : op).data() + rows.begin * width + column;
    for (std::int64_t i = 0; i < rows.count; ++i) {
        std::copy_n(from + i * width, columns, out.begin() + i * columns);
    }
    if (from_fc1) {
        gelu(out);
    }
}

void GoldenSource::require_size(Op op, Rows rows, std::size_t elements) const {
    if (elements != elements_of(op, rows, layer_.shape)) {
        throw std::invalid_argument("rows of " + std::string(datasets::name(op)) +
                                    ": a span of another size");
    }
}

void GoldenSource::compute_scores(Rows rows, std::span<float> out) const {
    const std::int64_t keys = layer_.shape.context;
    const auto of_head = [&](Op of) {
        return dense(tensor(of).data(), keys, layer_.shape.width())
            .slice(rows.head * std::int64_t{head_width}, head_width);
    };
    gemm(Transpose::no, Transpose::yes, score_scale, of_head(Op::query).block(rows.begin, rows.count),
         of_head(Op::key), 0.0F, dense(out.data(), rows.count, keys));
}

void GoldenSource::soften(Rows rows, std::span<float> scores) const {
    const Matrix<float> square = dense(scores.data(), rows.count, layer_.shape.context);
    std::vector<float> row_max(static_cast<std::size_t>(rows.count));
    std::vector<float> row_sum(row_max.size());
    exponentials(square, row_max, row_sum);
    divide_rows(square, row_sum);
}

// At most 64 rows.
RecentBlocks::Values GoldenSource::square_block(Op op, Rows rows) const {
    const std::size_t elements = elements_of(op, rows, layer_.shape);
    if (op == Op::scores) {
        return scores_.get(rows, elements, [&](std::span<float> made) { compute_scores(rows, made); });
    }
    return probabilities_.get(rows, elements, [&](std::span<float> made) {
        if (const RecentBlocks::Values scores = scores_.find(rows)) {
            std::copy_n(scores.get(), made.size(), made.begin());
        } else {
            compute_scores(rows, made);
        }
        soften(rows, made);
    });
}

std::span<const float> GoldenSource::tensor(Op op) const {
    const auto kept = tensors_.find(op);
    if (kept != tensors_.end()) {
        return kept->second;
    }
    if (op == Op::embedding && !layer_.stream.empty()) {
        return layer_.stream;
    }
    if (op == Op::attention_norm && !layer_.input.empty()) {
        return layer_.input;
    }
    throw std::invalid_argument(std::string(datasets::name(op)) + " is not a kept golden tensor");
}

}  // namespace reference
