#include "npu_impl/layer_run.hpp"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "npu_impl/packing.hpp"
#include "npu_impl/part_booking.hpp"
#include "npu_impl/tile_sizes.hpp"

namespace npu_impl {
namespace {

using datasets::Op;
using datasets::Rows;

// The last wave may hold fewer pairs.
std::int64_t wave_rows(const LayerPlan& plan, std::int64_t wave) {
    return static_cast<std::int64_t>(plan.waves[static_cast<std::size_t>(wave)].size()) * side;
}

// What the launches of one wave write. Context lies as [time, channel], where a wave touches whole row
// blocks.
ByteRange written(const LayerPlan& plan, const StepPlan& step, std::int64_t wave) {
    const Op op = step.ops.last;
    if (step.tiles.partial) {
        const kernels::Store store = tile_output(plan.design->arithmetic_of(op)).store;
        return {0, step.tiles.partial_tiles(wave) * side * side * bytes_of(store)};
    }
    const TensorLayout layout = plan.layout(op);
    if (lives_in_waves(op)) {
        return {0, wave_rows(plan, wave) * layout.stride()};
    }
    if (op == Op::context) {
        const std::vector<Pair>& pairs = plan.waves[static_cast<std::size_t>(wave)];
        const std::int64_t blocks = pairs.back().row - pairs.front().row + 1;
        return {pairs.front().row * side * layout.stride(), blocks * side * layout.stride()};
    }
    return {0, layout.bytes()};
}

// Waves of context share row blocks, so all of it is poisoned before the first.
bool poisoned_at_once(const StepPlan& step) {
    return step.ops.last == Op::context && !step.tiles.partial;
}

GuardedOutput guarded(const LayerPlan& plan, const LayerBuffers& buffers, const StepPlan& step,
                      ByteRange range) {
    const Op op = step.ops.last;
    const bool per_wave = step.tiles.partial || lives_in_waves(op);
    const std::int64_t end = per_wave ? range.begin + range.bytes : plan.layout(op).bytes();
    return {(step.tiles.partial ? buffers.partial : buffers.tensor[tensor_index(op)]).value(), range, end};
}

std::int64_t upload_bytes(const LayerPlan& plan, Op op) {
    if (!lives_in_waves(op)) {
        return plan.layout(op).bytes();
    }
    std::int64_t bytes = 0;
    for (std::int64_t wave = 0; wave < std::ssize(plan.waves); ++wave) {
        bytes += wave_rows(plan, wave) * plan.layout(op).stride();
    }
    return bytes;
}

std::int64_t output_bytes(const LayerPlan& plan, const StepPlan& step) {
    const bool at_once = poisoned_at_once(step);
    std::int64_t bytes = at_once ? plan.layout(step.ops.last).bytes() + guard_bytes : 0;
    for (std::int64_t wave = 0; wave < step.tiles.waves(); ++wave) {
        bytes += (at_once ? 1 : 2) * (written(plan, step, wave).bytes + guard_bytes);
    }
    return bytes;
}

class Run {
public:
    Run(Device& device, const LayerPlan& plan, const LayerBuffers& buffers, HostTensors& host,
        datasets::OpRange ops, const datasets::Source& source, datasets::Sink& sink)
        : device_(device),
          plan_(plan),
          buffers_(buffers),
          host_(host),
          ops_(ops),
          source_(source),
          sink_(sink),
          moves_(plan_moves(plan, ops)),
          parts_(moves_.size()),
          observed_(sink.looks() && std::ranges::any_of(datasets::ops_in(ops), [&](const auto& info) {
                        return sink.wants(info.op);
                    })) {}

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
    template <typename Work>
    void counted(std::size_t part, Work work) {
        book(device_, parts_[part], work);
    }

    void project(std::size_t part) {
        const StepMoves& move = moves_[part];
        for (const Op op : move.uploads) {
            upload(op, *move.step);
        }
        for (std::int64_t wave = 0; wave < move.step->tiles.waves(); ++wave) {
            launch(*move.step, wave);
        }
        emit_projection(move.step->ops.last);
    }

    void square(std::size_t begin, std::size_t end) {
        for (std::size_t part = begin; part < end; ++part) {
            counted(part, [&] { enter_square(moves_[part]); });
        }
        for (std::int64_t wave = 0; wave < std::ssize(plan_.waves); ++wave) {
            for (std::size_t part = begin; part < end; ++part) {
                counted(part, [&] { run_wave(moves_[part], wave); });
            }
        }
    }

