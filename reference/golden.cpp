#include "reference/golden.hpp"

#include <tbb/cache_aligned_allocator.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>

#include "reference/attention_rows.hpp"
#include "reference/projection.hpp"
#include "reference/softmax.hpp"

namespace reference {
namespace {

using datasets::Clock;
using datasets::head_width;
using datasets::LayerCase;
using datasets::Op;
using datasets::OpRange;
using datasets::Part;
using datasets::Rows;
using datasets::Sink;
using datasets::Source;
using datasets::Work;

using Buffer = std::vector<float, tbb::cache_aligned_allocator<float>>;

// Rows of one attention task: as large as keeps a slab of scores in the second-level cache of current CPUs at
// the usual contexts, because every task packs the head's keys and values anew.
constexpr std::int64_t attention_rows = 192;

// Floats in one cache line: slabs are padded to it, so that every row begins on a line.
constexpr std::int64_t line = 16;

// Seconds since the last lap.
class Lap {
public:
    double operator()() {
        const auto now = std::chrono::steady_clock::now();
        const double seconds = std::chrono::duration<double>(now - last_).count();
        last_ = now;
        return seconds;
    }

private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Task time per op; what is not an op's own work counts as `other`.
struct TaskSeconds {
    double scores = 0;
    double probabilities = 0;
    double context = 0;
    double other = 0;

    void add(const TaskSeconds& other_task) {
        scores += other_task.scores;
        probabilities += other_task.probabilities;
        context += other_task.context;
        other += other_task.other;
    }
    [[nodiscard]] TaskSeconds scaled(double by) const {
        return {scores * by, probabilities * by, context * by, other * by};
    }
    [[nodiscard]] double sum() const { return scores + probabilities + context + other; }
    [[nodiscard]] double of(Op op) const {
        return op == Op::scores ? scores : (op == Op::probabilities ? probabilities : context);
    }
};

// What one thread reuses from task to task.
struct Scratch {
    Buffer square;
    std::array<float, attention_rows> row_max{};
    std::array<float, attention_rows> row_sum{};
    TaskSeconds seconds;
};

// Tasks wait inside sources and sinks only for work of their own: a thread that took another row block
// meanwhile would overwrite its scratch.
void pull(const Source& source, Op op, Rows rows, std::span<float> out) {
    tbb::this_task_arena::isolate([&] { source.rows(op, rows, out); });
}

// Pushes the rows in canonical blocks.
void push(Sink& sink, Op op, Rows rows, ConstMatrix<float> values) {
    for (std::int64_t begin = 0; begin < rows.count; begin += datasets::block_rows) {
        const std::int64_t count = std::min(datasets::block_rows, rows.count - begin);
        const ConstMatrix<float> block = values.block(begin, count);
        const datasets::TensorView view{block.data, count, block.columns, block.stride};
        tbb::this_task_arena::isolate([&] { sink.accept(op, {rows.head, rows.begin + begin, count}, view); });
    }
}

// One call of `compute`. Tensors hold the heads of the run only, [time, heads x 64].
struct Run {
    OpRange ops;
    int first_head;
    int heads;
    const Source& source;
    Sink& sink;
    RowStatistics* statistics;
    std::map<Op, Matrix<float>> tensors;

