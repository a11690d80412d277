// Which output tiles are made, in which launch, on which core, in which order, and what that costs in memory,
// traffic and multiply-adds. A pure value: nothing here touches a device or a tensor.
//
// Work is cut into rounds: in a round every core has one slot, which holds one output buffer's worth of work
// (one output tile; for a softmax or norm one row of tiles; where the host adds up the k tiles, the product
// of one).
// A launch is a number of whole rounds, so that a launch of a step with 16 cores always feeds multiples of
// 16 slots; slots without work are idle and counted apart.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "npu_impl/design.hpp"

namespace npu_impl {

// A dimension and its padding to whole tiles.
struct Extent {
    std::int64_t size = 0;

    [[nodiscard]] std::int64_t tiles() const { return (size + kernels::tile - 1) / kernels::tile; }
    [[nodiscard]] std::int64_t padded() const { return tiles() * kernels::tile; }
    bool operator==(const Extent&) const = default;
};

// [rows, reduction] x [reduction, columns].
struct MatmulShape {
    std::int64_t rows = 1;
    std::int64_t reduction = 1;
    std::int64_t columns = 1;
};

// Square attention of `heads` heads over `context` rows: queries and keys alike.
struct SquareShape {
    std::int64_t context = 1;
    int heads = 1;
};

// Where one piece of output is made: tile coordinates and core.
struct Slot {
    int head = 0;  // counted within the plan's heads; 0 for a plain product
    std::int64_t row = 0;
    std::int64_t column = 0;
    std::int64_t k = 0;      // first k tile
    std::int64_t place = 0;  // of the pair in its wave; 0 for a plain product
    int core = 0;

    bool operator==(const Slot&) const = default;
};

struct TileLaunch {
    std::int64_t wave = 0;  // launches of one wave share the wave's buffers
    std::int64_t rounds = 0;
    std::vector<Slot> slots;  // in order; those of one core run in this order
    std::int64_t idle = 0;    // slots without work

    bool operator==(const TileLaunch&) const = default;
};

// One buffer object of a launch's argument list, mapped by the host.
struct PlanBuffer {
    std::string name;
    std::int64_t bytes = 0;

    bool operator==(const PlanBuffer&) const = default;
};

// Bytes between DRAM and the array. A tile that several cores need in one round crosses once: the memory
// tiles broadcast it, as in mlir-aie's programming_examples/basic/matrix_multiplication/whole_array.
struct Traffic {
    std::int64_t in = 0;
    std::int64_t out = 0;

    bool operator==(const Traffic&) const = default;
};

struct TilePlan {
    KernelDesign kernel;
    int cores = 0;
    int heads = 1;
    Extent rows;
    Extent columns;
    Extent reduction;  // of the products behind one element; size 0: no product
    std::int64_t tiles_per_slot = 1;
    std::int64_t k_tiles_per_slot = 0;  // of each product behind it
    bool partial = false;               // the host adds up what slots of one output tile put out, by k
    std::vector<TileLaunch> launches;   // by wave
    std::vector<PlanBuffer> buffers;    // host-mapped; an output includes its guard zone
    std::int64_t core_bytes = 0;        // of each core's data memory, stack included
    Traffic traffic;
    std::int64_t macs_per_slot = 0;   // of products of tiles
    std::int64_t vmacs_per_slot = 0;  // instructions of a norm or GELU, 16 lanes each

    [[nodiscard]] std::int64_t waves() const;
    [[nodiscard]] std::int64_t rounds() const;
    [[nodiscard]] std::int64_t tiles() const;  // that slots put out; partial: one per k tile
    [[nodiscard]] std::int64_t idle_slots() const;

    [[nodiscard]] std::span<const TileLaunch> launches_of(std::int64_t wave) const;

    // Partial: the tiles that a wave's slots put out, and where in the wave's buffer a slot's tile lies: by
    // place, column, k.
    [[nodiscard]] std::int64_t partial_tiles(std::int64_t wave) const;
    [[nodiscard]] std::int64_t partial_index(const Slot& slot) const;

    // Multiply-adds on the critical path: every round takes as long as one busy core.
    [[nodiscard]] std::int64_t macs_per_core() const { return rounds() * macs_per_slot; }
    [[nodiscard]] std::int64_t vmacs_per_core() const { return rounds() * vmacs_per_slot; }

    // Throws std::invalid_argument if there is none of that name.
    [[nodiscard]] const PlanBuffer& buffer(std::string_view name) const;

    struct Place {
        std::int64_t launch = 0;
        int core = 0;
    };
    // Which slot makes a tile (partial: that of its first k tile); nothing outside the plan.
    [[nodiscard]] std::optional<Place> find(int head, std::int64_t row, std::int64_t column) const;

    bool operator==(const TilePlan&) const;
};

// Bytes behind each output that no kernel may touch.
inline constexpr std::int64_t guard_bytes = 4096;

// One product of any size >= 1. Buffers: left [rows, reduction], right (either layout), bias [columns], out
// [rows, columns], all padded to tiles. Tiles are taken in blocks as wide and high as the array, so that a
// round shares operand tiles; the accumulator stays on the core over all k tiles, and there is one wave.
// Partial: a wave is a row block, whose tiles follow each other, each by ascending k; out holds the partial
// tiles of one wave. Throws std::invalid_argument for sizes < 1, and for a kernel that does not fit the core.
TilePlan plan_matmul(const Design& design, const StepDesign& step, MatmulShape shape, TileOutput output);

// A matrix whose rows, or elements, are independent of each other.
struct RowShape {
    std::int64_t rows = 1;
    std::int64_t columns = 1;
};

// A norm (a slot makes a whole row of tiles) or a GELU (a slot makes one tile), by the kernel's function. One
// wave. Buffers: x [rows, columns], gain and bias [columns] of a norm, out, padded to tiles. Throws
// std::invalid_argument for sizes < 1, and for a kernel that does not fit the core.
TilePlan plan_rows(const Design& design, const StepDesign& step, RowShape shape, TileOutput output);

// A (row block, head) pair of a wave.
struct Pair {
    std::int64_t row = 0;
    int head = 0;

    bool operator==(const Pair&) const = default;
};

// Pairs in a wave: what host and device hold of the square tensors, whatever the cores of a step. A step with
// fewer cores takes them in turns.
inline constexpr int wave_pairs = 16;

// Pairs in waves, row blocks major, heads minor.
std::vector<std::vector<Pair>> pair_waves(SquareShape shape);

// One step of the square part; scores, probabilities and partial tiles exist only for a wave. The last op of
// the step is scores, probabilities or context; the kernel's function tells whether context is a product or
// fused attention.
TilePlan plan_square(const Design& design, const StepDesign& step, SquareShape shape, TileOutput output);

}  // namespace npu_impl
