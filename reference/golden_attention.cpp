#include "reference/golden_attention.hpp"

#include <algorithm>
#include <cmath>

#include "reference/projection.hpp"
#include "reference/softmax.hpp"

namespace reference {
namespace {

using datasets::Op;
using datasets::Rows;

// Rows of one attention task: as large as keeps a slab of scores in the second-level cache of current CPUs at
// the usual contexts, because every task packs the head's keys and values anew.
constexpr std::int64_t attention_rows = 192;

// Floats in one cache line: slabs are padded to it, so that every row begins on a line.
constexpr std::int64_t line = 16;

// One attention task: what it computes, and where.
struct Task {
    const Run& run;
    int head;  // of the run
    Rows rows;
    Matrix<float> square;
    std::span<float> row_max;
    std::span<float> row_sum;

    [[nodiscard]] Matrix<float> part(Op op) const { return run.head(op, head).block(rows.begin, rows.count); }
};

void keep_statistics(const Task& task, std::int64_t context, RowStatistics& statistics) {
    const auto at = static_cast<std::size_t>(task.rows.head * context + task.rows.begin);
    for (std::size_t i = 0; i < task.row_max.size(); ++i) {
        const double maximum{task.row_max[i]};
        statistics.max[at + i] = task.row_max[i];
        statistics.log_sum_exp[at + i] = static_cast<float>(maximum + std::log(double{task.row_sum[i]}));
    }
}

// Scores, or what the source has instead of the first op of the range, then their exponentials.
void begin_rows(const Task& task, TaskClock& clock) {
    const Run& run = task.run;
    const bool softmax = run.computes(Op::probabilities);
    if (run.computes(Op::scores)) {
        gemm(Transpose::no, Transpose::yes, score_scale, task.part(Op::query), run.head(Op::key, task.head),
             0.0F, task.square);
        clock.charge_and_push(Op::scores, task.rows, task.square);
    } else {
        run.pull(softmax ? Op::scores : Op::probabilities, task.rows,
                 {task.square.data, static_cast<std::size_t>(task.square.rows * task.square.columns)});
        clock.skip();
    }
    if (softmax) {
        exponentials(task.square, task.row_max, task.row_sum);
        clock.charge(Op::probabilities);
    }
}

// Context from the exponentials (or from the source's probabilities), then the probabilities where they are
// asked for: in this order the context does not depend on who listens.
void end_rows(const Task& task, TaskClock& clock) {
    const Run& run = task.run;
    if (run.computes(Op::context)) {
        gemm(Transpose::no, Transpose::no, 1.0F, task.square, run.head(Op::value, task.head), 0.0F,
             task.part(Op::context));
        if (run.computes(Op::probabilities)) {
            divide_rows(task.part(Op::context), task.row_sum);
        }
        clock.charge(Op::context);
    }
    if (run.emits(Op::probabilities) || run.ops.last == Op::probabilities) {
        divide_rows(task.square, task.row_sum);
        clock.charge(Op::probabilities);
    }
    run.push(Op::probabilities, task.rows, task.square);
    if (run.computes(Op::context)) {
        run.push(Op::context, task.rows, task.part(Op::context));
    }
    clock.skip();
}

}  // namespace

OpSeconds attend(const Run& run, std::int64_t context, RowStatistics* statistics) {
    // A source fills dense rows.
    const std::int64_t stride = run.computes(Op::scores) ? (context + line - 1) / line * line : context;
    const std::int64_t blocks = (context + attention_rows - 1) / attention_rows;
    return for_each_timed_task(run.workspace, run.heads * blocks, [&](std::int64_t index, Scratch& scratch) {
        const auto head = static_cast<int>(index / blocks);
        const std::int64_t begin = index % blocks * attention_rows;
        const std::int64_t count = std::min(attention_rows, context - begin);
        scratch.row_max.resize(attention_rows);
        scratch.row_sum.resize(attention_rows);
        const auto rows = static_cast<std::size_t>(count);
        const Task task{run,
                        head,
                        {run.first_head + head, begin, count},
                        Scratch::matrix(scratch.square, count, stride).slice(0, context),
                        std::span(scratch.row_max).first(rows),
                        std::span(scratch.row_sum).first(rows)};
        TaskClock clock(run, scratch.seconds);
        begin_rows(task, clock);
        if (statistics != nullptr && run.computes(Op::probabilities)) {
            keep_statistics(task, context, *statistics);
        }
        end_rows(task, clock);
    });
}

}  // namespace reference
