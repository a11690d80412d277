#include "reference/golden_stem.hpp"

#include <algorithm>
#include <utility>

#include "reference/elementwise.hpp"
#include "reference/extent.hpp"
#include "reference/layer_norm.hpp"
#include "reference/projection.hpp"

namespace reference {
namespace {

using datasets::Clock;
using datasets::Op;
using datasets::Part;
using datasets::Rows;

// Frames side by side in a row of a convolution's strip.
constexpr std::int64_t taps = 3;

// Rows of one task. Each packs the weights of the convolution anew, so blocks are tall; shorter ones balance
// better over many threads.
constexpr std::int64_t stem_rows = 384;

// [out, in, tap] -> [out, tap, in].
datasets::Linear pack(const datasets::Linear& published, std::int64_t inputs) {
    datasets::Linear packed = published;
    const std::int64_t outputs = static_cast<std::int64_t>(published.weight.size()) / (inputs * taps);
    for (std::int64_t out = 0; out < outputs; ++out) {
        for (std::int64_t in = 0; in < inputs; ++in) {
            for (std::int64_t tap = 0; tap < taps; ++tap) {
                packed.weight[static_cast<std::size_t>((out * taps + tap) * inputs + in)] =
                    published.weight[static_cast<std::size_t>((out * inputs + in) * taps + tap)];
            }
        }
    }
    return packed;
}

// Row i of the strip: frames (begin + i) stride - 1 .. + 1 of `from`, zeros where there are none.
void gather(ConstMatrix<float> from, std::int64_t begin, std::int64_t stride, Matrix<float> strip) {
    for (std::int64_t i = 0; i < strip.rows; ++i) {
        for (std::int64_t tap = 0; tap < taps; ++tap) {
            const std::int64_t frame = (begin + i) * stride + tap - 1;
            float* to = strip.row(i).data() + tap * from.columns;
            if (0 <= frame && frame < from.rows) {
                std::ranges::copy(from.row(frame), to);
            } else {
                std::fill_n(to, from.columns, 0.0F);
            }
        }
    }
}

// result [rows, width], dense: rows from `begin` of gelu(conv(from) + bias).
void convolve(const datasets::Linear& packed, ConstMatrix<float> from, std::int64_t begin,
              std::int64_t stride, Scratch& scratch, Matrix<float> result) {
    const Matrix<float> strip = Scratch::matrix(scratch.wide, result.rows, taps * from.columns);
    gather(from, begin, stride, strip);
    apply_rows(packed, 0, strip, result);
    gelu({result.data, static_cast<std::size_t>(result.rows * result.columns)});
}

std::int64_t tasks_for(std::int64_t rows) {
    return (rows + stem_rows - 1) / stem_rows;
}

Rows rows_of_task(std::int64_t task, std::int64_t rows) {
    return {-1, task * stem_rows, std::min(stem_rows, rows - task * stem_rows)};
}

}  // namespace

GoldenStem::GoldenStem(const datasets::StemCase& stem, std::shared_ptr<WorkspacePool> workspaces)
    : stem_(stem), workspaces_(std::move(workspaces)) {
    check_sizes(stem);
    conv1_ = pack(stem.weights.conv1, stem.shape.mels);
    conv2_ = pack(stem.weights.conv2, stem.shape.width());
}

// Makes the tensor of conv1, or pulls it where the range begins behind it. Returns the wall time.
double GoldenStem::pass_conv1(Run& run) const {
    const datasets::StemShape& shape = stem_.shape;
    const auto whole = [&](Op op) {
        const Matrix<float> tensor = run.place(op, shape.frames, datasets::row_width(op, shape));
        if (!run.computes(op)) {
            run.source.rows(op, {-1, 0, tensor.rows},
                            {tensor.data, static_cast<std::size_t>(tensor.rows * tensor.columns)});
        }
        return tensor;
    };
    const Matrix<float> to = whole(Op::conv1);
    if (!run.computes(Op::conv1)) {
        return 0;
    }
    const Matrix<float> mel = whole(Op::mel);
    Lap lap;
    for_each_task(tasks_for(shape.frames), [&](std::int64_t task) {
        const Rows rows = rows_of_task(task, shape.frames);
        convolve(conv1_, mel, rows.begin, 1, run.workspace.scratches.local(),
                 to.block(rows.begin, rows.count));
    });
    const double seconds = lap();
    run.push(Op::conv1, {-1, 0, shape.frames}, to);
    return seconds;
}

OpSeconds GoldenStem::pass_conv2(Run& run) const {
    const datasets::StemShape& shape = stem_.shape;
    const std::int64_t context = shape.context();
    const ConstMatrix<float> positions = dense(stem_.weights.positions.data(), context, shape.width());
    return for_each_timed_task(run.workspace, tasks_for(context), [&](std::int64_t task, Scratch& scratch) {
        const Rows rows = rows_of_task(task, context);
        const Matrix<float> result = Scratch::matrix(scratch.rows, rows.count, shape.width());
        TaskClock clock(run, scratch.seconds);
        if (run.computes(Op::conv2)) {
            convolve(conv2_, run.tensors.at(Op::conv1), rows.begin, shape.stride, scratch, result);
            clock.charge_and_push(Op::conv2, rows, result);
        } else {
            static_cast<void>(run.rows_of(Op::conv2, rows, result));
            clock.skip();
        }
        if (run.computes(Op::embedding)) {
            add(result, positions.block(rows.begin, rows.count), result);
            clock.charge_and_push(Op::embedding, rows, result);
        }
    });
}

std::vector<Part> GoldenStem::compute(datasets::Work work, const datasets::Source& source,
                                      datasets::Sink& sink) {
    std::vector<Part> parts = planned(work);
    const WorkspacePool::Lease workspace(*workspaces_);
    Run run{work.ops, source, sink, *workspace};
    if (work.ops.first < Op::embedding) {
        const double conv1 = pass_conv1(run);
        if (run.computes(Op::conv1)) {
            parts.front() = part_of(Op::conv1, conv1, Clock::host_wall);
        }
    }
    if (work.ops.last > Op::conv1) {
        const OpSeconds shares = pass_conv2(run);
        for (Part& part : parts) {
            if (part.ops.first > Op::conv1) {
                part = part_of(part.ops.first, shares.of(part.ops.first), Clock::host_share);
            }
        }
    }
    return parts;
}

std::vector<Part> GoldenStem::planned(datasets::Work work) const {
    check_work(work, datasets::stem_ops, stem_.shape.heads);
    return untimed_parts(work.ops);
}

std::optional<datasets::Site> GoldenStem::locate(Op, int, std::int64_t, std::int64_t) const {
    return std::nullopt;
}

GoldenEnd::GoldenEnd(const datasets::EndCase& end, std::shared_ptr<WorkspacePool> workspaces)
    : end_(end), workspaces_(std::move(workspaces)) {
    check_sizes(end);
}

std::vector<Part> GoldenEnd::compute(datasets::Work work, const datasets::Source& source,
                                     datasets::Sink& sink) {
    check_work(work, datasets::end_ops, end_.shape.heads);
    const datasets::LayerShape& shape = end_.shape;
    const WorkspacePool::Lease workspace(*workspaces_);
    const Run run{work.ops, source, sink, *workspace};
    const OpSeconds shares =
        for_each_timed_task(*workspace, shape.blocks(), [&](std::int64_t block, Scratch& scratch) {
            const std::int64_t begin = block * datasets::block_rows;
            const Rows rows{-1, begin, std::min(datasets::block_rows, shape.context - begin)};
            const Matrix<float> result = Scratch::matrix(scratch.rows, rows.count, shape.width());
            TaskClock clock(run, scratch.seconds);
            const ConstMatrix<float> from = run.rows_of(Op::block, rows, result);
            clock.skip();
            layer_norm(end_.norm, from, result);
            clock.charge_and_push(Op::encoder, rows, result);
        });
    return {part_of(Op::encoder, shares.of(Op::encoder), Clock::host_share)};
}

std::vector<Part> GoldenEnd::planned(datasets::Work work) const {
    check_work(work, datasets::end_ops, end_.shape.heads);
    return untimed_parts(work.ops);
}

std::optional<datasets::Site> GoldenEnd::locate(Op, int, std::int64_t, std::int64_t) const {
    return std::nullopt;
}

}  // namespace reference
