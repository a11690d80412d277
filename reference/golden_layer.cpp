#include "reference/golden_layer.hpp"

#include <algorithm>
#include <utility>

#include "datasets/op_weights.hpp"
#include "reference/extent.hpp"
#include "reference/golden_mlp.hpp"
#include "reference/layer_norm.hpp"
#include "reference/projection.hpp"

namespace reference {

using datasets::Clock;
using datasets::head_width;
using datasets::LayerCase;
using datasets::Op;
using datasets::Part;
using datasets::Sink;
using datasets::Source;
using datasets::Work;

GoldenLayer::GoldenLayer(const LayerCase& layer) : GoldenLayer(layer, std::make_shared<WorkspacePool>()) {}

GoldenLayer::GoldenLayer(const LayerCase& layer, std::shared_ptr<WorkspacePool> workspaces)
    : layer_(layer), workspaces_(std::move(workspaces)) {
    check_sizes(layer);
}

void GoldenLayer::check(Work work) const {
    check_work(work, is_whole(layer_) ? datasets::layer_ops : datasets::attention_ops, layer_.shape.heads);
}

// Gives every tensor that the ops up to `output` read or make its place, and pulls those that lie before the
// range. What follows goes block by block.
void GoldenLayer::lay_out(Run& run) const {
    const auto place = [&](Op op) {
        if (run.tensors.contains(op) || datasets::is_square(op)) {
            return;
        }
        const std::int64_t columns =
            datasets::has_heads(op) ? run.heads * std::int64_t{head_width} : layer_.shape.width();
        const Matrix<float> tensor = run.place(op, layer_.shape.context, columns);
        if (!run.computes(op)) {
            const bool one_head = datasets::has_heads(op) && run.heads < layer_.shape.heads;
            run.source.rows(op, {one_head ? run.first_head : -1, 0, tensor.rows},
                            {tensor.data, static_cast<std::size_t>(tensor.rows * columns)});
        }
    };
    for (const datasets::OpInfo& info : datasets::ops_in(run.ops)) {
        if (info.op <= Op::output) {
            std::ranges::for_each(info.inputs, place);
            place(info.op);
        }
    }
}

// The ops whose whole tensors are made one after the other.
void GoldenLayer::pass_rows(const Run& run, Op op) const {
    const Matrix<float> from = run.tensors.at(datasets::info(op).inputs.front());
    const Matrix<float> to = run.tensors.at(op);
    if (op != Op::attention_norm) {
        apply(*datasets::linear_of(layer_.weights, op), run.first_head * std::int64_t{head_width}, from, to);
        return;
    }
    for_each_task(layer_.shape.blocks(), [&](std::int64_t block) {
        const std::int64_t begin = block * datasets::block_rows;
        const std::int64_t count = std::min(datasets::block_rows, from.rows - begin);
        layer_norm(layer_.weights.attention_norm, from.block(begin, count), to.block(begin, count));
    });
}

void GoldenLayer::emit(const Run& run, Op op) const {
    if (!run.emits(op)) {
        return;
    }
    if (!datasets::has_heads(op)) {
        run.push(op, {-1, 0, layer_.shape.context}, run.tensors.at(op));
        return;
    }
    for_each_task(run.heads, [&](std::int64_t index) {
        const auto head = static_cast<int>(index);
        run.push(op, {run.first_head + head, 0, layer_.shape.context}, run.head(op, head));
    });
}

std::vector<Part> GoldenLayer::compute(Work work, const Source& source, Sink& sink) {
    const datasets::LayerShape& shape = layer_.shape;
    check(work);
    const WorkspacePool::Lease workspace(*workspaces_);
    Run run{work.ops, source, sink, *workspace};
    run.first_head = std::max(work.head, 0);
    run.heads = work.head < 0 ? shape.heads : 1;
    lay_out(run);
    if (statistics_ != nullptr && run.computes(Op::probabilities)) {
        const auto size = static_cast<std::size_t>(shape.heads * shape.context);
        statistics_->max.resize(size);
        statistics_->log_sum_exp.resize(size);
    }
    std::vector<Part> parts;
    std::optional<OpSeconds> attention;
    std::optional<OpSeconds> mlp;
    for (const datasets::OpInfo& info : datasets::ops_in(work.ops)) {
        if (Op::scores <= info.op && info.op <= Op::context) {
            attention = attention ? attention : attend(run, shape.context, statistics_);
            parts.push_back(part_of(info.op, attention->of(info.op), Clock::host_share));
        } else if (info.op >= Op::attention_residual) {
            mlp = mlp ? mlp : pass_mlp(run, layer_.weights, shape);
            parts.push_back(part_of(info.op, mlp->of(info.op), Clock::host_share));
        } else {
            Lap lap;
            pass_rows(run, info.op);
            parts.push_back(part_of(info.op, lap(), Clock::host_wall));
            emit(run, info.op);
        }
    }
    return parts;
}

std::vector<Part> GoldenLayer::planned(Work work) const {
    check(work);
    return untimed_parts(work.ops);
}

std::optional<datasets::Site> GoldenLayer::locate(Op, int, std::int64_t, std::int64_t) const {
    return std::nullopt;
}

}  // namespace reference
