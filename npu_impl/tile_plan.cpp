#include "npu_impl/tile_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace npu_impl {
namespace {

using datasets::Op;
using Round = std::vector<Slot>;

constexpr std::int64_t side = kernels::tile;
constexpr std::int64_t bf16_tile_bytes = side * side * 2;
constexpr std::int64_t macs_per_tile = side * side * side;

// Cores stand in columns of four (Xilinx/mlir-aie docs/Devices.md); a design with a number of cores that
// four does not divide is taken as one row of cores.
std::int64_t array_rows(int cores) {
    return cores % 4 == 0 ? 4 : 1;
}

template <typename Key>
std::int64_t distinct(const Round& round, Key key) {
    std::vector<std::pair<std::int64_t, std::int64_t>> seen;
    for (const Slot& slot : round) {
        const auto value = key(slot);
        if (std::ranges::find(seen, value) == seen.end()) {
            seen.push_back(value);
        }
    }
    return static_cast<std::int64_t>(seen.size());
}

std::int64_t distinct_rows(const Round& round) {
    return distinct(round, [](const Slot& slot) { return std::pair{std::int64_t{slot.head}, slot.row}; });
}

std::int64_t distinct_columns(const Round& round) {
    return distinct(round, [](const Slot& slot) { return std::pair{std::int64_t{slot.head}, slot.column}; });
}

std::int64_t distinct_heads(const Round& round) {
    return distinct(round, [](const Slot& slot) {
        return std::pair{std::int64_t{slot.head}, std::int64_t{0}};
    });
}

Traffic round_traffic(const TilePlan& plan, const Round& round, bool bias, std::int64_t out_bytes) {
    const auto slots = static_cast<std::int64_t>(round.size());
    const std::int64_t k_tiles = plan.reduction.tiles();
    Traffic traffic{0, slots * plan.tiles_per_slot * side * side * out_bytes};
    switch (plan.kernel.function) {
        case KernelFunction::matmul:
            traffic.in = (distinct_rows(round) + distinct_columns(round)) * k_tiles * bf16_tile_bytes;
            if (bias) {
                traffic.in += distinct_columns(round) * side * 2;
            }
            break;
        case KernelFunction::softmax:  // fp32 scores, once for the running state and once for the result
            traffic.in = slots * plan.tiles_per_slot * 2 * side * side * 4;
            break;
        case KernelFunction::attention:
            traffic.in = distinct_rows(round) * bf16_tile_bytes +
                         distinct_heads(round) * k_tiles * 2 * bf16_tile_bytes;
            break;
    }
    return traffic;
}

// Groups the rounds of one wave into launches and books what they cost.
void append(TilePlan& plan, const Design& design, std::int64_t wave, const std::vector<Round>& rounds,
            bool bias, std::int64_t out_bytes) {
    const std::int64_t all = static_cast<std::int64_t>(rounds.size());
    const std::int64_t per_launch =
        design.tiles_per_launch == 0 ? all : design.tiles_per_launch / design.cores;
    for (std::int64_t begin = 0; begin < all; begin += per_launch) {
        TileLaunch launch;
        launch.wave = wave;
        launch.rounds = std::min(per_launch, all - begin);
        for (std::int64_t i = begin; i < begin + launch.rounds; ++i) {
            const Round& round = rounds[static_cast<std::size_t>(i)];
            launch.slots.insert(launch.slots.end(), round.begin(), round.end());
            launch.idle += design.cores - static_cast<std::int64_t>(round.size());
            const Traffic traffic = round_traffic(plan, round, bias, out_bytes);
            plan.traffic.in += traffic.in;
            plan.traffic.out += traffic.out;
        }
        plan.launches.push_back(std::move(launch));
    }
}

TilePlan empty_plan(const Design& design, const KernelDesign& kernel) {
    TilePlan plan;
    plan.kernel = kernel;
    plan.cores = design.cores;
    plan.core_bytes = design.core_bytes(kernel);
    if (plan.core_bytes > design.l1_bytes) {
        throw std::invalid_argument(fmt::format("design {}: kernel {} needs {} bytes of a core's {}",
                                                design.name, kernel.name, plan.core_bytes, design.l1_bytes));
    }
    if (design.cores < 1 || design.tiles_per_launch % design.cores != 0) {
        throw std::invalid_argument(fmt::format("design {}: {} tiles per launch is no multiple of {} cores",
                                                design.name, design.tiles_per_launch, design.cores));
    }
    return plan;
}

void require_positive(std::initializer_list<std::int64_t> sizes) {
    if (std::ranges::any_of(sizes, [](std::int64_t size) { return size < 1; })) {
        throw std::invalid_argument("every dimension of a tile plan must be at least 1");
    }
}

std::vector<Round> matmul_rounds(int cores, std::int64_t rows, std::int64_t columns) {
    const std::int64_t high = array_rows(cores);
    const std::int64_t wide = cores / high;
    std::vector<Round> rounds;
    std::int64_t next = 0;
    const auto place = [&](std::int64_t row, std::int64_t column) {
        if (next % cores == 0) {
            rounds.emplace_back();
        }
        rounds.back().push_back({0, row, column, static_cast<int>(next++ % cores)});
    };
    for (std::int64_t top = 0; top < rows; top += high) {
        for (std::int64_t left = 0; left < columns; left += wide) {
            for (std::int64_t row = top; row < std::min(rows, top + high); ++row) {
                for (std::int64_t column = left; column < std::min(columns, left + wide); ++column) {
                    place(row, column);
                }
            }
        }
    }
    return rounds;
}

// What host and device hold for one step of the square part. Scores and probabilities hold one wave.
std::vector<PlanBuffer> square_buffers(const TilePlan& plan, Op op, SquareShape shape, kernels::Store store) {
    const std::int64_t padded = Extent{shape.context}.padded();
    const std::int64_t headed = padded * shape.heads * side;
    const std::int64_t wave = plan.cores * side * padded;
    const std::int64_t out = bytes_of(store);
    if (plan.kernel.function == KernelFunction::attention) {
        return {{"query", headed * 2},
                {"key", headed * 2},
                {"value", headed * 2},
                {"out", headed * out + guard_bytes}};
    }
    if (op == Op::scores) {
        return {{"left", headed * 2}, {"right", headed * 2}, {"out", wave * out + guard_bytes}};
    }
    if (op == Op::probabilities) {
        return {{"scores", wave * 4}, {"out", wave * out + guard_bytes}};
    }
    return {{"left", wave * 2}, {"right", headed * 2}, {"out", headed * out + guard_bytes}};
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
           tiles_per_slot == other.tiles_per_slot && launches == other.launches && buffers == other.buffers &&
           core_bytes == other.core_bytes && traffic == other.traffic && macs_per_slot == other.macs_per_slot;
}

TilePlan plan_matmul(const Design& design, const KernelDesign& kernel, MatmulShape shape,
                     kernels::Store store) {
    require_positive({shape.rows, shape.reduction, shape.columns});
    TilePlan plan = empty_plan(design, kernel);
    plan.rows = {shape.rows};
    plan.columns = {shape.columns};
    plan.reduction = {shape.reduction};
    plan.macs_per_slot = plan.reduction.tiles() * macs_per_tile;
    const std::int64_t rows = plan.rows.padded();
    const std::int64_t columns = plan.columns.padded();
    const std::int64_t reduction = plan.reduction.padded();
    plan.buffers = {{"left", rows * reduction * 2},
                    {"right", reduction * columns * 2},
                    {"bias", columns * 2},
                    {"out", rows * columns * bytes_of(store) + guard_bytes}};
    append(plan, design, 0, matmul_rounds(design.cores, plan.rows.tiles(), plan.columns.tiles()), true,
           bytes_of(store));
    return plan;
}

std::vector<std::vector<Pair>> pair_waves(SquareShape shape, int cores) {
    std::vector<std::vector<Pair>> waves;
    for (std::int64_t row = 0; row < Extent{shape.context}.tiles(); ++row) {
        for (int head = 0; head < shape.heads; ++head) {
            if (waves.empty() || waves.back().size() == static_cast<std::size_t>(cores)) {
                waves.emplace_back();
            }
            waves.back().push_back({row, head});
        }
    }
    return waves;
}

TilePlan plan_square(const Design& design, const KernelDesign& kernel, Op op, SquareShape shape,
                     kernels::Store store) {
    require_positive({shape.context, shape.heads});
    if (op != Op::scores && op != Op::probabilities && op != Op::context) {
        throw std::invalid_argument("not an op of the square part: " + std::string(datasets::name(op)));
    }
    TilePlan plan = empty_plan(design, kernel);
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
    const std::int64_t products = kernel.function == KernelFunction::attention ? 2 : 1;
    plan.macs_per_slot = products * plan.reduction.tiles() * macs_per_tile;
    plan.buffers = square_buffers(plan, op, shape, store);

    const std::int64_t rounds_per_wave = op == Op::scores ? keys.tiles() : 1;
    std::int64_t wave = 0;
    for (const std::vector<Pair>& pairs : pair_waves(shape, design.cores)) {
        std::vector<Round> rounds(static_cast<std::size_t>(rounds_per_wave));
        for (std::size_t column = 0; column < rounds.size(); ++column) {
            for (std::size_t core = 0; core < pairs.size(); ++core) {
                rounds[column].push_back({pairs[core].head, pairs[core].row,
                                          static_cast<std::int64_t>(column), static_cast<int>(core)});
            }
        }
        append(plan, design, wave++, rounds, false, bytes_of(store));
    }
    return plan;
}

}  // namespace npu_impl
