// A plan as the array sees it: launches made of passes, in each of which every core multiplies, or otherwise
// uses, one set of operand tiles. Plain values; the tile plans of the path and products of any tiling both
// become this, and nothing but this is simulated.
//
// All cores of a pass do alike, so a pass holds what the busiest core, stream and channel carry; slots
// without work cost what busy ones cost.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "npu_impl/device_spec.hpp"
#include "npu_impl/tile_plan.hpp"

namespace npu_impl {

struct ArrayPass {
    std::int64_t read_bytes = 0;           // from DRAM; what several cores need crosses once
    std::int64_t read_channel_bytes = 0;   // of them through the busiest channel of a shim
    std::int64_t feed_bytes = 0;           // into a core through its busier stream
    double cycles = 0;                     // of a core
    std::int64_t drain_bytes = 0;          // out of a core, through one stream; 0: it keeps its sum
    std::int64_t write_channel_bytes = 0;  // through the busiest channel of a shim
    std::int64_t write_bytes = 0;          // to DRAM

    bool operator==(const ArrayPass&) const = default;
};

struct PassRun {
    ArrayPass pass;
    std::int64_t count = 1;

    bool operator==(const PassRun&) const = default;
};

// What one set of DMA tasks of the shims moves.
struct TaskGroup {
    std::int64_t tasks = 0;  // that the controller sets up one after the other
    std::vector<PassRun> passes;

    bool operator==(const TaskGroup&) const = default;
};

struct ArrayLaunch {
    std::vector<TaskGroup> groups;
    std::int64_t input_copies = 2;       // of a core's operand buffers: 2 overlap transfer and arithmetic
    std::int64_t output_copies = 1;      // of its output buffers
    bool output_in_accumulator = false;  // the sum is sent from where it is summed: the next one waits

    bool operator==(const ArrayLaunch&) const = default;
};

struct LaunchSpan {
    std::size_t launch = 0;  // index into ArrayWork::launches
    std::int64_t count = 1;
};

struct ArrayWork {
    std::vector<ArrayLaunch> launches;  // that differ
    std::vector<LaunchSpan> sequence;   // in the order in which they run
    double macs = 0;                    // useful and padded, of all cores: of products alone

    [[nodiscard]] std::int64_t launch_count() const;

    // Adds `launch` behind the others.
    void append(ArrayLaunch launch);
};

// Shim descriptors of one task group: its left and right operands, its output.
inline constexpr std::int64_t descriptors_per_group = 3;

// Of a step of the path. `kernel`: how its vector code was compiled (DeviceSpec::kernels); scalar kernels
// take the rate of "scalar". VMACs outside products are those that the kernels' files count, and take as
// many cycles as one of a product.
ArrayWork array_work(const TilePlan& plan, const DeviceSpec& spec, std::string_view kernel);

// Of some of the plan's launches.
ArrayWork array_work(const TilePlan& plan, std::span<const TileLaunch> launches, const DeviceSpec& spec,
                     std::string_view kernel);

// A product of a whole array, or one core, in tiles of any size.
struct GemmTiling {
    std::int64_t m = 64;
    std::int64_t k = 64;  // staged in the memory tiles; a core takes as much of it as fits
    std::int64_t n = 64;

    bool operator==(const GemmTiling&) const = default;
};

struct GemmJob {
    MatmulShape shape;
    GemmTiling tile;
    std::int64_t cores = 16;
    std::int64_t out_bytes = 2;          // of one element
    std::int64_t blocks_per_launch = 0;  // blocks as high and wide as the array; 0: all
    bool accumulates_on_core = true;     // false: every k tile is put out by itself
    std::string kernel = "peano";
};

// The depth of k that a core takes at a time: `tile.k`, halved until operand tiles in two copies, the output
// tile in one and the stack fit into L1; 0 where nothing does.
std::int64_t core_depth(const GemmJob& job, const DeviceSpec& spec);

// Throws std::invalid_argument where nothing fits into L1, and for more cores than the device has.
ArrayWork gemm_work(const GemmJob& job, const DeviceSpec& spec);

}  // namespace npu_impl
