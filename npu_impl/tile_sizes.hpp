// Sizes of what plans, costs and the device count in.
#pragma once

#include <cstdint>

#include "kernels/tile_kernels.hpp"

namespace npu_impl {

inline constexpr std::int64_t side = kernels::tile;  // of a tile, in elements
inline constexpr std::int64_t bf16_bytes = 2;        // of an element

}  // namespace npu_impl
