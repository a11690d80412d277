#include "npu_impl/layer_run.hpp"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "npu_impl/packing.hpp"

namespace npu_impl {
namespace {

using datasets::Op;
using datasets::Rows;

constexpr std::int64_t side = kernels::tile;

std::int64_t wave_rows(const LayerPlan& plan, std::size_t wave) {
    return static_cast<std::int64_t>(plan.waves[wave].size()) * side;
}

// What the launches of one wave write. Context lies as [time, channel], where a wave touches whole row
// blocks.
ByteRange written(const LayerPlan& plan, Op op, std::size_t wave) {
    const TensorLayout layout = plan.layout(op);
    if (lives_in_waves(op)) {
        return {0, wave_rows(plan, wave) * layout.stride()};
    }
    if (op == Op::context) {
        const std::vector<Pair>& pairs = plan.waves[wave];
        const std::int64_t blocks = pairs.back().row - pairs.front().row + 1;
        return {pairs.front().row * side * layout.stride(), blocks * side * layout.stride()};
    }
    return {0, layout.bytes()};
}

ByteRange poisoned_at_once(const LayerPlan& plan, Op op) {
    return {0, plan.layout(op).bytes()};
}

GuardedOutput guarded(const LayerPlan& plan, const LayerBuffers& buffers, Op op, ByteRange range) {
    const std::int64_t end = lives_in_waves(op) ? range.begin + range.bytes : plan.layout(op).bytes();
    return {buffers.tensor[tensor_index(op)].value(), range, end};
}

std::int64_t upload_bytes(const LayerPlan& plan, Op op) {
    if (!lives_in_waves(op)) {
        return plan.layout(op).bytes();
    }
    std::int64_t bytes = 0;
    for (std::size_t wave = 0; wave < plan.waves.size(); ++wave) {
        bytes += wave_rows(plan, wave) * plan.layout(op).stride();
    }
    return bytes;
}

std::int64_t output_bytes(const LayerPlan& plan, const StepPlan& step) {
    const Op op = step.ops.last;
    const LayerBuffers none;
    if (!step.square()) {
        return 2 * (written(plan, op, 0).bytes + guard_bytes);
    }
    std::int64_t bytes = op == Op::context ? poisoned_at_once(plan, op).bytes + guard_bytes : 0;
    for (std::size_t wave = 0; wave < plan.waves.size(); ++wave) {
        bytes += (op == Op::context ? 1 : 2) * (written(plan, op, wave).bytes + guard_bytes);
    }
    return bytes;
}

class Run {
public:
    Run(Device& device, const LayerSchedule& schedule, const LayerBuffers& buffers, datasets::OpRange ops,
        const datasets::Source& source, datasets::Sink& sink)
        : device_(device),
          schedule_(schedule),
          plan_(schedule.plan),
          buffers_(buffers),
          source_(source),
          sink_(sink),
          moves_(plan_moves(schedule.plan, ops)),
          parts_(moves_.size()) {}

    std::vector<datasets::Part> run() {
        for (std::size_t i = 0; i < moves_.size(); ++i) {
            parts_[i].ops = moves_[i].step->ops;
        }
        std::size_t i = 0;
        while (i < moves_.size()) {
            if (!moves_[i].step->square()) {
                counted(i, [&] { project(i); });
                ++i;
                continue;
            }
            const std::size_t begin = i;
            while (i < moves_.size() && moves_[i].step->square()) {
                ++i;
            }
            square(begin, i);
        }
        return parts_;
    }

private:
    // Books what the device counts while `work` runs to a part.
    template <typename Work>
    void counted(std::size_t part, Work work) {
        const Counters before = device_.counters();
        work();
        const Counters after = device_.counters();
        parts_[part].launches += after.launches - before.launches;
        parts_[part].tiles += after.tiles - before.tiles;
        parts_[part].bytes += after.bytes_to_device - before.bytes_to_device;
        parts_[part].bytes += after.bytes_from_device - before.bytes_from_device;
    }

    void project(std::size_t part) {
        const StepMoves& move = moves_[part];
        for (const Op op : move.uploads) {
            upload(op, *move.step);
        }
        const Op op = move.step->ops.last;
        const GuardedOutput output = guarded(plan_, buffers_, op, written(plan_, op, 0));
        poison(device_, output);
        launch(part, 0, output);
        emit_projection(op);
    }

