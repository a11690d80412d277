#include "npu_impl/array_work.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "npu_impl/round_traffic.hpp"
#include "npu_impl/tile_sizes.hpp"

namespace npu_impl {
namespace {

constexpr std::int64_t tile_elements = side * side;
constexpr std::int64_t bf16_tile_bytes = tile_elements * 2;
constexpr std::int64_t f32_tile_bytes = tile_elements * 4;

// A VMAC takes its issue slot whether it is a 4x8x4 product or 16 lanes (aie_api
// detail/aie2/mmul_bf16_bf16.hpp).
constexpr double macs_per_vmac = 4 * 8 * 4;

// VMACs per tile, as counted at the top of kernels/aie2/softmax.cc and attention.cc.
constexpr double softmax_update_vmacs = 272;
constexpr double softmax_finish_vmacs = 768;
constexpr double attention_exp_vmacs = 512;  // exponentials, and the query's scale
constexpr double attention_finish_vmacs = 1536;

constexpr std::int64_t divided(std::int64_t value, std::int64_t by) {
    return (value + by - 1) / by;
}

// Of a core, for a tile m x k x n.
double product_cycles(const KernelRate& rate, std::int64_t m, std::int64_t k, std::int64_t n) {
    constexpr std::int64_t block = 16;
    return double(m * k * n) / rate.mac_per_cycle +
           double(divided(m, block) * divided(n, block)) * rate.block_cycles;
}

// Turns the rounds of one plan into passes.
class PlanPasses {
public:
    PlanPasses(const TilePlan& plan, const DeviceSpec& spec, std::string_view kernel)
        : plan_(plan),
          columns_(divided(plan.cores, spec.core_rows)),
          rate_(spec.rate_of(plan.kernel.source == KernelSource::scalar ? "scalar" : kernel)),
          out_tile_bytes_(plan.tiles() == 0 ? 0 : plan.traffic.out / plan.tiles()),
          bias_(!plan.partial &&
                std::ranges::find(plan.buffers, "bias", &PlanBuffer::name) != plan.buffers.end()) {}

    [[nodiscard]] ArrayLaunch launch(const TileLaunch& planned) const {
        ArrayLaunch out;
        out.input_copies = copies({"left", "scores", "x"}, plan_.kernel.function == KernelFunction::attention
                                                               ? 2  // key and value take turns
                                                               : 1);
        out.output_copies = copies({"out"}, 1);
        out.output_in_accumulator = copies({"out"}, 0) == 0;
        const Slot* before = nullptr;
        for (const std::span<const Slot> round : rounds_of(planned)) {
            if (before == nullptr || starts_group(*before, round.front())) {
                out.groups.push_back({tasks(round), {}});
            }
            before = &round.front();
            add_round(out.groups.back(), round);
        }
        return out;
    }

private:
    [[nodiscard]] std::int64_t copies(std::initializer_list<std::string_view> names,
                                      std::int64_t otherwise) const {
        for (const CoreBuffer& buffer : plan_.kernel.core_memory) {
            if (std::ranges::find(names, buffer.name) != names.end()) {
                return buffer.copies;
            }
        }
        return otherwise;
    }

    // A task of the left operand serves all that is multiplied with it; rows and elements that are
    // independent of each other are one task for all.
    [[nodiscard]] bool starts_group(const Slot& before, const Slot& slot) const {
        const bool independent =
            plan_.kernel.function == KernelFunction::norm || plan_.kernel.function == KernelFunction::gelu;
        return !independent && (before.row != slot.row || before.head != slot.head);
    }

    [[nodiscard]] std::int64_t tasks(std::span<const Slot> round) const {
        switch (plan_.kernel.function) {
            case KernelFunction::matmul:
                return std::min(columns_, distinct_rows(round)) +
                       std::min(columns_, distinct_columns(round)) + columns_;
            case KernelFunction::attention:
                return 3 * columns_;
            case KernelFunction::softmax:
            case KernelFunction::norm:
            case KernelFunction::gelu:
                break;
        }
        return 2 * columns_;
    }

