#include "reference/golden_run.hpp"

#include <tbb/task_arena.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

namespace reference {

using datasets::Op;
using datasets::OpRange;
using datasets::Part;
using datasets::Rows;

double OpSeconds::sum() const {
    return std::accumulate(by_op.begin(), by_op.end(), other);
}

void OpSeconds::add(const OpSeconds& task) {
    std::ranges::transform(by_op, task.by_op, by_op.begin(), std::plus<>());
    other += task.other;
}

void OpSeconds::scale(double by) {
    for (double& seconds : by_op) {
        seconds *= by;
    }
    other *= by;
}

Matrix<float> Scratch::matrix(Buffer& buffer, std::int64_t rows, std::int64_t columns) {
    const auto size = static_cast<std::size_t>(rows * columns);
    if (buffer.size() < size) {
        buffer.resize(size);
    }
    return dense(buffer.data(), rows, columns);
}

std::unique_ptr<Workspace> WorkspacePool::take() {
    const std::scoped_lock lock(mutex_);
    if (free_.empty()) {
        return std::make_unique<Workspace>();
    }
    std::unique_ptr<Workspace> workspace = std::move(free_.back());
    free_.pop_back();
    return workspace;
}

void WorkspacePool::give_back(std::unique_ptr<Workspace> workspace) {
    const std::scoped_lock lock(mutex_);
    free_.push_back(std::move(workspace));
}

Matrix<float> Run::place(Op op, std::int64_t rows, std::int64_t columns) {
    Buffer& buffer = workspace.tensors[op];
    buffer.resize(static_cast<std::size_t>(rows * columns));
    return tensors[op] = dense(buffer.data(), rows, columns);
}

ConstMatrix<float> Run::rows_of(Op op, Rows rows, Matrix<float> place) const {
    const auto whole = tensors.find(op);
    if (whole != tensors.end()) {
        return whole->second.block(rows.begin, rows.count);
    }
    pull(op, rows, {place.data, static_cast<std::size_t>(place.rows * place.columns)});
    return place;
}

void Run::pull(Op op, Rows rows, std::span<float> out) const {
    tbb::this_task_arena::isolate([&] { source.rows(op, rows, out); });
}

void Run::push(Op op, Rows rows, ConstMatrix<float> values) const {
    if (!emits(op)) {
        return;
    }
    for (std::int64_t begin = 0; begin < rows.count; begin += datasets::block_rows) {
        const std::int64_t count = std::min(datasets::block_rows, rows.count - begin);
        const ConstMatrix<float> block = values.block(begin, count);
        const datasets::TensorView view{block.data, count, block.columns, block.stride};
        tbb::this_task_arena::isolate([&] { sink.accept(op, {rows.head, rows.begin + begin, count}, view); });
    }
}

OpSeconds share_of_tasks(Workspace& workspace, double wall) {
    OpSeconds total;
    for (const Scratch& scratch : workspace.scratches) {
        total.add(scratch.seconds);
    }
    total.scale(wall / total.sum());
    return total;
}

Part part_of(Op op, double seconds, datasets::Clock clock) {
    Part part;
    part.ops = {op, op};
    part.seconds = seconds;
    part.clock = clock;
    return part;
}

std::vector<Part> untimed_parts(OpRange ops) {
    std::vector<Part> parts;
    for (const datasets::OpInfo& info : datasets::ops_in(ops)) {
        parts.push_back(part_of(info.op, 0, datasets::Clock::none));
    }
    return parts;
}

void check_work(datasets::Work work, OpRange available, int heads) {
    const auto [first, last] = work.ops;
    if (first > last || !available.contains(first) || !available.contains(last)) {
        throw std::invalid_argument("the golden path has " + std::string(datasets::name(available.first)) +
                                    " to " + std::string(datasets::name(available.last)) + " here, not " +
                                    std::string(datasets::name(first)) + " to " +
                                    std::string(datasets::name(last)));
    }
    const bool headed = std::ranges::all_of(datasets::ops_in(work.ops),
                                            [](const auto& info) { return datasets::has_heads(info.op); });
    if (work.head < -1 || work.head >= heads || (work.head >= 0 && !headed)) {
        throw std::invalid_argument("no head " + std::to_string(work.head) + " of these ops");
    }
}

}  // namespace reference