    void enter_square(const StepMoves& move) {
        for (const Op op : move.uploads) {
            if (!lives_in_waves(op)) {
                upload(op, *move.step);
            }
        }
        if (poisoned_at_once(*move.step)) {
            const ByteRange whole{0, plan_.layout(move.step->ops.last).bytes()};
            poison(device_, guarded(plan_, buffers_, *move.step, whole), reader(*move.step));
        }
    }

    void run_wave(const StepMoves& move, std::int64_t wave) {
        for (const Op op : move.uploads) {
            if (lives_in_waves(op)) {
                upload_wave(op, *move.step, wave);
            }
        }
        launch(*move.step, wave);
        emit_wave(move.step->ops.last, wave);
    }

    // Who reads what the step puts out: the host adds up partial tiles, and serves the sink.
    [[nodiscard]] Reader reader(const StepPlan& step) const {
        return step.tiles.partial || sink_.wants(step.ops.last) ? Reader::host : Reader::device;
    }

    void launch(const StepPlan& step, std::int64_t wave) {
        const GuardedOutput output = guarded(plan_, buffers_, step, written(plan_, step, wave));
        if (!poisoned_at_once(step)) {
            poison(device_, output, reader(step));
        }
        std::vector<Launch> launches = bind(plan_, step, wave, buffers_);
        if (observed_) {
            mark_sample(plan_, step, wave, launches);
        }
        device_.submit(launches);
        device_.wait();
        const auto first = step.tiles.launches_of(wave).data() - step.tiles.launches.data();
        fetch(device_, output, reader(step),
              fmt::format("design {}: {}: launches {} to {}: buffer {}", plan_.design->name,
                          datasets::name(step.ops.last), first,
                          first + static_cast<std::ptrdiff_t>(launches.size()) - 1, output.buffer.id));
        if (step.tiles.partial) {
            add_up(step, wave);
        }
    }

    // The host's fp32 tensor from the partial tiles of one wave.
    void add_up(const StepPlan& step, std::int64_t wave) {
        const Op op = step.ops.last;
        const TilePlan& tiles = step.tiles;
        const kernels::Store store = tile_output(plan_.design->arithmetic_of(op)).store;
        const HostMatrix partial{device_.map(buffers_.partial.value()).data(),
                                 store == kernels::Store::f32 ? datasets::DType::f32 : datasets::DType::bf16,
                                 side * bytes_of(store)};
        const HostMatrix matrix = result(op);
        const std::vector<float>& bias = host_.bias[tensor_index(op)];
        const std::int64_t depth = tiles.reduction.tiles();
        tbb::parallel_for(std::int64_t{0}, tiles.partial_tiles(wave) / depth, [&](std::int64_t i) {
            const std::int64_t place = i / tiles.columns.tiles();
            std::int64_t column = i % tiles.columns.tiles() * side;
            std::int64_t block = wave;
            std::int64_t row = wave * side;
            if (step.square()) {
                const Pair& pair =
                    plan_.waves[static_cast<std::size_t>(wave)][static_cast<std::size_t>(place)];
                block = pair.row;
                row = (lives_in_waves(op) ? place : pair.row) * side;
                column += lives_in_waves(op) ? 0 : pair.head * side;
            }
            const std::int64_t first = column + (datasets::has_heads(op) ? plan_.heads.first * side : 0);
            const std::span<const float> part =
                bias.empty() ? std::span<const float>{}
                             : std::span(bias).subspan(static_cast<std::size_t>(first), std::size_t{side});
            sum_tiles(partial.at(i * depth * side, 0), depth, part, op == Op::scores ? score_scale : 1,
                      rows_in(block), std::min(side, plan_.row_elements(op) - column),
                      matrix.at(row, column));
        });
    }

    // Where an op's rows lie for the packing: its buffer.
    [[nodiscard]] HostMatrix mapped(Op op) const {
        const TensorLayout layout = plan_.layout(op);
        return {device_.map(buffers_.tensor[tensor_index(op)].value()).data(), layout.type, layout.stride()};
    }

    // Where what a step has made lies.
    [[nodiscard]] HostMatrix result(Op op) const {
        if (!plan_.summed_on_host(op)) {
            return mapped(op);
        }
        return {reinterpret_cast<std::byte*>(host_.tensor[tensor_index(op)].data()), datasets::DType::f32,
                plan_.row_elements(op) * bytes_of(datasets::DType::f32)};
    }