    void square(std::size_t begin, std::size_t end) {
        for (std::size_t part = begin; part < end; ++part) {
            counted(part, [&] { enter_square(moves_[part]); });
        }
        for (std::size_t wave = 0; wave < plan_.waves.size(); ++wave) {
            for (std::size_t part = begin; part < end; ++part) {
                counted(part, [&] { run_wave(part, wave); });
            }
        }
    }

    void enter_square(const StepMoves& move) {
        for (const Op op : move.uploads) {
            if (!lives_in_waves(op)) {
                upload(op, *move.step);
            }
        }
        if (const Op op = move.step->ops.last; op == Op::context) {
            poison(device_, guarded(plan_, buffers_, op, poisoned_at_once(plan_, op)));
        }
    }

    void run_wave(std::size_t part, std::size_t wave) {
        const StepMoves& move = moves_[part];
        for (const Op op : move.uploads) {
            if (lives_in_waves(op)) {
                upload_wave(op, *move.step, wave);
            }
        }
        const Op op = move.step->ops.last;
        const GuardedOutput output = guarded(plan_, buffers_, op, written(plan_, op, wave));
        if (op != Op::context) {
            poison(device_, output);
        }
        launch(part, wave, output);
        emit_wave(op, wave);
    }

    void launch(std::size_t part, std::size_t wave, const GuardedOutput& output) {
        const StepPlan& step = *moves_[part].step;
        const auto index = static_cast<std::size_t>(moves_[part].step - plan_.steps.data());
        const std::vector<Launch>& launches = schedule_.launches[index][wave];
        device_.submit(launches);
        device_.wait();
        std::int64_t first = 0;
        for (std::size_t before = 0; before < wave; ++before) {
            first += static_cast<std::int64_t>(schedule_.launches[index][before].size());
        }
        fetch(device_, output,
              fmt::format("design {}: {}: launches {} to {}: buffer {}", plan_.design->name,
                          datasets::name(step.ops.last), first,
                          first + static_cast<std::int64_t>(launches.size()) - 1, output.buffer.id));
    }

    [[nodiscard]] HostMatrix host(Op op) const {
        const TensorLayout layout = plan_.layout(op);
        return {device_.map(buffers_.tensor[tensor_index(op)].value()).data(), layout.type, layout.stride()};
    }

    [[nodiscard]] std::int64_t rows_in(std::int64_t block) const {
        return std::min(side, plan_.shape.context - block * side);
    }

    // Pulls rows of `op` from the source into [64, padded columns] of `into`, rounded as the consumer
    // declares.
    void pull(Op op, Rows rows, std::int64_t columns, std::int64_t padded, const StepPlan& consumer,
              const HostMatrix& into) const {
        std::vector<float> values(static_cast<std::size_t>(rows.count * columns));
        source_.rows(op, rows, values);
        pack(values, {rows.count, columns, side, padded},
             plan_.design->arithmetic_of(consumer.ops.last).operand_rounding, into);
    }

    // A whole tensor [time, channel], by row block.
    void upload(Op op, const StepPlan& consumer) {
        const HostMatrix matrix = host(op);
        const TensorLayout layout = plan_.layout(op);
        const bool whole = !datasets::has_heads(op) || plan_.heads.count == plan_.shape.heads;
        tbb::parallel_for(std::int64_t{0}, plan_.shape.blocks(), [&](std::int64_t block) {
            Rows rows{-1, block * side, rows_in(block)};
            if (whole) {
                pull(op, rows, layout.columns, layout.columns, consumer, matrix.at(rows.begin, 0));
                return;
            }
            for (int head = 0; head < plan_.heads.count; ++head) {
                rows.head = plan_.heads.first + head;
                pull(op, rows, side, side, consumer, matrix.at(rows.begin, head * side));
            }
        });
        device_.sync(buffers_.tensor[tensor_index(op)].value(), Direction::to_device, 0, layout.bytes());
    }

