// What the pieces of the golden path share: the memory that they work in, one call of `compute`, and the
// clock that splits its time over the ops.
#pragma once

#include <tbb/cache_aligned_allocator.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "datasets/path.hpp"
#include "reference/blas.hpp"

namespace reference {

using Buffer = std::vector<float, tbb::cache_aligned_allocator<float>>;

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

// Time per op; what is not an op's own work (pulling, pushing) counts as `other`.
struct OpSeconds {
    std::array<double, datasets::op_count> by_op{};
    double other = 0;

    double& of(datasets::Op op) { return by_op[static_cast<std::size_t>(op)]; }
    [[nodiscard]] double of(datasets::Op op) const { return by_op[static_cast<std::size_t>(op)]; }
    [[nodiscard]] double sum() const;
    void add(const OpSeconds& task);
    void scale(double by);
};

// What one thread reuses from task to task.
struct Scratch {
    Buffer square;    // attention: a slab of scores
    Buffer rows;      // [rows, width]
    Buffer residual;  // [rows, width]
    Buffer wide;      // [rows, 4 width] of the MLP, or [rows, 3 inputs] of a convolution
    std::vector<float> row_max;
    std::vector<float> row_sum;
    OpSeconds seconds;

    // A dense matrix over one of the buffers, which grows to hold it.
    static Matrix<float> matrix(Buffer& buffer, std::int64_t rows, std::int64_t columns);
};

// The memory of one call: whole tensors by op, and the scratch of its threads.
struct Workspace {
    std::map<datasets::Op, Buffer> tensors;
    tbb::enumerable_thread_specific<Scratch> scratches;
};

// Workspaces that are free. A call borrows one and gives it back, so that the pieces of an encoder that run
// one after the other use the same memory, already paged in. Thread-safe.
class WorkspacePool {
public:
    // Borrows for as long as it lives. The pool must outlive it.
    class Lease {
    public:
        explicit Lease(WorkspacePool& pool) : pool_(pool), workspace_(pool.take()) {}
        ~Lease() { pool_.give_back(std::move(workspace_)); }
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;

        [[nodiscard]] Workspace& operator*() const { return *workspace_; }

    private:
        WorkspacePool& pool_;
        std::unique_ptr<Workspace> workspace_;
    };

private:
    std::unique_ptr<Workspace> take();
    void give_back(std::unique_ptr<Workspace> workspace);

    std::mutex mutex_;
    std::vector<std::unique_ptr<Workspace>> free_;
};

// One call of `compute`: what it was asked for, and where its tensors are. Tensors of a layer hold the
// heads of the run only, [time, heads x 64].
struct Run {
    datasets::OpRange ops;
    const datasets::Source& source;
    datasets::Sink& sink;
    Workspace& workspace;
    std::map<datasets::Op, Matrix<float>> tensors{};
    int first_head = 0;
    int heads = 0;

    [[nodiscard]] bool computes(datasets::Op op) const { return ops.contains(op); }
    [[nodiscard]] bool emits(datasets::Op op) const { return ops.contains(op) && sink.wants(op); }
    [[nodiscard]] Matrix<float> head(datasets::Op op, int index) const {
        return tensors.at(op).slice(index * std::int64_t{datasets::head_width}, datasets::head_width);
    }

    // Gives `op` a place in the workspace.
    Matrix<float> place(datasets::Op op, std::int64_t rows, std::int64_t columns);

    // Rows of an op: out of its tensor where the run has it whole, else pulled into `place`, which is dense.
    [[nodiscard]] ConstMatrix<float> rows_of(datasets::Op op, datasets::Rows rows, Matrix<float> place) const;

    // Pulls dense rows. Tasks wait inside sources and sinks only for work of their own: a thread that took
    // another task meanwhile would overwrite its scratch.
    void pull(datasets::Op op, datasets::Rows rows, std::span<float> out) const;

    // Pushes rows in canonical blocks, where the sink wants them.
    void push(datasets::Op op, datasets::Rows rows, ConstMatrix<float> values) const;
};

// The work of one task on one op after the other: charges each op the time since the last one and pushes it.
class TaskClock {
public:
    TaskClock(const Run& run, OpSeconds& seconds) : run_(run), seconds_(seconds) {}

    // What happened since the last call was not an op's own work.
    void skip() { seconds_.other += lap_(); }
    void charge(datasets::Op op) { seconds_.of(op) += lap_(); }
    void charge_and_push(datasets::Op op, datasets::Rows rows, ConstMatrix<float> values) {
        charge(op);
        run_.push(op, rows, values);
        skip();
    }

private:
    const Run& run_;
    OpSeconds& seconds_;
    Lap lap_;
};

// Calls body(task) for every task of 0 .. tasks - 1, in parallel, one by one.
template <typename Body>
void for_each_task(std::int64_t tasks, const Body& body) {
    tbb::parallel_for(
        tbb::blocked_range<std::int64_t>(0, tasks, 1),
        [&](const tbb::blocked_range<std::int64_t>& range) {
            for (std::int64_t task = range.begin(); task < range.end(); ++task) {
                body(task);
            }
        },
        tbb::simple_partitioner{});
}

// The same with the thread's scratch: body(task, scratch). Returns the wall time, split over the ops as the
// tasks split theirs in scratch.seconds.
OpSeconds share_of_tasks(Workspace& workspace, double wall);

template <typename Body>
OpSeconds for_each_timed_task(Workspace& workspace, std::int64_t tasks, const Body& body) {
    for (Scratch& scratch : workspace.scratches) {
        scratch.seconds = {};
    }
    Lap lap;
    for_each_task(tasks, [&](std::int64_t task) { body(task, workspace.scratches.local()); });
    return share_of_tasks(workspace, lap());
}

datasets::Part part_of(datasets::Op op, double seconds, datasets::Clock clock);

// One part per op without time.
std::vector<datasets::Part> untimed_parts(datasets::OpRange ops);

// Throws std::invalid_argument where the work is not a range within `available`, names a head that does not
// exist, or a single head of ops without heads.
void check_work(datasets::Work work, datasets::OpRange available, int heads);

}  // namespace reference