    void add_round(TaskGroup& group, std::span<const Slot> round) const {
        const auto slots = static_cast<std::int64_t>(round.size());
        const auto add = [&](ArrayPass pass, std::int64_t count = 1) {
            if (count > 0) {
                merge(group, {pass, count});
            }
        };
        switch (plan_.kernel.function) {
            case KernelFunction::matmul: {
                ArrayPass pass = product(round);
                add(pass, plan_.k_tiles_per_slot - 1);
                pass.read_bytes += bias_ ? distinct_columns(round) * side * 2 : 0;
                add(draining(pass, slots));
                break;
            }
            case KernelFunction::softmax:
                add(elementwise(slots, softmax_update_vmacs), plan_.tiles_per_slot);
                add(draining(elementwise(slots, softmax_finish_vmacs), slots), plan_.tiles_per_slot);
                break;
            case KernelFunction::attention:
                add_attention(group, round);
                break;
            case KernelFunction::norm:
            case KernelFunction::gelu: {
                const double vmacs = double(plan_.vmacs_per_slot) / double(plan_.tiles_per_slot);
                ArrayPass pass = draining(elementwise(slots, vmacs), slots);
                add(pass, plan_.tiles_per_slot - 1);
                if (plan_.kernel.function == KernelFunction::norm) {
                    pass.read_bytes += 2 * plan_.tiles_per_slot * side * 2;
                }
                add(pass);
                break;
            }
        }
    }

    [[nodiscard]] ArrayPass product(std::span<const Slot> round) const {
        const std::int64_t rows = distinct_rows(round);
        const std::int64_t columns = distinct_columns(round);
        ArrayPass pass;
        pass.read_bytes = (rows + columns) * bf16_tile_bytes;
        pass.read_channel_bytes = divided(std::max(rows, columns), columns_) * bf16_tile_bytes;
        pass.feed_bytes = bf16_tile_bytes;
        pass.cycles = product_cycles(rate_, side, side, side);
        return pass;
    }

    // A tile of fp32 in.
    [[nodiscard]] ArrayPass elementwise(std::int64_t slots, double vmacs) const {
        ArrayPass pass;
        pass.read_bytes = slots * f32_tile_bytes;
        pass.read_channel_bytes = divided(slots, 2 * columns_) * f32_tile_bytes;
        pass.feed_bytes = f32_tile_bytes;
        pass.cycles = vmacs * macs_per_vmac / rate_.mac_per_cycle;
        return pass;
    }

    // One tile out of every core; the cores of a column share one channel.
    [[nodiscard]] ArrayPass draining(ArrayPass pass, std::int64_t slots) const {
        pass.drain_bytes = out_tile_bytes_;
        pass.write_channel_bytes = divided(slots, columns_) * out_tile_bytes_;
        pass.write_bytes = slots * out_tile_bytes_;
        return pass;
    }

    void add_attention(TaskGroup& group, std::span<const Slot> round) const {
        const auto slots = static_cast<std::int64_t>(round.size());
        const std::int64_t heads = distinct_heads(round);
        const double vmac_cycles = macs_per_vmac / rate_.mac_per_cycle;
        ArrayPass query;
        query.read_bytes = distinct_rows(round) * bf16_tile_bytes;
        query.read_channel_bytes = divided(distinct_rows(round), columns_) * bf16_tile_bytes;
        query.feed_bytes = bf16_tile_bytes;
        merge(group, {query, 1});
        ArrayPass key;
        key.read_bytes = heads * bf16_tile_bytes;
        key.read_channel_bytes = divided(heads, columns_) * bf16_tile_bytes;
        key.feed_bytes = bf16_tile_bytes;
        ArrayPass value = key;
        value.cycles = product_cycles(rate_, side, side, side);
        key.cycles = value.cycles + attention_exp_vmacs * vmac_cycles;
        for (std::int64_t tile = 1; tile <= plan_.k_tiles_per_slot; ++tile) {
            merge(group, {key, 1});
            if (tile == plan_.k_tiles_per_slot) {
                value.cycles += attention_finish_vmacs * vmac_cycles;
                value = draining(value, slots);
            }
            merge(group, {value, 1});
        }
    }

    static void merge(TaskGroup& group, const PassRun& run) {
        if (!group.passes.empty() && group.passes.back().pass == run.pass) {
            group.passes.back().count += run.count;
        } else {
            group.passes.push_back(run);
        }
    }

