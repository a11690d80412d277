// The product of two tiles: both are widened to fp32 on the stack, the right one as [k, n], and a block of
// rows by columns of the result stays in registers over all of k. Included once per vector target by
// tile_kernels.cpp.
//
// A product of two bf16 has at most 16 significant bits and is exact in fp32, so a fused multiply-add, where
// the target has one, and a multiplication followed by an addition round once and alike.
#include "kernels/vector_convert-inl.hpp"

#if defined(KERNELS_VECTOR_MULTIPLY_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_VECTOR_MULTIPLY_INL
#undef KERNELS_VECTOR_MULTIPLY_INL
#else
#define KERNELS_VECTOR_MULTIPLY_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

// Rows of the register block, two vectors wide: 16, 12 and 8 sums in 32, 16 and 16 registers.
#if HWY_TARGET <= HWY_AVX3
constexpr int block_rows = 8;
#elif HWY_TARGET <= HWY_AVX2
constexpr int block_rows = 6;
#else
constexpr int block_rows = 4;
#endif
constexpr int block_columns = 2 * lanes;

// wide[k, n] = right[k, n].
HWY_INLINE void widen(const std::uint16_t* HWY_RESTRICT right, float* HWY_RESTRICT wide) {
    for (std::size_t i = 0; i < tile_size; i += lanes) {
        hn::Store(load_bf16(right + i), Floats(), wide + i);
    }
}

#if HWY_TARGET == HWY_SCALAR
// wide[k, n] = right[n, k].
HWY_INLINE void widen_transposed(const std::uint16_t* HWY_RESTRICT right, float* HWY_RESTRICT wide) {
    for (int n = 0; n < tile; ++n) {
        for (int k = 0; k < tile; ++k) {
            hn::Store(load_bf16(right + n * tile + k), Floats(), wide + k * tile + n);
        }
    }
}
#else
// wide[k, n] = right[n, k], in blocks of 4 n by 4 pairs of k: a pair is transposed as one 32-bit word and
// comes apart afterwards, which halves the shuffles.
HWY_INLINE void widen_transposed(const std::uint16_t* HWY_RESTRICT right, float* HWY_RESTRICT wide) {
    const hn::FixedTag<std::uint16_t, 8> halves;
    const hn::FixedTag<std::uint32_t, 4> pairs;
    const hn::FixedTag<std::uint64_t, 2> quads;
    const hn::FixedTag<float, 4> floats;
    const auto high_half = hn::Set(pairs, 0xFFFF0000U);
    for (int n = 0; n < tile; n += 4) {
        for (int k = 0; k < tile; k += 8) {
            const std::uint16_t* from = right + n * tile + k;
            const auto row0 = hn::BitCast(pairs, hn::LoadU(halves, from));
            const auto row1 = hn::BitCast(pairs, hn::LoadU(halves, from + tile));
            const auto row2 = hn::BitCast(pairs, hn::LoadU(halves, from + 2 * tile));
            const auto row3 = hn::BitCast(pairs, hn::LoadU(halves, from + 3 * tile));
            const auto low01 = hn::BitCast(quads, hn::InterleaveLower(pairs, row0, row1));
            const auto low23 = hn::BitCast(quads, hn::InterleaveLower(pairs, row2, row3));
            const auto high01 = hn::BitCast(quads, hn::InterleaveUpper(pairs, row0, row1));
            const auto high23 = hn::BitCast(quads, hn::InterleaveUpper(pairs, row2, row3));
            const auto put = [&](auto columns, int pair) HWY_ATTR {
                const auto words = hn::BitCast(pairs, columns);
                float* to = wide + (k + 2 * pair) * tile + n;
                hn::Store(hn::BitCast(floats, hn::ShiftLeft<16>(words)), floats, to);
                hn::Store(hn::BitCast(floats, hn::And(words, high_half)), floats, to + tile);
            };
            put(hn::InterleaveLower(quads, low01, low23), 0);
            put(hn::InterleaveUpper(quads, low01, low23), 1);
            put(hn::InterleaveLower(quads, high01, high23), 2);
            put(hn::InterleaveUpper(quads, high01, high23), 3);
        }
    }
}
#endif

// acc[0..rows, :] += left[0..rows, 0..depth] * right[0..depth, :], ascending k.
template <int rows>
HWY_INLINE void multiply_rows(const std::uint16_t* HWY_RESTRICT left, const float* HWY_RESTRICT right,
                              int depth, float* HWY_RESTRICT acc) {
    const Floats floats;
    constexpr std::size_t row_count = rows;
    HWY_ALIGN float wide_left[row_count * tile];
    for (int i = 0; i < rows * tile; i += lanes) {
        hn::Store(load_bf16(left + i), floats, wide_left + i);
    }
    for (int column = 0; column < tile; column += block_columns) {
        FloatVector sums[row_count][2];
#pragma GCC unroll 16
        for (int row = 0; row < rows; ++row) {
            sums[row][0] = hn::LoadU(floats, acc + row * tile + column);
            sums[row][1] = hn::LoadU(floats, acc + row * tile + column + lanes);
        }
#pragma GCC unroll 4
        for (int k = 0; k < depth; ++k) {
            const auto right0 = hn::Load(floats, right + k * tile + column);
            const auto right1 = hn::Load(floats, right + k * tile + column + lanes);
#pragma GCC unroll 16
            for (int row = 0; row < rows; ++row) {
                const auto factor = hn::Set(floats, wide_left[row * tile + k]);
                sums[row][0] = hn::MulAdd(factor, right0, sums[row][0]);
                sums[row][1] = hn::MulAdd(factor, right1, sums[row][1]);
            }
        }
#pragma GCC unroll 16
        for (int row = 0; row < rows; ++row) {
            hn::StoreU(sums[row][0], floats, acc + row * tile + column);
            hn::StoreU(sums[row][1], floats, acc + row * tile + column + lanes);
        }
    }
}

// acc[i, j] += left[i, 0..depth] * right[0..depth, j]; `right` is fp32 [k, n], aligned.
HWY_INLINE void multiply_wide(const std::uint16_t* left, const float* right, int depth, float* acc) {
    int row = 0;
    for (; row + block_rows <= tile; row += block_rows) {
        multiply_rows<block_rows>(left + row * tile, right, depth, acc + row * tile);
    }
    if constexpr (tile % block_rows != 0) {
        multiply_rows<tile % block_rows>(left + row * tile, right, depth, acc + row * tile);
    }
}

HWY_INLINE void widen_as(Right layout, const std::uint16_t* right, float* wide) {
    if (layout == Right::k_by_n) {
        widen(right, wide);
    } else {
        widen_transposed(right, wide);
    }
}

void multiply(const std::uint16_t* left, const std::uint16_t* right, Right layout, float* acc) {
    HWY_ALIGN float wide[tile_size];
    widen_as(layout, right, wide);
    multiply_wide(left, wide, tile, acc);
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
