// What the slots of one round share, and what they therefore move between DRAM and the array.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "npu_impl/tile_plan.hpp"

namespace npu_impl {

// Slots of a round that differ in what they read of the left factor, of the right one, and in their head.
std::int64_t distinct_rows(std::span<const Slot> round);
std::int64_t distinct_columns(std::span<const Slot> round);
std::int64_t distinct_heads(std::span<const Slot> round);

// `bias`: a row of it comes with each distinct column. `out_bytes`: of one element that is put out.
Traffic round_traffic(const TilePlan& plan, std::span<const Slot> round, bool bias, std::int64_t out_bytes);

// The rounds of a launch, in order: in each, cores count up from the first.
std::vector<std::span<const Slot>> rounds_of(const TileLaunch& launch);

}  // namespace npu_impl
