#include "npu_impl/tile_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "npu_impl/round_traffic.hpp"
#include "npu_impl/tile_sizes.hpp"

namespace npu_impl {
namespace {

using datasets::Op;
using Round = std::vector<Slot>;

constexpr std::int64_t macs_per_tile = side * side * side;

// VMACs for 16 elements, as counted in kernels/aie2/layer_norm.cc and gelu.cc.
constexpr std::int64_t norm_vmacs = 15;
constexpr std::int64_t gelu_vmacs = 42;
constexpr std::int64_t vmac_lanes = 16;

// Cores stand in columns of four (Xilinx/mlir-aie docs/Devices.md); a design with a number of cores that
// four does not divide is taken as one row of cores.
std::int64_t array_rows(int cores) {
    return cores % 4 == 0 ? 4 : 1;
}

// Groups the rounds of one wave into launches and books what they cost.
void append(TilePlan& plan, const StepDesign& step, std::int64_t wave, const std::vector<Round>& rounds,
            bool bias, std::int64_t out_bytes) {
    const std::int64_t all = static_cast<std::int64_t>(rounds.size());
    const std::int64_t per_launch = step.tiles_per_launch == 0 ? all : step.tiles_per_launch / step.cores;
    for (std::int64_t begin = 0; begin < all; begin += per_launch) {
        TileLaunch launch;
        launch.wave = wave;
        launch.rounds = std::min(per_launch, all - begin);
        for (std::int64_t i = begin; i < begin + launch.rounds; ++i) {
            const Round& round = rounds[static_cast<std::size_t>(i)];
            launch.slots.insert(launch.slots.end(), round.begin(), round.end());
            launch.idle += step.cores - static_cast<std::int64_t>(round.size());
            const Traffic traffic = round_traffic(plan, round, bias, out_bytes);
            plan.traffic.in += traffic.in;
            plan.traffic.out += traffic.out;
        }
        plan.launches.push_back(std::move(launch));
    }
}

TilePlan empty_plan(const Design& design, const StepDesign& step, bool partial) {
    TilePlan plan;
    plan.kernel = step.kernel;
    plan.cores = step.cores;
    plan.partial = partial;
    plan.core_bytes = design.core_bytes(step.kernel);
    if (plan.core_bytes > design.l1_bytes) {
        throw std::invalid_argument(fmt::format("design {}: kernel {} needs {} bytes of a core's {}",
                                                design.name, step.kernel.name, plan.core_bytes,
                                                design.l1_bytes));
    }
    if (step.cores < 1 || step.tiles_per_launch % step.cores != 0) {
        throw std::invalid_argument(fmt::format("design {}: {} tiles per launch is no multiple of {} cores",
                                                design.name, step.tiles_per_launch, step.cores));
    }
    return plan;
}

// How deep a slot goes into the reduction, and what it multiplies.
void set_depth(TilePlan& plan, std::int64_t products) {
    plan.k_tiles_per_slot = plan.partial ? 1 : plan.reduction.tiles();
    plan.macs_per_slot = products * plan.k_tiles_per_slot * macs_per_tile;
}

void require_positive(std::initializer_list<std::int64_t> sizes) {
    if (std::ranges::any_of(sizes, [](std::int64_t size) { return size < 1; })) {
        throw std::invalid_argument("every dimension of a tile plan must be at least 1");
    }
}

// Deals slots to the cores in turn.
std::vector<Round> in_rounds(const std::vector<Slot>& slots, int cores) {
    std::vector<Round> rounds;
    for (const Slot& slot : slots) {
        if (rounds.empty() || rounds.back().size() == static_cast<std::size_t>(cores)) {
            rounds.emplace_back();
        }
        rounds.back().push_back(slot);
        rounds.back().back().core = static_cast<int>(rounds.back().size()) - 1;
    }
    return rounds;
}

// The tiles of a whole product, in blocks as wide and high as the array.
std::vector<Slot> blockwise(int cores, std::int64_t rows, std::int64_t columns) {
    const std::int64_t high = array_rows(cores);
    const std::int64_t wide = cores / high;
    std::vector<Slot> slots;
    for (std::int64_t top = 0; top < rows; top += high) {
        for (std::int64_t left = 0; left < columns; left += wide) {
            for (std::int64_t row = top; row < std::min(rows, top + high); ++row) {
                for (std::int64_t column = left; column < std::min(columns, left + wide); ++column) {
                    slots.push_back({0, row, column});
                }
            }
        }
    }
    return slots;
}

// The partial tiles of one row block.
std::vector<Slot> partial_row(const TilePlan& plan, std::int64_t row) {
    std::vector<Slot> slots;
    for (std::int64_t column = 0; column < plan.columns.tiles(); ++column) {
        for (std::int64_t k = 0; k < plan.reduction.tiles(); ++k) {
            slots.push_back({0, row, column, k});
        }
    }
    return slots;
}

// The work of one wave of pairs: as many pairs at a time as there are cores, each with all its columns, in
// partial plans by ascending k.
std::vector<Round> wave_rounds(const TilePlan& plan, const std::vector<Pair>& pairs) {
    const auto all = static_cast<std::int64_t>(pairs.size());
    const std::int64_t depth = plan.partial ? plan.reduction.tiles() : 1;
    std::vector<Round> rounds;
    for (std::int64_t begin = 0; begin < all; begin += plan.cores) {
        for (std::int64_t column = 0; column < plan.columns.tiles(); column += plan.tiles_per_slot) {
            for (std::int64_t k = 0; k < depth; ++k) {
                Round& round = rounds.emplace_back();
                for (std::int64_t place = begin; place < std::min(all, begin + plan.cores); ++place) {
                    const Pair& pair = pairs[static_cast<std::size_t>(place)];
                    round.push_back({pair.head, pair.row, column, k, place, static_cast<int>(place - begin)});
                }
            }
        }
    }
    return rounds;
}

// What host and device hold for one step of the square part. Scores, probabilities and partial tiles hold one
// wave.
std::vector<PlanBuffer> square_buffers(const TilePlan& plan, Op op, SquareShape shape, std::int64_t out) {
    const std::int64_t padded = Extent{shape.context}.padded();
    const std::int64_t headed = padded * shape.heads * side;
    const std::int64_t wave = wave_pairs * side * padded;
    const std::int64_t whole = op == Op::context ? headed : wave;
    const std::int64_t elements =
        plan.partial ? wave_pairs * plan.columns.tiles() * plan.reduction.tiles() * side * side : whole;
    const PlanBuffer result{"out", elements * out + guard_bytes};
    if (plan.kernel.function == KernelFunction::attention) {
        return {{"query", headed * 2}, {"key", headed * 2}, {"value", headed * 2}, result};
    }
    if (op == Op::scores) {
        return {{"left", headed * 2}, {"right", headed * 2}, result};
    }
    if (op == Op::probabilities) {
        return {{"scores", wave * 4}, result};
    }
    return {{"left", wave * 2}, {"right", headed * 2}, result};
}

}  // namespace

std::int64_t TilePlan::waves() const {
    return launches.empty() ? 0 : launches.back().wave + 1;
}

std::int64_t TilePlan::rounds() const {
    std::int64_t sum = 0;
    for (const TileLaunch& launch : launches) {
        sum += launch.rounds;
    }
    return sum;
}

std::int64_t TilePlan::tiles() const {
    std::int64_t sum = 0;
    for (const TileLaunch& launch : launches) {
        sum += static_cast<std::int64_t>(launch.slots.size()) * tiles_per_slot;
    }
    return sum;
}

std::int64_t TilePlan::idle_slots() const {
    std::int64_t sum = 0;
    for (const TileLaunch& launch : launches) {
        sum += launch.idle;
    }
    return sum;
}

std::span<const TileLaunch> TilePlan::launches_of(std::int64_t wave) const {
    return std::ranges::equal_range(launches, wave, {}, &TileLaunch::wave);
}

std::int64_t TilePlan::partial_tiles(std::int64_t wave) const {
    std::int64_t sum = 0;
    for (const TileLaunch& launch : launches_of(wave)) {
        sum += static_cast<std::int64_t>(launch.slots.size());
    }
    return sum;
}

std::int64_t TilePlan::partial_index(const Slot& slot) const {
    return (slot.place * columns.tiles() + slot.column) * reduction.tiles() + slot.k;
}

const PlanBuffer& TilePlan::buffer(std::string_view name) const {
    const auto found = std::ranges::find(buffers, name, &PlanBuffer::name);
    if (found == buffers.end()) {
        throw std::invalid_argument(fmt::format("the plan of {} has no buffer {}", kernel.name, name));
    }
    return *found;
}

std::optional<TilePlan::Place> TilePlan::find(int head, std::int64_t row, std::int64_t column) const {
    for (std::size_t i = 0; i < launches.size(); ++i) {
        for (const Slot& slot : launches[i].slots) {
            const bool covers = column >= slot.column && column < slot.column + tiles_per_slot;
            if (slot.head == head && slot.row == row && covers) {
                return Place{static_cast<std::int64_t>(i), slot.core};
            }
        }
    }
    return std::nullopt;
}

bool TilePlan::operator==(const TilePlan& other) const {
    return kernel.name == other.kernel.name && cores == other.cores && heads == other.heads &&
           rows == other.rows && columns == other.columns && reduction == other.reduction &&
           tiles_per_slot == other.tiles_per_slot && k_tiles_per_slot == other.k_tiles_per_slot &&
           partial == other.partial && launches == other.launches && buffers == other.buffers &&
           core_bytes == other.core_bytes && traffic == other.traffic &&
           macs_per_slot == other.macs_per_slot && vmacs_per_slot == other.vmacs_per_slot;
}

TilePlan plan_matmul(const Design& design, const StepDesign& step, MatmulShape shape, TileOutput output) {
    require_positive({shape.rows, shape.reduction, shape.columns});
    TilePlan plan = empty_plan(design, step, output.partial);
    plan.rows = {shape.rows};
    plan.columns = {shape.columns};
    plan.reduction = {shape.reduction};
    set_depth(plan, 1);
    const std::int64_t rows = plan.rows.padded();
    const std::int64_t columns = plan.columns.padded();
    const std::int64_t reduction = plan.reduction.padded();
    const std::int64_t out = bytes_of(output.store);
    const std::int64_t elements =
        plan.partial ? plan.columns.tiles() * plan.reduction.tiles() * side * side : rows * columns;
    plan.buffers = {{"left", rows * reduction * 2},
                    {"right", reduction * columns * 2},
                    {"bias", columns * 2},
                    {"out", elements * out + guard_bytes}};
    if (!plan.partial) {
        const auto slots = blockwise(step.cores, plan.rows.tiles(), plan.columns.tiles());
        append(plan, step, 0, in_rounds(slots, step.cores), true, out);
        return plan;
    }
    for (std::int64_t row = 0; row < plan.rows.tiles(); ++row) {
        append(plan, step, row, in_rounds(partial_row(plan, row), step.cores), false, out);
    }
    return plan;
}

TilePlan plan_rows(const Design& design, const StepDesign& step, RowShape shape, TileOutput output) {
    require_positive({shape.rows, shape.columns});
    const bool norm = step.kernel.function == KernelFunction::norm;
    TilePlan plan = empty_plan(design, step, false);
    plan.rows = {shape.rows};
    plan.columns = {shape.columns};
    plan.tiles_per_slot = norm ? plan.columns.tiles() : 1;
    const std::int64_t vectors = plan.tiles_per_slot * side * side / vmac_lanes;
    plan.vmacs_per_slot = vectors * (norm ? norm_vmacs : gelu_vmacs);
    const std::int64_t columns = plan.columns.padded();
    const std::int64_t elements = plan.rows.padded() * columns;
    const std::int64_t out = bytes_of(output.store);
    plan.buffers = {{"x", elements * 4}};
    if (norm) {
        plan.buffers.insert(plan.buffers.end(), {{"gain", columns * 2}, {"bias", columns * 2}});
    }
    plan.buffers.push_back({"out", elements * out + guard_bytes});
    std::vector<Slot> slots;
    for (std::int64_t row = 0; row < plan.rows.tiles(); ++row) {
        for (std::int64_t column = 0; column < plan.columns.tiles(); column += plan.tiles_per_slot) {
            slots.push_back({0, row, column});
        }
    }
    append(plan, step, 0, in_rounds(slots, step.cores), false, out);
    return plan;
}

std::vector<std::vector<Pair>> pair_waves(SquareShape shape) {
    std::vector<std::vector<Pair>> waves;
    for (std::int64_t row = 0; row < Extent{shape.context}.tiles(); ++row) {
        for (int head = 0; head < shape.heads; ++head) {
            if (waves.empty() || waves.back().size() == wave_pairs) {
                waves.emplace_back();
            }
            waves.back().push_back({row, head});
        }
    }
    return waves;
}

TilePlan plan_square(const Design& design, const StepDesign& step, SquareShape shape, TileOutput output) {
    const Op op = step.ops.last;
    require_positive({shape.context, shape.heads});
    if (op != Op::scores && op != Op::probabilities && op != Op::context) {
        throw std::invalid_argument("not an op of the square part: " + std::string(datasets::name(op)));
    }
    TilePlan plan = empty_plan(design, step, output.partial);
    const Extent keys{shape.context};
    const Extent head_width{datasets::head_width};
    plan.heads = shape.heads;
    plan.rows = keys;
    plan.columns = op == Op::context ? head_width : keys;
    plan.reduction = op == Op::scores ? head_width : keys;
    if (op == Op::probabilities) {
        plan.reduction = {0};
        plan.tiles_per_slot = keys.tiles();
    }
    set_depth(plan, step.kernel.function == KernelFunction::attention ? 2 : 1);
    const std::int64_t out = bytes_of(output.store);
    plan.buffers = square_buffers(plan, op, shape, out);
    std::int64_t wave = 0;
    for (const std::vector<Pair>& pairs : pair_waves(shape)) {
        append(plan, step, wave++, wave_rounds(plan, pairs), false, out);
    }
    return plan;
}

}  // namespace npu_impl
