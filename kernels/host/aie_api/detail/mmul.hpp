// aie::mmul<M, K, N, bfloat16, bfloat16>: C[M, N] += A[M, K] B[K, N], all row-major in their vectors. Spelled
// as Xilinx/aie_api mmul.hpp; the shapes are those of detail/aie2/mmul_bf16_bf16.hpp: 4x8x4 is one VMAC
// instruction, the larger ones are made of it, and 8x1x8 is made of elementwise products.
#pragma once

#include "aie_api/detail/accum.hpp"
#include "aie_api/detail/block_multiply.hpp"

namespace aie {
namespace detail {

template <typename T>
[[gnu::always_inline]] inline const std::uint16_t* bits_of(const T* elements) {
    static_assert(std::same_as<T, bfloat16>);
    return reinterpret_cast<const std::uint16_t*>(elements);
}

// Where C[row][column] of M x N lies among the 4x4 blocks, themselves in row-major order.
template <unsigned N>
constexpr unsigned blocked(unsigned row, unsigned column) {
    return (row / 4 * (N / 4) + column / 4) * 16 + row % 4 * 4 + column % 4;
}

}  // namespace detail

template <unsigned M_, unsigned K_, unsigned N_, typename TypeA, typename TypeB = TypeA,
          typename AccumTag = accauto>
class mmul {
    static_assert(std::same_as<TypeA, bfloat16> && std::same_as<TypeB, bfloat16>,
                  "aie::mmul: only bfloat16 by bfloat16 is supported here");
    static_assert(detail::is_one_of<AccumTag, accauto, accfloat>,
                  "aie::mmul: bfloat16 accumulates in accfloat");
    static constexpr bool by_vmac = K_ == 8 && (M_ == 4 || M_ == 8) && (N_ == 4 || N_ == 8);
    static constexpr bool by_element = M_ == 8 && K_ == 1 && N_ == 8;
    static_assert(!(M_ == 4 && K_ == 16),
                  "aie::mmul: 4x16xN of bfloat16 takes a sparse B on AIE2: not supported here");
    static_assert(by_vmac || by_element || (M_ == 4 && K_ == 16),
                  "aie::mmul: AIE2 has 4x8x4, 8x8x4, 4x8x8, 8x8x8 and 8x1x8 of bfloat16");

public:
    static constexpr unsigned M = M_;
    static constexpr unsigned K = K_;
    static constexpr unsigned N = N_;
    static constexpr unsigned size_A = M * K;
    static constexpr unsigned size_B = K * N;
    static constexpr unsigned size_C = M * N;
    using vector_A_type = vector<TypeA, size_A>;
    using vector_B_type = vector<TypeB, size_B>;
    using accum_type = accum<accfloat, size_C>;

    // The accumulator is zero.
    mmul() { std::fill_n(blocks_, size_C, 0.0F); }
    mmul(const accum_type& acc) { set(acc.host_data()); }
    template <typename T>
    requires detail::is_float_element<T> mmul(const vector<T, size_C>& v, int shift = 0)
        : mmul(accum_type(v, shift)) {}
    mmul& operator=(const accum_type& acc) {
        set(acc.host_data());
        return *this;
    }

    accum_type to_accum() const {
        accum_type acc;
        float* to = acc.host_data();
        for (unsigned row = 0; row < M; ++row) {
            for (unsigned column = 0; column < N; column += 4) {
                std::copy_n(blocks_ + detail::blocked<N>(row, column), 4, to + row * N + column);
            }
        }
        return acc;
    }
    operator accum_type() const { return to_accum(); }

    // bfloat16 by the rounding mode in force; `shift` is without effect.
    template <typename T>
    vector<T, size_C> to_vector(int shift = 0) const {
        return to_accum().template to_vector<T>(shift);
    }

    mmul& mul(const vector_A_type& a, const vector_B_type& b) {
        std::fill_n(blocks_, size_C, 0.0F);
        return mac(a, b);
    }

    [[gnu::always_inline]] mmul& mac(const vector_A_type& a, const vector_B_type& b) {
        if constexpr (by_element) {
            outer_product(a, b);
        } else {
            multiply(a, b);
        }
        return *this;
    }

private:
    void set(const float* from) {
        for (unsigned row = 0; row < M; ++row) {
            for (unsigned column = 0; column < N; column += 4) {
                std::copy_n(from + row * N + column, 4, blocks_ + detail::blocked<N>(row, column));
            }
        }
    }

    [[gnu::always_inline]] void multiply(const vector_A_type& a, const vector_B_type& b) {
        // B of eight columns comes apart into two of four.
        alignas(64) std::uint16_t right[size_B];
        const std::uint16_t* bits = detail::bits_of(b.host_data());
        if constexpr (N == 8) {
            for (unsigned k = 0; k < K; ++k) {
                std::copy_n(bits + k * 8, 4, right + k * 4);
                std::copy_n(bits + k * 8 + 4, 4, right + 32 + k * 4);
            }
            bits = right;
        }
        for (unsigned n = 0; n < N / 4; ++n) {
            const detail::RightBlock right_block(bits + n * 32);
            for (unsigned m = 0; m < M / 4; ++m) {
                const detail::LeftBlock left_block(detail::bits_of(a.host_data()) + m * 32);
                detail::multiply_block(left_block, right_block, blocks_ + (m * (N / 4) + n) * 16);
            }
        }
    }

    // One product each: 16 elements of C, two rows, in an elementwise multiplication.
    void outer_product(const vector_A_type& a, const vector_B_type& b) {
        const std::uint16_t* left = detail::bits_of(a.host_data());
        const std::uint16_t* right = detail::bits_of(b.host_data());
        for (unsigned block = 0; block < 4; ++block) {
            std::uint16_t rows[16];
            std::uint16_t columns[16];
            for (unsigned l = 0; l < 16; ++l) {
                rows[l] = left[block / 2 * 4 + l / 4];
                columns[l] = right[block % 2 * 4 + l % 4];
            }
            detail::vmac<1>(blocks_ + block * 16, rows, columns);
        }
    }

    alignas(64) float blocks_[size_C];
};

}  // namespace aie
