#include "npu_impl/layer_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "npu_impl/tile_sizes.hpp"

namespace npu_impl {
namespace {

using datasets::Op;

// Builds the launches of one step: the arguments once, the jobs slot by slot.
class Binder {
public:
    Binder(const LayerPlan& plan, const StepPlan& step, const LayerBuffers& buffers)
        : plan_(plan), step_(step), buffers_(buffers), store_(tile_output(arithmetic()).store) {}

    [[nodiscard]] Launch empty_launch() const {
        const KernelDesign& kernel = step_.tiles.kernel;
        return {plan_.design->name, kernel.name, plan_.design->stack_bytes,
                kernel.core_memory, arguments(), {},
                kernel.source};
    }

    [[nodiscard]] Job job(const Slot& slot) const {
        Job job;
        job.core = slot.core;
        job.head = datasets::has_heads(op()) ? plan_.heads.first + head_of(slot) : -1;
        job.tile = tile_of(slot);
        if (step_.tiles.kernel.function == KernelFunction::norm) {
            job.work = norm(slot);
        } else if (step_.tiles.kernel.function == KernelFunction::gelu) {
            job.work = gelu(slot);
        } else if (!step_.square()) {
            job.work = projection(slot);
        } else if (step_.tiles.kernel.function == KernelFunction::attention) {
            job.work = attention(slot);
        } else if (op() == Op::scores) {
            job.work = scores(slot);
        } else if (op() == Op::probabilities) {
            job.work = softmax(slot);
        } else {
            job.work = context(slot);
        }
        return job;
    }

private:
    [[nodiscard]] Op op() const { return step_.ops.last; }

    [[nodiscard]] const datasets::Arithmetic& arithmetic() const { return plan_.design->arithmetic_of(op()); }

    [[nodiscard]] int head_of(const Slot& slot) const {
        return step_.square() ? slot.head : static_cast<int>(slot.column);
    }

    [[nodiscard]] std::int64_t tile_of(const Slot& slot) const {
        if (!step_.square() && datasets::has_heads(op())) {
            return slot.row;
        }
        return slot.row * step_.tiles.columns.tiles() + slot.column;
    }

    [[nodiscard]] std::vector<Buffer> arguments() const {
        std::vector<Buffer> list;
        for (const Op input : step_.inputs()) {
            list.push_back(buffers_.tensor[tensor_index(input)].value());
        }
        if (op() == Op::context && step_.tiles.kernel.function == KernelFunction::matmul) {
            std::swap(list[0], list[1]);  // the product takes probabilities left of value
        }
        if (!step_.square() && op() != Op::gelu) {
            list.push_back(buffers_.weight[tensor_index(op())].value());
        }
        list.push_back(
            (step_.tiles.partial ? buffers_.partial : buffers_.tensor[tensor_index(op())]).value());
        if (has_bias()) {
            list.push_back(*buffers_.bias[tensor_index(op())]);
        }
        return list;
    }

    [[nodiscard]] bool has_bias() const {
        return !step_.square() && buffers_.bias[tensor_index(op())].has_value();
    }

    // The tile (row, column) of an op's tensor.
    [[nodiscard]] Region tile(int argument, Op tensor, std::int64_t row, std::int64_t column) const {
        const TensorLayout layout = plan_.layout(tensor);
        return {argument, row * side * layout.stride() + column * side * bytes_of(layout.type),
                layout.stride()};
    }

    // A product's result: tile (row, column) of the op's tensor, or a partial tile.
    [[nodiscard]] Region result(const Slot& slot, std::int64_t row, std::int64_t column) const {
        if (!step_.tiles.partial) {
            return tile(2, op(), row, column);
        }
        const std::int64_t stride = side * bytes_of(store_);
        return {2, step_.tiles.partial_index(slot) * side * stride, stride};
    }

    [[nodiscard]] MatmulJob product(kernels::Right layout) const {
        MatmulJob job;
        job.layout = layout;
        job.k_tiles = step_.tiles.k_tiles_per_slot;
        job.store = store_;
        job.rerounded = arithmetic().tile_sum == datasets::TileSum::rounded;
        return job;
    }

    [[nodiscard]] MatmulJob projection(const Slot& slot) const {
        const Op input = step_.inputs().front();
        const std::int64_t width = step_.tiles.reduction.size;
        const std::int64_t first = datasets::has_heads(op()) ? plan_.heads.first : 0;
        const std::int64_t weight_row = (first + slot.column) * side;
        MatmulJob job = product(kernels::Right::n_by_k);
        job.left = tile(0, input, slot.row, slot.k);
        job.right = {1, (weight_row * width + slot.k * side) * bf16_bytes, width * bf16_bytes};
        if (has_bias()) {
            job.bias = Region{3, weight_row * bf16_bytes, 0};
        }
        job.out = result(slot, slot.row, slot.column);
        return job;
    }