    [[nodiscard]] bool computes(Op op) const { return ops.contains(op); }
    [[nodiscard]] bool emits(Op op) const { return ops.contains(op) && sink.wants(op); }
    [[nodiscard]] Matrix<float> head(Op op, int index) const {
        return tensors.at(op).slice(index * std::int64_t{head_width}, head_width);
    }
};

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

void check(Work work, const datasets::LayerShape& shape) {
    if (work.ops.first > work.ops.last || !datasets::attention_ops.contains(work.ops.first) ||
        !datasets::attention_ops.contains(work.ops.last)) {
        throw std::invalid_argument("the golden path computes ranges of the attention only");
    }
    if (work.head < -1 || work.head >= shape.heads || (work.head >= 0 && work.ops.contains(Op::output))) {
        throw std::invalid_argument("no head " + std::to_string(work.head) + " of these ops");
    }
}

void keep_statistics(const Task& task, std::int64_t context) {
    const auto at = static_cast<std::size_t>(task.rows.head * context + task.rows.begin);
    for (std::size_t i = 0; i < task.row_max.size(); ++i) {
        const double maximum{task.row_max[i]};
        task.run.statistics->max[at + i] = task.row_max[i];
        task.run.statistics->log_sum_exp[at + i] =
            static_cast<float>(maximum + std::log(double{task.row_sum[i]}));
    }
}

// Scores, or what the source has instead of the first op of the range, then their exponentials.
void begin_rows(const Task& task, Lap& lap, TaskSeconds& seconds) {
    const Run& run = task.run;
    const bool softmax = run.computes(Op::probabilities);
    if (run.computes(Op::scores)) {
        gemm(Transpose::no, Transpose::yes, score_scale, task.part(Op::query), run.head(Op::key, task.head),
             0.0F, task.square);
        seconds.scores += lap();
        if (run.emits(Op::scores)) {
            push(run.sink, Op::scores, task.rows, task.square);
        }
    } else {
        pull(run.source, softmax ? Op::scores : Op::probabilities, task.rows,
             {task.square.data, static_cast<std::size_t>(task.square.rows * task.square.columns)});
    }
    seconds.other += lap();
    if (softmax) {
        exponentials(task.square, task.row_max, task.row_sum);
        seconds.probabilities += lap();
    }
}

// Context from the exponentials (or from the source's probabilities), then the probabilities where they are
// asked for: in this order the context does not depend on who listens.
void end_rows(const Task& task, Lap& lap, TaskSeconds& seconds) {
    const Run& run = task.run;
    if (run.computes(Op::context)) {
        gemm(Transpose::no, Transpose::no, 1.0F, task.square, run.head(Op::value, task.head), 0.0F,
             task.part(Op::context));
        if (run.computes(Op::probabilities)) {
            divide_rows(task.part(Op::context), task.row_sum);
        }
        seconds.context += lap();
    }
    if (run.emits(Op::probabilities) || run.ops.last == Op::probabilities) {
        divide_rows(task.square, task.row_sum);
        seconds.probabilities += lap();
    }
    if (run.emits(Op::probabilities)) {
        push(run.sink, Op::probabilities, task.rows, task.square);
    }
    if (run.emits(Op::context)) {
        push(run.sink, Op::context, task.rows, task.part(Op::context));
    }
    seconds.other += lap();
}

Part part_of(Op op, double seconds, Clock clock) {
    Part part;
    part.ops = {op, op};
    part.seconds = seconds;
    part.clock = clock;
    return part;
}

bool inside_blocks(Op op) {
    return Op::scores <= op && op <= Op::context;
}

}  // namespace

struct GoldenLayer::State {
    const LayerCase& layer;
    RowStatistics* statistics = nullptr;
    std::map<Op, Buffer> buffers;  // kept from run to run
    tbb::enumerable_thread_specific<Scratch> scratches;

    explicit State(const LayerCase& of) : layer(of) {}