    // The slabs [64, keys] of one wave.
    void upload_wave(Op op, const StepPlan& consumer, std::size_t wave) {
        const HostMatrix matrix = host(op);
        const TensorLayout layout = plan_.layout(op);
        const std::vector<Pair>& pairs = plan_.waves[wave];
        tbb::parallel_for(std::size_t{0}, pairs.size(), [&](std::size_t i) {
            const auto [block, head] = pairs[i];
            pull(op, {plan_.heads.first + head, block * side, rows_in(block)}, plan_.shape.context,
                 layout.columns, consumer, matrix.at(static_cast<std::int64_t>(i) * side, 0));
        });
        device_.sync(buffers_.tensor[tensor_index(op)].value(), Direction::to_device, 0,
                     wave_rows(plan_, wave) * layout.stride());
    }

    // Pushes [rows.count, columns] that begin at `from`.
    void push(Op op, Rows rows, std::int64_t columns, const HostMatrix& from) {
        if (from.type == datasets::DType::f32) {
            const std::int64_t stride = from.stride / std::int64_t{sizeof(float)};
            sink_.accept(op, rows, {reinterpret_cast<const float*>(from.data), rows.count, columns, stride});
            return;
        }
        std::vector<float> values(static_cast<std::size_t>(rows.count * columns));
        unpack(from, rows.count, columns, values);
        sink_.accept(op, rows, {values.data(), rows.count, columns, columns});
    }

    void emit_projection(Op op) {
        if (!sink_.wants(op)) {
            return;
        }
        const HostMatrix matrix = host(op);
        tbb::parallel_for(std::int64_t{0}, plan_.shape.blocks(), [&](std::int64_t block) {
            Rows rows{-1, block * side, rows_in(block)};
            if (!datasets::has_heads(op)) {
                push(op, rows, plan_.shape.width(), matrix.at(rows.begin, 0));
                return;
            }
            for (int head = 0; head < plan_.heads.count; ++head) {
                rows.head = plan_.heads.first + head;
                push(op, rows, side, matrix.at(rows.begin, head * side));
            }
        });
    }

    void emit_wave(Op op, std::size_t wave) {
        if (!sink_.wants(op)) {
            return;
        }
        const HostMatrix matrix = host(op);
        const std::vector<Pair>& pairs = plan_.waves[wave];
        tbb::parallel_for(std::size_t{0}, pairs.size(), [&](std::size_t i) {
            const auto [block, head] = pairs[i];
            const Rows rows{plan_.heads.first + head, block * side, rows_in(block)};
            if (lives_in_waves(op)) {
                push(op, rows, plan_.shape.context, matrix.at(static_cast<std::int64_t>(i) * side, 0));
            } else {
                push(op, rows, side, matrix.at(rows.begin, head * side));
            }
        });
    }

    Device& device_;
    const LayerSchedule& schedule_;
    const LayerPlan& plan_;
    const LayerBuffers& buffers_;
    const datasets::Source& source_;
    datasets::Sink& sink_;
    std::vector<StepMoves> moves_;
    std::vector<datasets::Part> parts_;
};

}  // namespace

std::vector<StepMoves> plan_moves(const LayerPlan& plan, datasets::OpRange ops) {
    std::vector<StepMoves> moves;
    std::array<std::optional<datasets::Rounding>, tensor_count> present;
    for (const StepPlan& step : plan.steps) {
        if (!ops.contains(step.ops.first) && !ops.contains(step.ops.last)) {
            continue;
        }
        StepMoves move{&step, {}, output_bytes(plan, step)};
        const datasets::Rounding rounding = plan.design->arithmetic_of(step.ops.last).operand_rounding;
        for (const Op input : step.inputs()) {
            if (!ops.contains(input) && present[tensor_index(input)] != rounding) {
                present[tensor_index(input)] = rounding;
                move.uploads.push_back(input);
                move.bytes += upload_bytes(plan, input);
            }
        }
        moves.push_back(std::move(move));
    }
    if (moves.empty() || moves.front().step->ops.first != ops.first ||
        moves.back().step->ops.last != ops.last) {
        throw std::invalid_argument(fmt::format("{}..{} does not begin and end at steps of design {}",
                                                datasets::name(ops.first), datasets::name(ops.last),
                                                plan.design->name));
    }
    return moves;
}

std::vector<datasets::Part> run_layer(Device& device, const LayerSchedule& schedule,
                                      const LayerBuffers& buffers, datasets::OpRange ops,
                                      const datasets::Source& source, datasets::Sink& sink) {
    return Run(device, schedule, buffers, ops, source, sink).run();
}

}  // namespace npu_impl