    const TilePlan& plan_;
    std::int64_t columns_;
    KernelRate rate_;
    std::int64_t out_tile_bytes_;
    bool bias_;
};

}  // namespace

std::int64_t ArrayWork::launch_count() const {
    std::int64_t sum = 0;
    for (const LaunchSpan& span : sequence) {
        sum += span.count;
    }
    return sum;
}

void ArrayWork::append(ArrayLaunch launch) {
    const auto found = std::ranges::find(launches, launch);
    const auto index = static_cast<std::size_t>(found - launches.begin());
    if (found == launches.end()) {
        launches.push_back(std::move(launch));
    }
    if (!sequence.empty() && sequence.back().launch == index) {
        ++sequence.back().count;
    } else {
        sequence.push_back({index, 1});
    }
}

ArrayWork array_work(const TilePlan& plan, const DeviceSpec& spec, std::string_view kernel) {
    return array_work(plan, plan.launches, spec, kernel);
}

ArrayWork array_work(const TilePlan& plan, std::span<const TileLaunch> launches, const DeviceSpec& spec,
                     std::string_view kernel) {
    const PlanPasses passes(plan, spec, kernel);
    ArrayWork work;
    for (const TileLaunch& launch : launches) {
        work.append(passes.launch(launch));
        work.macs += double(launch.slots.size()) * double(plan.macs_per_slot);
    }
    return work;
}

std::int64_t core_depth(const GemmJob& job, const DeviceSpec& spec) {
    const auto fits = [&](std::int64_t k) {
        const std::int64_t operands = 2 * (job.tile.m + job.tile.n) * k * 2;
        return operands + job.tile.m * job.tile.n * job.out_bytes + spec.stack_bytes <= spec.l1_bytes;
    };
    std::int64_t depth = job.tile.k;
    while (depth > 0 && !fits(depth)) {
        depth = depth % 2 == 0 ? depth / 2 : 0;
    }
    return depth;
}

ArrayWork gemm_work(const GemmJob& job, const DeviceSpec& spec) {
    if (job.cores < 1 || job.cores > spec.cores()) {
        throw std::invalid_argument(
            fmt::format("a product on {} cores: {} has {}", job.cores, spec.name, spec.cores()));
    }
    const std::int64_t depth = core_depth(job, spec);
    if (depth == 0) {
        throw std::invalid_argument(
            fmt::format("a {}x{}x{} tile, its output of {} bytes an element and the stack need more than the "
                        "{} bytes of L1",
                        job.tile.m, job.tile.k, job.tile.n, job.out_bytes, spec.l1_bytes));
    }
    const bool whole = job.cores == spec.cores();
    const std::int64_t columns = divided(job.cores, spec.core_rows);
    const std::int64_t down = whole ? spec.gemm_down : std::min(job.cores, spec.core_rows);
    const std::int64_t across = job.cores / down;
    const std::int64_t out_tile = job.tile.m * job.tile.n * job.out_bytes;
    ArrayPass pass;
    pass.read_bytes = (down * job.tile.m + across * job.tile.n) * depth * 2;
    pass.read_channel_bytes =
        std::max(divided(down, columns) * job.tile.m, divided(across, columns) * job.tile.n) * depth * 2;
    pass.feed_bytes = std::max(job.tile.m, job.tile.n) * depth * 2;
    pass.cycles = product_cycles(spec.rate_of(job.kernel), job.tile.m, depth, job.tile.n);
    ArrayPass last = pass;
    last.drain_bytes = out_tile;
    last.write_channel_bytes = divided(down * across, columns) * out_tile;
    last.write_bytes = down * across * out_tile;

    const std::int64_t staged = divided(job.shape.reduction, job.tile.k);
    const std::int64_t per_stage = job.tile.k / depth;
    const std::int64_t block_rows = divided(job.shape.rows, down * job.tile.m);
    const std::int64_t block_columns = divided(job.shape.columns, across * job.tile.n);
    const std::int64_t sums = job.accumulates_on_core ? 1 : staged;
    const std::int64_t passes = staged * per_stage / sums;
    const std::int64_t tasks = std::min(columns, down) + std::min(columns, across) + columns;
    const std::int64_t all = block_rows * block_columns * sums;
    const std::int64_t per_launch = job.blocks_per_launch == 0 ? all : job.blocks_per_launch;
    ArrayWork work;
    work.macs = double(down * across * job.tile.m * job.tile.n) * double(staged * job.tile.k) *
                double(block_rows * block_columns);
    for (std::int64_t begin = 0; begin < all; begin += per_launch) {
        ArrayLaunch launch;
        launch.output_in_accumulator = true;
        const std::int64_t row_blocks = block_columns * sums;
        for (std::int64_t block = begin; block < std::min(all, begin + per_launch); ++block) {
            if (launch.groups.empty() || block % row_blocks == 0) {
                launch.groups.push_back({tasks, {}});
            }
            std::vector<PassRun>& runs = launch.groups.back().passes;
            if (passes > 1) {
                runs.push_back({pass, passes - 1});
            }
            runs.push_back({last, 1});
        }
        work.append(std::move(launch));
    }
    return work;
}

}  // namespace npu_impl
