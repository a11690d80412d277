// How a tile lies in the core's memory: aligned for its vector loads, and cut into the blocks that its
// multiplier takes. What turns row-major tiles into these is the memtile's DMA on the array.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/tile_kernels.hpp"

namespace kernels {

inline constexpr int tile_elements = tile * tile;

// A tile in the alignment that the core's vector loads need.
template <typename T>
struct alignas(64) Tile {
    T data[tile_elements];
};
struct alignas(64) PerRow {
    float data[tile];
};

// Row-major [64, 64] to and from blocks of rows x columns.
template <int rows, int columns, typename T>
void to_blocks(const T* from, T* to) {
    for (int block_row = 0; block_row < tile; block_row += rows) {
        for (int block_column = 0; block_column < tile; block_column += columns) {
            for (int row = 0; row < rows; ++row, to += columns) {
                std::memcpy(to, from + (block_row + row) * tile + block_column, columns * sizeof(T));
            }
        }
    }
}

template <int rows, int columns, typename T>
void from_blocks(const T* from, T* to) {
    for (int block_row = 0; block_row < tile; block_row += rows) {
        for (int block_column = 0; block_column < tile; block_column += columns) {
            for (int row = 0; row < rows; ++row, from += columns) {
                std::memcpy(to + (block_row + row) * tile + block_column, from, columns * sizeof(T));
            }
        }
    }
}

template <typename T>
void transpose(const T* from, T* to) {
    for (int row = 0; row < tile; ++row) {
        for (int column = 0; column < tile; ++column) {
            to[column * tile + row] = from[row * tile + column];
        }
    }
}

}  // namespace kernels
