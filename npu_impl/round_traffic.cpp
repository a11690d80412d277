#include "npu_impl/round_traffic.hpp"

#include <algorithm>
#include <tuple>

#include "npu_impl/tile_sizes.hpp"

namespace npu_impl {
namespace {

constexpr std::int64_t bf16_tile_bytes = side * side * 2;

template <typename Key>
std::int64_t distinct(std::span<const Slot> round, Key key) {
    std::vector<decltype(key(round.front()))> seen;
    for (const Slot& slot : round) {
        const auto value = key(slot);
        if (std::ranges::find(seen, value) == seen.end()) {
            seen.push_back(value);
        }
    }
    return static_cast<std::int64_t>(seen.size());
}

}  // namespace

std::int64_t distinct_rows(std::span<const Slot> round) {
    return distinct(round, [](const Slot& slot) { return std::tuple{slot.head, slot.row, slot.k}; });
}

std::int64_t distinct_columns(std::span<const Slot> round) {
    return distinct(round, [](const Slot& slot) { return std::tuple{slot.head, slot.column, slot.k}; });
}

std::int64_t distinct_heads(std::span<const Slot> round) {
    return distinct(round, [](const Slot& slot) { return slot.head; });
}

Traffic round_traffic(const TilePlan& plan, std::span<const Slot> round, bool bias, std::int64_t out_bytes) {
    const auto slots = static_cast<std::int64_t>(round.size());
    const std::int64_t k_tiles = plan.k_tiles_per_slot;
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
        case KernelFunction::norm:  // gain and bias once for all cores
            traffic.in = slots * plan.tiles_per_slot * side * side * 4 + 2 * plan.tiles_per_slot * side * 2;
            break;
        case KernelFunction::gelu:
            traffic.in = slots * side * side * 4;
            break;
    }
    return traffic;
}

std::vector<std::span<const Slot>> rounds_of(const TileLaunch& launch) {
    std::vector<std::span<const Slot>> rounds;
    const std::span<const Slot> slots(launch.slots);
    std::size_t begin = 0;
    for (std::size_t i = 1; i <= slots.size(); ++i) {
        if (i == slots.size() || slots[i].core <= slots[i - 1].core) {
            rounds.push_back(slots.subspan(begin, i - begin));
            begin = i;
        }
    }
    return rounds;
}

}  // namespace npu_impl
