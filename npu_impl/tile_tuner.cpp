#include "npu_impl/tile_tuner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace npu_impl {
namespace {

constexpr std::int64_t row_block = 16;
constexpr std::int64_t depth_block = 8;
constexpr std::int64_t column_block = 16;
constexpr std::int64_t largest_side = 256;
constexpr std::array<std::int64_t, 5> depths{32, 64, 128, 256, 512};

constexpr std::int64_t divided(std::int64_t value, std::int64_t by) {
    return (value + by - 1) / by;
}

// What one memory tile holds of a stage, each twice: its share of the left and right tiles, and the outputs
// of its column.
std::int64_t staged_bytes(const GemmJob& job, const DeviceSpec& spec) {
    const bool whole = job.cores == spec.cores();
    const std::int64_t columns = divided(job.cores, spec.core_rows);
    const std::int64_t down = whole ? spec.gemm_down : std::min(job.cores, spec.core_rows);
    const std::int64_t across = job.cores / down;
    const std::int64_t left = divided(down, columns) * job.tile.m * job.tile.k * 2;
    const std::int64_t right = divided(across, columns) * job.tile.n * job.tile.k * 2;
    const std::int64_t out = divided(down * across, columns) * job.tile.m * job.tile.n * job.out_bytes;
    return 2 * (left + right + out);
}

std::vector<GemmTiling> candidates() {
    std::vector<GemmTiling> all;
    for (std::int64_t m = row_block; m <= largest_side; m += row_block) {
        for (std::int64_t n = column_block; n <= largest_side; n += column_block) {
            for (const std::int64_t k : depths) {
                all.push_back({m, k, n});
            }
        }
    }
    return all;
}

// Cores and memory tiles chain one descriptor for each buffer of a stream: a core two for either operand and
// one for its output, a memory tile two for each tile that a channel spreads or joins.
std::optional<LimitBreach> find_descriptor_breach(const GemmJob& job, const DeviceSpec& spec) {
    constexpr std::int64_t of_a_core = 2 + 2 + 1;
    if (of_a_core > spec.core_descriptors) {
        return LimitBreach{"a core", of_a_core, spec.core_descriptors, "descriptors"};
    }
    const std::int64_t columns = divided(job.cores, spec.core_rows);
    const std::int64_t of_a_channel = 2 * divided(job.cores, columns);
    if (of_a_channel > spec.memtile_descriptors) {
        return LimitBreach{"a channel of a memory tile", of_a_channel, spec.memtile_descriptors,
                           "descriptors"};
    }
    if (descriptors_per_group > spec.shim_descriptors) {
        return LimitBreach{"a shim", descriptors_per_group, spec.shim_descriptors, "descriptors"};
    }
    return {};
}

double distance(const GemmTiling& a, const GemmTiling& b) {
    const auto ratio = [](std::int64_t x, std::int64_t y) {
        return std::abs(std::log(double(x) / double(y)));
    };
    return ratio(a.m, b.m) + ratio(a.k, b.k) + ratio(a.n, b.n);
}

}  // namespace

std::string describe(const LimitBreach& breach) {
    return breach.unit == "multiple"
               ? fmt::format("{} is {}: not a multiple of {}", breach.limit, breach.asked, breach.available)
               : fmt::format("needs {} of {} {}", breach.asked, breach.available,
                             breach.unit + " of " + breach.limit);
}

std::optional<LimitBreach> find_breach(const GemmJob& job, const DeviceSpec& spec) {
    const GemmTiling& tile = job.tile;
    if (job.cores > spec.cores()) {
        return LimitBreach{"the array", job.cores, spec.cores(), "cores"};
    }
    if (tile.m % row_block != 0) {
        return LimitBreach{"m", tile.m, row_block, "multiple"};
    }
    if (tile.k % depth_block != 0) {
        return LimitBreach{"k", tile.k, depth_block, "multiple"};
    }
    if (tile.n % column_block != 0) {
        return LimitBreach{"n", tile.n, column_block, "multiple"};
    }
    const std::int64_t out = tile.m * tile.n * job.out_bytes;
    const std::int64_t depth = core_depth(job, spec);
    if (depth == 0 || depth % depth_block != 0) {
        const std::int64_t least = 2 * (tile.m + tile.n) * depth_block * 2 + out + spec.stack_bytes;
        return LimitBreach{"L1, k cut to 8 at a time", std::max(least, spec.l1_bytes + 1), spec.l1_bytes,
                           "bytes"};
    }
    const std::int64_t words = std::max({tile.m * depth * 2, tile.n * depth * 2, out}) / 4;
    if (words > spec.core_descriptor_words) {
        return LimitBreach{"one descriptor of a core", words, spec.core_descriptor_words, "words"};
    }
    if (const std::int64_t staged = staged_bytes(job, spec); staged > spec.memtile_bytes) {
        return LimitBreach{"a memory tile", staged, spec.memtile_bytes, "bytes"};
    }
    const std::int64_t most = std::max({divided(job.shape.reduction, tile.k),
                                        divided(job.shape.columns, tile.n), divided(job.shape.rows, tile.m)});
    if (most > spec.dma_wrap) {
        return LimitBreach{"one dimension of a descriptor", most, spec.dma_wrap, "steps"};
    }
    return find_descriptor_breach(job, spec);
}

std::optional<GemmTiling> nearest_fit(const GemmJob& job, const DeviceSpec& spec) {
    std::optional<GemmTiling> best;
    for (const GemmTiling& tile : candidates()) {
        GemmJob other = job;
        other.tile = tile;
        other.cores = std::min(job.cores, spec.cores());
        const bool nearer = !best || distance(tile, job.tile) < distance(*best, job.tile);
        if (nearer && !find_breach(other, spec)) {
            best = tile;
        }
    }
    return best;
}

TunedGemm tune(GemmJob job, const CostModel& model) {
    TunedGemm best;
    double fastest = std::numeric_limits<double>::infinity();
    for (const GemmTiling& tile : candidates()) {
        job.tile = tile;
        if (find_breach(job, model.spec)) {
            ++best.refused;
            continue;
        }
        const ArrayWork work = gemm_work(job, model.spec);
        const TimeBounds bounds = time_bounds(work, model);
        const double least =
            bounds.launch_floor + std::max({bounds.kernel_floor, bounds.dram_roof, bounds.stream_roof});
        if (least >= fastest) {
            continue;
        }
        ++best.simulated;
        if (const Cost cost = model.cost(work); cost.total() < fastest) {
            fastest = cost.total();
            best.job = job;
            best.cost = cost;
        }
    }
    if (best.simulated == 0) {
        throw std::invalid_argument(fmt::format("no tiling of the product fits {}", model.spec.name));
    }
    return best;
}

}  // namespace npu_impl
