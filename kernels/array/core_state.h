// What the cores of the array designs on all cores share: powers of two, and a bias out of a tile of rows.
#pragma once

#include "kernels/aie2/kernels.h"

namespace kernels::array {

constexpr unsigned tile = 64;
constexpr unsigned tile_elements = tile * tile;

// 2^power, within the normal numbers.
inline float power_of_two(int power) {
    return __builtin_bit_cast(float, static_cast<unsigned>(127 + power) << 23U);
}

// Row `row` (0 to 3) of a tile of bf16 in blocks 4x8, [64].
inline void take_row(const bfloat16* blocks, int row, bfloat16* out) {
    constexpr unsigned wide = 8;
    for (unsigned block = 0; block < tile / wide; ++block) {
        for (unsigned i = 0; i < wide; ++i) {
            out[block * wide + i] = blocks[(block * 4 + static_cast<unsigned>(row)) * wide + i];
        }
    }
}

}  // namespace kernels::array
