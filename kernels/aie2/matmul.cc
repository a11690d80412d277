// One 64 x 64 x 64 tile of matrix multiplication: c += a b, fp32 or bf16 c.
//
// Contract: kernels.h. Every element of c is a chain of 8 VMACs in ascending k, each of which adds 8 products
// at once (AMD AM020 ch. 4); the chain starts at the c that was read. The rounding points are these VMACs
// and, where c is bf16, one conversion per call.
// 2,048 VMACs of 128 MACs. L1: a 8 KB, b 8 KB, c 16 KB (8 KB as bf16).
#include <aie_kernel_utils.h>
#include <aie_api/aie.hpp>

#include "kernels.h"

namespace kernels::aie2 {
namespace {

using Block = aie::mmul<4, 8, 4, bfloat16, bfloat16, accauto>;

constexpr unsigned row_blocks = 64 / 4;
constexpr unsigned column_blocks = 64 / 4;
constexpr unsigned depth_blocks = 64 / 8;

enum class Right : unsigned {
    k_by_n,  // [k, n], blocks 8x4
    n_by_k,  // [n, k], blocks 4x8
};

// Block [k, column] of b as the multiplier takes it, 8x4.
template <Right right>
inline aie::vector<bfloat16, Block::size_B> right_block(const bfloat16* b, unsigned k, unsigned column) {
    if constexpr (right == Right::k_by_n) {
        return aie::load_v<Block::size_B>(b + (k * column_blocks + column) * Block::size_B);
    } else {
        return aie::transpose(aie::load_v<Block::size_B>(b + (column * depth_blocks + k) * Block::size_B), 4,
                              8);
    }
}

// Four by two blocks of c stay in accumulators: eight independent chains hide the latency of a VMAC.
template <Right right, typename T>
inline void multiply_blocks(const bfloat16* __restrict a, const bfloat16* __restrict b, T* __restrict c,
                            unsigned row, unsigned column) {
    constexpr unsigned rows = 4;
    constexpr unsigned columns = 2;
    T* const first = c + (row * column_blocks + column) * Block::size_C;
    constexpr unsigned row_stride = column_blocks * Block::size_C;
    Block sums[rows][columns];
    for (unsigned i = 0; i < rows; ++i) {
        for (unsigned j = 0; j < columns; ++j) {
            sums[i][j] = Block(aie::load_v<Block::size_C>(first + i * row_stride + j * Block::size_C));
        }
    }
    AIE_PREPARE_FOR_PIPELINING
    for (unsigned k = 0; k < depth_blocks; ++k) {
        const auto b0 = right_block<right>(b, k, column);
        const auto b1 = right_block<right>(b, k, column + 1);
        for (unsigned i = 0; i < rows; ++i) {
            const auto left = aie::load_v<Block::size_A>(a + ((row + i) * depth_blocks + k) * Block::size_A);
            sums[i][0].mac(left, b0);
            sums[i][1].mac(left, b1);
        }
    }
    for (unsigned i = 0; i < rows; ++i) {
        for (unsigned j = 0; j < columns; ++j) {
            aie::store_v(first + i * row_stride + j * Block::size_C, sums[i][j].template to_vector<T>());
        }
    }
}

template <Right right, aie::rounding_mode rounding, typename T>
inline void multiply_tile(const bfloat16* a, const bfloat16* b, T* c) {
    aie::set_rounding(rounding);
    for (unsigned row = 0; row < row_blocks; row += 4) {
        for (unsigned column = 0; column < column_blocks; column += 2) {
            multiply_blocks<right>(a, b, c, row, column);
        }
    }
    aie::set_rounding(aie::rounding_mode::floor);
}

}  // namespace
}  // namespace kernels::aie2

namespace core = kernels::aie2;

extern "C" {

void matmul_tile(const bfloat16* a, const bfloat16* b, float* c) {
    core::multiply_tile<core::Right::k_by_n, aie::rounding_mode::floor>(a, b, c);
}

void matmul_tile_nk(const bfloat16* a, const bfloat16* b, float* c) {
    core::multiply_tile<core::Right::n_by_k, aie::rounding_mode::floor>(a, b, c);
}

void matmul_tile_bf16_even(const bfloat16* a, const bfloat16* b, bfloat16* c) {
    core::multiply_tile<core::Right::k_by_n, aie::rounding_mode::conv_even>(a, b, c);
}

void matmul_tile_bf16_floor(const bfloat16* a, const bfloat16* b, bfloat16* c) {
    core::multiply_tile<core::Right::k_by_n, aie::rounding_mode::floor>(a, b, c);
}

void matmul_tile_nk_bf16_even(const bfloat16* a, const bfloat16* b, bfloat16* c) {
    core::multiply_tile<core::Right::n_by_k, aie::rounding_mode::conv_even>(a, b, c);
}

void matmul_tile_nk_bf16_floor(const bfloat16* a, const bfloat16* b, bfloat16* c) {
    core::multiply_tile<core::Right::n_by_k, aie::rounding_mode::floor>(a, b, c);
}

}  // extern "C"