    [[nodiscard]] std::int64_t rows_in(std::int64_t block) const {
        return std::min(side, plan_.shape.context - block * side);
    }

    // Packs rows of upstream `op` into [64, padded columns] of `into`, rounded as the consumer declares: own
    // ones of this run from row `held` of the host's tensor, others from the source.
    void pull(Op op, Rows rows, std::int64_t held, std::int64_t columns, std::int64_t padded,
              const StepPlan& consumer, const HostMatrix& into) const {
        const auto count = static_cast<std::size_t>(rows.count * columns);
        std::span<const float> values;
        std::vector<float> pulled;
        if (ops_.contains(op)) {
            values = std::span(host_.tensor[tensor_index(op)])
                         .subspan(static_cast<std::size_t>(held * columns), count);
        } else {
            pulled.resize(count);
            source_.rows(op, rows, pulled);
            values = pulled;
        }
        pack(values, {rows.count, columns, side, padded},
             plan_.design->arithmetic_of(consumer.ops.last).operand_rounding, into);
    }

    // A whole tensor [time, channel], by row block.
    void upload(Op op, const StepPlan& consumer) {
        const HostMatrix matrix = mapped(op);
        const TensorLayout layout = plan_.layout(op);
        const bool whole =
            !datasets::has_heads(op) || plan_.heads.count == plan_.shape.heads || ops_.contains(op);
        tbb::parallel_for(std::int64_t{0}, plan_.shape.blocks(), [&](std::int64_t block) {
            Rows rows{-1, block * side, rows_in(block)};
            if (whole) {
                pull(op, rows, rows.begin, layout.columns, layout.columns, consumer,
                     matrix.at(rows.begin, 0));
                return;
            }
            for (int head = 0; head < plan_.heads.count; ++head) {
                rows.head = plan_.heads.first + head;
                pull(op, rows, rows.begin, side, side, consumer, matrix.at(rows.begin, head * side));
            }
        });
        device_.sync(buffers_.tensor[tensor_index(op)].value(), Direction::to_device, 0, layout.bytes());
    }

    // The slabs [64, keys] of one wave.
    void upload_wave(Op op, const StepPlan& consumer, std::int64_t wave) {
        const HostMatrix matrix = mapped(op);
        const TensorLayout layout = plan_.layout(op);
        const std::vector<Pair>& pairs = plan_.waves[static_cast<std::size_t>(wave)];
        tbb::parallel_for(std::size_t{0}, pairs.size(), [&](std::size_t i) {
            const auto [block, head] = pairs[i];
            const std::int64_t row = static_cast<std::int64_t>(i) * side;
            pull(op, {plan_.heads.first + head, block * side, rows_in(block)}, row, plan_.shape.context,
                 layout.columns, consumer, matrix.at(row, 0));
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
        const HostMatrix matrix = result(op);
        tbb::parallel_for(std::int64_t{0}, plan_.shape.blocks(), [&](std::int64_t block) {
            Rows rows{-1, block * side, rows_in(block)};
            if (!datasets::has_heads(op)) {
                push(op, rows, plan_.row_elements(op), matrix.at(rows.begin, 0));
                return;
            }
            for (int head = 0; head < plan_.heads.count; ++head) {
                rows.head = plan_.heads.first + head;
                push(op, rows, side, matrix.at(rows.begin, head * side));
            }
        });
    }

    void emit_wave(Op op, std::int64_t wave) {
        if (!sink_.wants(op)) {
            return;
        }
        const HostMatrix matrix = result(op);
        const std::vector<Pair>& pairs = plan_.waves[static_cast<std::size_t>(wave)];
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
    const LayerPlan& plan_;
    const LayerBuffers& buffers_;
    HostTensors& host_;
    datasets::OpRange ops_;
    const datasets::Source& source_;
    datasets::Sink& sink_;
    std::vector<StepMoves> moves_;
    std::vector<datasets::Part> parts_;
    bool observed_;  // somebody sees results, of whichever op
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
            const bool on_host = !ops.contains(input) || plan.summed_on_host(input);
            if (on_host && present[tensor_index(input)] != rounding) {
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

std::vector<datasets::Part> run_layer(Device& device, const LayerPlan& plan, const LayerBuffers& buffers,
                                      HostTensors& host, datasets::OpRange ops,
                                      const datasets::Source& source, datasets::Sink& sink) {
    return Run(device, plan, buffers, host, ops, source, sink).run();
}

}  // namespace npu_impl