    [[nodiscard]] MatmulJob scores(const Slot& slot) const {
        MatmulJob job = product(kernels::Right::n_by_k);
        job.left = tile(0, Op::query, slot.row, slot.head);
        job.right = tile(1, Op::key, slot.column, slot.head);
        job.scale = step_.tiles.partial ? 1 : score_scale;
        job.out = result(slot, slot.place, slot.column);
        return job;
    }

    [[nodiscard]] SoftmaxJob softmax(const Slot& slot) const {
        return {tile(0, Op::scores, slot.place, 0), step_.tiles.columns.tiles(), plan_.shape.context, store_,
                tile(1, Op::probabilities, slot.place, 0)};
    }

    [[nodiscard]] MatmulJob context(const Slot& slot) const {
        MatmulJob job = product(kernels::Right::k_by_n);
        job.left = tile(0, Op::probabilities, slot.place, slot.k);
        job.right = tile(1, Op::value, slot.k, slot.head);
        job.out = result(slot, slot.row, slot.head);
        return job;
    }

    [[nodiscard]] AttentionJob attention(const Slot& slot) const {
        return {tile(0, Op::query, slot.row, slot.head),
                tile(1, Op::key, 0, slot.head),
                tile(2, Op::value, 0, slot.head),
                step_.tiles.reduction.tiles(),
                plan_.shape.context,
                score_scale,
                store_,
                tile(3, Op::context, slot.row, slot.head)};
    }

    [[nodiscard]] NormJob norm(const Slot& slot) const {
        return {tile(0, step_.inputs().front(), slot.row, 0),
                Region{1, 0, 0},
                Region{3, 0, 0},
                step_.tiles.tiles_per_slot,
                store_,
                tile(2, op(), slot.row, 0)};
    }

    [[nodiscard]] GeluJob gelu(const Slot& slot) const {
        return {tile(0, step_.inputs().front(), slot.row, slot.column), store_,
                tile(1, op(), slot.row, slot.column)};
    }