    void lay_out(Run& run);
    void emit_tensor(const Run& run, Op op) const;
    [[nodiscard]] double project(const Run& run, Op op) const;
    void attend(const Run& run, int head, std::int64_t begin);
    [[nodiscard]] TaskSeconds attention(const Run& run);
};

// Gives every tensor that the range reads or makes its place, and pulls those that lie before the range.
void GoldenLayer::State::lay_out(Run& run) {
    const auto place = [&](Op op) {
        if (run.tensors.contains(op) || datasets::info(op).form == datasets::Form::square) {
            return;
        }
        const std::int64_t rows = layer.shape.context;
        const std::int64_t columns =
            datasets::has_heads(op) ? run.heads * std::int64_t{head_width} : layer.shape.width();
        Buffer& buffer = buffers[op];
        buffer.resize(static_cast<std::size_t>(rows * columns));
        run.tensors[op] = dense(buffer.data(), rows, columns);
        if (!run.computes(op)) {
            const bool one_head = datasets::has_heads(op) && run.heads < layer.shape.heads;
            run.source.rows(op, {one_head ? run.first_head : -1, 0, rows}, buffer);
        }
    };
    for (const datasets::OpInfo& info : datasets::ops_in(run.ops)) {
        std::ranges::for_each(info.inputs, place);
        place(info.op);
    }
}

void GoldenLayer::State::emit_tensor(const Run& run, Op op) const {
    if (!run.emits(op)) {
        return;
    }
    if (!datasets::has_heads(op)) {
        push(run.sink, op, {-1, 0, layer.shape.context}, run.tensors.at(op));
        return;
    }
    tbb::parallel_for(0, run.heads, [&](int head) {
        push(run.sink, op, {run.first_head + head, 0, layer.shape.context}, run.head(op, head));
    });
}

// Returns its wall time.
double GoldenLayer::State::project(const Run& run, Op op) const {
    const Op from = datasets::info(op).inputs.front();
    Lap lap;
    apply(linear_of(op, layer.weights.attention), run.first_head * std::int64_t{head_width},
          run.tensors.at(from), run.tensors.at(op));
    return lap();
}

void GoldenLayer::State::attend(const Run& run, int head, std::int64_t begin) {
    Scratch& scratch = scratches.local();
    const std::int64_t keys = layer.shape.context;
    const std::int64_t count = std::min(attention_rows, keys - begin);
    // A source fills dense rows.
    const std::int64_t stride = run.computes(Op::scores) ? (keys + line - 1) / line * line : keys;
    const auto size = static_cast<std::size_t>(std::min(attention_rows, keys) * stride);
    if (scratch.square.size() < size) {
        scratch.square.resize(size);
    }
    const auto rows = static_cast<std::size_t>(count);
    const Task task{run,
                    head,
                    {run.first_head + head, begin, count},
                    {scratch.square.data(), count, keys, stride},
                    std::span(scratch.row_max).first(rows),
                    std::span(scratch.row_sum).first(rows)};
    Lap lap;
    begin_rows(task, lap, scratch.seconds);
    if (run.statistics != nullptr && run.computes(Op::probabilities)) {
        keep_statistics(task, keys);
    }
    end_rows(task, lap, scratch.seconds);
}

// Returns wall time, split over the ops by their task times.
TaskSeconds GoldenLayer::State::attention(const Run& run) {
    for (Scratch& scratch : scratches) {
        scratch.seconds = {};
    }
    const std::int64_t blocks = (layer.shape.context + attention_rows - 1) / attention_rows;
    Lap lap;
    tbb::parallel_for(
        tbb::blocked_range<std::int64_t>(0, run.heads * blocks, 1),
        [&](const tbb::blocked_range<std::int64_t>& range) {
            for (std::int64_t task = range.begin(); task < range.end(); ++task) {
                attend(run, static_cast<int>(task / blocks), task % blocks * attention_rows);
            }
        },
        tbb::simple_partitioner{});
    const double wall = lap();
    TaskSeconds total;
    for (const Scratch& scratch : scratches) {
        total.add(scratch.seconds);
    }
    return total.scaled(wall / total.sum());
}

GoldenLayer::GoldenLayer(const LayerCase& layer) : state_(std::make_unique<State>(layer)) {
    check_sizes(layer);
}

GoldenLayer::~GoldenLayer() = default;

void GoldenLayer::collect_row_statistics(RowStatistics* statistics) {
    state_->statistics = statistics;
}

std::vector<Part> GoldenLayer::compute(Work work, const Source& source, Sink& sink) {
    const datasets::LayerShape& shape = state_->layer.shape;
    check(work, shape);
    const int heads = work.head < 0 ? shape.heads : 1;
    Run run{work.ops, std::max(work.head, 0), heads, source, sink, state_->statistics, {}};
    state_->lay_out(run);
    if (run.statistics != nullptr && run.computes(Op::probabilities)) {
        const auto size = static_cast<std::size_t>(shape.heads * shape.context);
        run.statistics->max.resize(size);
        run.statistics->log_sum_exp.resize(size);
    }
    std::vector<Part> parts;
    std::optional<TaskSeconds> shares;
    for (const datasets::OpInfo& info : datasets::ops_in(work.ops)) {
        if (inside_blocks(info.op)) {
            if (!shares) {
                shares = state_->attention(run);
            }
            parts.push_back(part_of(info.op, shares->of(info.op), Clock::host_share));
        } else {
            parts.push_back(part_of(info.op, state_->project(run, info.op), Clock::host_wall));
            state_->emit_tensor(run, info.op);
        }
    }
    return parts;
}

std::vector<Part> GoldenLayer::planned(Work work) const {
    check(work, state_->layer.shape);
    std::vector<Part> parts;
    for (const datasets::OpInfo& info : datasets::ops_in(work.ops)) {
        parts.push_back(part_of(info.op, 0, Clock::none));
    }
    return parts;
}

std::optional<datasets::Site> GoldenLayer::locate(Op, int, std::int64_t, std::int64_t) const {
    return std::nullopt;
}

std::span<const OpRange> GoldenPath::steps() const {
    static constexpr std::array<OpRange, datasets::attention_op_count> alone{{
        {Op::query, Op::query},
        {Op::key, Op::key},
        {Op::value, Op::value},
        {Op::scores, Op::scores},
        {Op::probabilities, Op::probabilities},
        {Op::context, Op::context},
        {Op::output, Op::output},
    }};
    return alone;
}

bool GoldenPath::emits(Op op) const {
    return datasets::attention_ops.contains(op);
}

datasets::Arithmetic GoldenPath::arithmetic(Op op) const {
    datasets::Arithmetic arithmetic;
    // 2^-22 + |x| 2^-23 at its worst, x = -87.
    arithmetic.exp_error = op == Op::probabilities ? 0x1p-22 + 0x57p-23 : 0;
    return arithmetic;
}

std::unique_ptr<datasets::PreparedLayer> GoldenPath::prepare(const LayerCase& layer) {
    return std::make_unique<GoldenLayer>(layer);
}

}  // namespace reference
