#include "harness/recorded_layer.hpp"

#include <algorithm>
#include <utility>

namespace harness {

using datasets::Op;

std::unique_ptr<datasets::PreparedLayer> StatisticsPath::prepare(const datasets::LayerCase& layer) {
    auto prepared = golden_.prepare(layer);
    dynamic_cast<reference::GoldenLayer&>(*prepared).collect_row_statistics(&statistics_);
    return prepared;
}

LayerRecorder::LayerRecorder(datasets::LayerShape shape, std::set<Op> ops)
    : shape_(shape), ops_(std::move(ops)) {}

std::set<Op> LayerRecorder::recorded_ops(bool mlp) {
    std::set<Op> ops{Op::attention_norm, Op::query, Op::key, Op::value, Op::context, Op::output};
    if (mlp) {
        ops.insert({Op::attention_residual, Op::mlp_norm, Op::gelu, Op::fc2, Op::block});
    }
    return ops;
}

std::int64_t LayerRecorder::width(Op op) const {
    return datasets::has_heads(op) ? shape_.width() : datasets::row_width(op, shape_);
}

std::vector<float>& LayerRecorder::tensor(Op op) {
    datasets::LayerCase& current = *cases_[current_];
    return op == Op::attention_norm ? current.input : current.recorded.at(op);
}

// Makes the current case one that nobody else holds.
void LayerRecorder::make_room() {
    std::shared_ptr<datasets::LayerCase>& current = cases_[current_];
    if (current == nullptr || current.use_count() > 1) {
        current = std::make_shared<datasets::LayerCase>();
        current->shape = shape_;
        for (const Op op : ops_) {
            if (op != Op::attention_norm) {
                current->recorded[op];
            }
            tensor(op).resize(static_cast<std::size_t>(shape_.context * width(op)));
        }
    }
    current->weights = {};
}

void LayerRecorder::listen(bool wanted) {
    listening_ = wanted;
    if (wanted) {
        make_room();
    }
}

bool LayerRecorder::wants(Stage stage, Op op) const {
    return listening_ && stage.piece == Piece::layer && ops_.contains(op);
}

void LayerRecorder::accept(Stage, Op op, datasets::Rows rows, const datasets::TensorView& values) {
    const std::int64_t offset = rows.head < 0 ? 0 : rows.head * std::int64_t{datasets::head_width};
    std::vector<float>& into = tensor(op);
    for (std::int64_t row = 0; row < rows.count; ++row) {
        std::ranges::copy(values.row(row), into.begin() + (rows.begin + row) * width(op) + offset);
    }
}

std::shared_ptr<const datasets::LayerCase> LayerRecorder::take(std::string clip, int layer,
                                                               const reference::RowStatistics& statistics,
                                                               datasets::BlockWeights weights) {
    std::shared_ptr<datasets::LayerCase> made = cases_[current_];
    made->clip = std::move(clip);
    made->layer = layer;
    made->weights = std::move(weights);
    made->row_max = statistics.max;
    made->row_log_sum_exp = statistics.log_sum_exp;
    current_ = 1 - current_;
    return made;
}

}  // namespace harness