    const LayerPlan& plan_;
    const StepPlan& step_;
    const LayerBuffers& buffers_;
    kernels::Store store_;
};

// The fp32 stream of residuals, which a norm reads.
bool is_stream(Op op) {
    return op == Op::embedding || op == Op::attention_residual || op == Op::block;
}

TilePlan plan_step(const Design& design, const StepDesign& step, datasets::LayerShape shape, HeadSpan heads) {
    const Op op = step.ops.last;
    const TileOutput output = tile_output(design.arithmetic_of(op));
    if (step.kernel.function == KernelFunction::norm || step.kernel.function == KernelFunction::gelu) {
        return plan_rows(design, step, {shape.context, datasets::row_width(op, shape)}, output);
    }
    if (Op::scores <= op && op <= Op::context) {
        return plan_square(design, step, {shape.context, heads.count}, output);
    }
    return plan_matmul(design, step, product_shape(op, shape, heads), output);
}

}  // namespace

std::vector<Op> StepPlan::inputs() const {
    std::vector<Op> list;
    for (const datasets::OpInfo& op : datasets::ops_in(ops)) {
        for (const Op input : op.inputs) {
            if (!ops.contains(input) && std::ranges::find(list, input) == list.end()) {
                list.push_back(input);
            }
        }
    }
    std::ranges::sort(list);
    return list;
}

TensorLayout LayerPlan::layout(Op op) const {
    using datasets::DType;
    const std::int64_t padded = Extent{shape.context}.padded();
    if (is_stream(op)) {
        return {DType::f32, padded, shape.width()};
    }
    const DType read = op == Op::scores || op == Op::fc1 ? DType::f32 : DType::bf16;
    const DType type = summed_on_host(op) ? read : design->arithmetic_of(op).store;
    if (lives_in_waves(op)) {
        return {type, wave_pairs * side, padded};
    }
    return {type, padded, row_elements(op)};
}

std::int64_t LayerPlan::row_elements(Op op) const {
    if (lives_in_waves(op)) {
        return shape.context;
    }
    return datasets::has_heads(op) ? heads.count * side : datasets::row_width(op, shape);
}

bool LayerPlan::summed_on_host(Op op) const {
    const StepPlan* step = step_of(op);
    return step != nullptr && step->tiles.partial;
}

std::optional<datasets::Site> LayerPlan::locate(Op op, int head, std::int64_t row,
                                                std::int64_t column) const {
    const StepPlan* step = step_of(op);
    if (step == nullptr) {
        return std::nullopt;
    }
    const bool headed = datasets::has_heads(op);
    if (headed && !lives_in_waves(op) && head < 0) {
        head = static_cast<int>(column / side);
        column %= side;
    }
    if (row < 0 || row >= shape.context || column < 0 || column >= datasets::row_width(op, shape)) {
        return std::nullopt;
    }
    const int local = headed ? head - heads.first : 0;
    const std::int64_t tile_row = row / side;
    const std::int64_t tile_column = column / side;
    const bool by_column = headed && !step->square();
    const auto place =
        by_column ? step->tiles.find(0, tile_row, local) : step->tiles.find(local, tile_row, tile_column);
    if (!place) {
        return std::nullopt;
    }
    const std::int64_t tiles_wide = by_column ? 1 : step->tiles.columns.tiles();
    return datasets::Site{tile_row * tiles_wide + tile_column, place->launch, place->core};
}

const StepPlan* LayerPlan::step_of(Op op) const {
    const auto found =
        std::ranges::find_if(steps, [op](const StepPlan& step) { return step.ops.last == op; });
    return found == steps.end() ? nullptr : &*found;
}

std::size_t piece_of(datasets::OpRange ops) {
    for (std::size_t piece = 0; piece < pieces.size(); ++piece) {
        if (pieces[piece].contains(ops.first) && pieces[piece].contains(ops.last) && ops.first <= ops.last) {
            return piece;
        }
    }
    throw std::invalid_argument(fmt::format(
        "{}..{} is not part of attention_norm..output, mlp_norm..fc2 or encoder, which the device runs",
        datasets::name(ops.first), datasets::name(ops.last)));
}

MatmulShape product_shape(Op op, datasets::LayerShape shape, HeadSpan heads) {
    return {shape.context, datasets::info(op).reduction(shape),
            datasets::has_heads(op) ? heads.count * side : datasets::row_width(op, shape)};
}

LayerPlan plan_layer(const Design& design, datasets::LayerShape shape, HeadSpan heads,
                     datasets::OpRange ops) {
    if (shape.context < 1 || shape.heads < 1 || heads.first < 0 || heads.count < 1 ||
        heads.first + heads.count > shape.heads) {
        throw std::invalid_argument("the layer, or the span of heads, is empty");
    }
    LayerPlan plan{&design, shape, heads, {}, pair_waves({shape.context, heads.count})};
    for (const StepDesign& step : design.steps) {
        const bool runs = ops.contains(step.ops.first) && ops.contains(step.ops.last);
        if (runs && (datasets::has_heads(step.ops.last) || heads.count == shape.heads)) {
            plan.steps.push_back({step.ops, plan_step(design, step, shape, heads)});
        }
    }
    return plan;
}

void require_fit(const LayerPlan& plan, datasets::OpRange ops) {
    for (const StepPlan& step : plan.steps) {
        const KernelDesign& kernel = step.tiles.kernel;
        const auto row = std::ranges::find(kernel.core_memory, "x", &CoreBuffer::name);
        if (!ops.contains(step.ops.last) || kernel.function != KernelFunction::norm ||
            row == kernel.core_memory.end()) {
            continue;
        }
        if (const std::int64_t room = row->bytes / 4; plan.shape.width() > room) {
            throw std::invalid_argument(fmt::format(
                "design {}: kernel {} of {} takes rows of {} channels, not of {}", plan.design->name,
                kernel.name, datasets::name(step.ops.last), room, plan.shape.width()));
        }
    }
}

std::vector<Launch> bind(const LayerPlan& plan, const StepPlan& step, std::int64_t wave,
                         const LayerBuffers& buffers) {
    const Binder binder(plan, step, buffers);
    std::vector<Launch> launches;
    for (const TileLaunch& planned : step.tiles.launches_of(wave)) {
        Launch launch = binder.empty_launch();
        launch.jobs.reserve(planned.slots.size());
        for (const Slot& slot : planned.slots) {
            launch.jobs.push_back(binder.job(slot));
        }
        launches.push_back(std::move(launch));
    }
    return launches;
}

void mark_sample(const LayerPlan& plan, const StepPlan& step, std::int64_t wave, std::span<Launch> launches) {
    const bool all = tile_output(plan.design->arithmetic_of(step.ops.last)).store == kernels::Store::f32;
    const std::span<const TileLaunch> planned = step.tiles.launches_of(wave);
    std::vector<bool> seen(static_cast<std::size_t>(step.tiles.cores), wave > 0);
    for (std::size_t i = 0; i < launches.size(); ++i) {
        for (std::size_t j = 0; j < launches[i].jobs.size(); ++j) {
            const Slot& slot = planned[i].slots[j];
            const auto core = static_cast<std::size_t>(slot.core);
            const bool last = slot.row == step.tiles.rows.tiles() - 1;
            launches[i].jobs[j].sampled = all || last || !seen[core];
            seen[core] = true;
        }
    }
}

}  // namespace npu_impl
