// aie::accumulate: a weighted sum of vectors, acc[i] + c[s] d0[i] + c[s + 1] d1[i] + ... Spelled as
// Xilinx/aie_api aie.hpp, group_mul_special, for the operands that its detail/aie2/accumulate.hpp takes on
// AIE2: bfloat16, and integers of 8 to 32 bits. Matrix by vector products are made of it (Xilinx/mlir-aie
// aie_kernels/aie2/mv.cc).
//
// Rounding points: two bf16 terms, in the order given, share one VMAC (mul_elem_16_2), an odd last one has
// its own. That is not the sum of as many aie::mac, which round after every term.
#pragma once

#include <array>
#include <utility>

#include "aie_api/detail/arithmetic.hpp"

namespace aie {
namespace detail {

template <typename Coeff, typename Data>
constexpr void require_accumulable() {
    require_multipliable<Coeff, Data>();
    static_assert(!std::same_as<Coeff, float>,
                  "aie::accumulate: AIE2 has none for float; use aie::mac, or bfloat16");
}

// acc[i] += the sum over k < count of coeff[k] * data[k][i]; one VMAC. Fewer lanes than 16 are filled up.
template <unsigned count, unsigned N>
inline void weighted_vmac(const bfloat16* coeff, const bfloat16* const* data, float* acc) {
    constexpr unsigned width = N < 16 ? N : 16;
    alignas(64) std::uint16_t left[count * 16] = {};
    alignas(64) std::uint16_t right[count * 16] = {};
    alignas(64) float sum[16] = {};
    for (unsigned first = 0; first < N; first += 16) {
        for (unsigned k = 0; k < count; ++k) {
            for (unsigned i = 0; i < width; ++i) {
                left[k * 16 + i] = data[k][first + i].bits;
                right[k * 16 + i] = coeff[k].bits;
            }
        }
        std::copy_n(acc + first, width, sum);
        vmac<count>(sum, left, right);
        std::copy_n(sum, width, acc + first);
    }
}

template <unsigned N, unsigned terms>
inline void add_weighted(const bfloat16* coeff, const bfloat16* const (&data)[terms], float* acc) {
    unsigned term = 0;
    for (; term + 2 <= terms; term += 2) {
        weighted_vmac<2, N>(coeff + term, data + term, acc);
    }
    if constexpr (terms % 2 == 1) {
        weighted_vmac<1, N>(coeff + term, data + term, acc);
    }
}

// Wraps.
template <unsigned N, unsigned terms, typename Coeff, typename Data, typename Lane>
requires(std::is_integral_v<Coeff>&& std::is_integral_v<Data>) inline void add_weighted(
    const Coeff* coeff, const Data* const (&data)[terms], Lane* acc) {
    for (unsigned term = 0; term < terms; ++term) {
        for (unsigned i = 0; i < N; ++i) {
            const auto product = static_cast<uint64>(static_cast<int64>(coeff[term])) *
                                 static_cast<uint64>(static_cast<int64>(data[term][i]));
            acc[i] = static_cast<Lane>(static_cast<uint64>(acc[i]) + product);
        }
    }
}

template <typename T, typename... Others>
concept AllSame = (std::same_as<T, Others> && ...);

}  // namespace detail

// acc + the sum over k of coeff[coeff_start + k] times the k-th data vector.
template <unsigned Lanes, typename Tag, typename Coeff, unsigned M, typename Data,
          detail::AllSame<vector<Data, Lanes>>... Next>
inline accum<Tag, Lanes> accumulate(const accum<Tag, Lanes>& acc, const vector<Coeff, M>& coeff,
                                    unsigned coeff_start, const vector<Data, Lanes>& data,
                                    const Next&... next_data) {
    detail::require_accumulable<Coeff, Data>();
    static_assert(detail::is_float_element<Coeff> == std::same_as<Tag, accfloat>,
                  "aie::accumulate: the accumulator is of another kind than the products");
    static_assert(M * sizeof(Coeff) <= 64, "aie::accumulate: AIE2 takes coefficients of at most 512 bits");
    constexpr unsigned terms = 1 + sizeof...(Next);
    static_assert(terms <= M, "aie::accumulate: more vectors than coefficients");
    detail::require(coeff_start <= M - terms, "accumulate: the coefficients end before the data");
    const Data* const list[terms] = {data.host_data(), next_data.host_data()...};
    accum<Tag, Lanes> result = acc;
    detail::add_weighted<Lanes>(coeff.host_data() + coeff_start, list, result.host_data());
    return result;
}

// The same from zero.
template <unsigned Lanes, typename AccumTag = accauto, typename Coeff, unsigned M, typename Data,
          detail::AllSame<vector<Data, Lanes>>... Next>
inline auto accumulate(const vector<Coeff, M>& coeff, unsigned coeff_start, const vector<Data, Lanes>& data,
                       const Next&... next_data) {
    using Tag = typename detail::product_tag<Coeff, Data, AccumTag>::type;
    return accumulate<Lanes>(zeros<Tag, Lanes>(), coeff, coeff_start, data, next_data...);
}

// Both for an array of data vectors.
template <unsigned Lanes, typename Tag, typename Coeff, unsigned M, typename Data, std::size_t N>
requires(N >= 1) inline accum<Tag, Lanes> accumulate(const accum<Tag, Lanes>& acc,
                                                     const vector<Coeff, M>& coeff, unsigned coeff_start,
                                                     const std::array<vector<Data, Lanes>, N>& data) {
    return [&]<std::size_t... k>(std::index_sequence<k...>) {
        return accumulate<Lanes>(acc, coeff, coeff_start, data[k]...);
    }
    (std::make_index_sequence<N>());
}
template <unsigned Lanes, typename AccumTag = accauto, typename Coeff, unsigned M, typename Data,
          std::size_t N>
requires(N >= 1) inline auto accumulate(const vector<Coeff, M>& coeff, unsigned coeff_start,
                                        const std::array<vector<Data, Lanes>, N>& data) {
    using Tag = typename detail::product_tag<Coeff, Data, AccumTag>::type;
    return accumulate<Lanes>(zeros<Tag, Lanes>(), coeff, coeff_start, data);
}

}  // namespace aie
