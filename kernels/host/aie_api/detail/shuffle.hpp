// Operations that move lanes and compute nothing: shifts and rotations of a vector, interleaving of two, the
// transpose, reversal, filters, concatenation.
//
// Definitions: AMD's AIE API user guide, "Reshaping" (Xilinx/aie_api aie.hpp, group_reshape). A lane the
// guide leaves undefined keeps what an uninitialised vector holds on the host.
#pragma once

#include <concepts>
#include <tuple>
#include <utility>

#include "aie_api/detail/accum.hpp"
#include "aie_api/detail/simd.hpp"
#include "aie_api/detail/vector.hpp"

namespace aie {

namespace detail {

// out[i] = v[source(i)]
template <typename T, unsigned N, typename Source>
vector<T, N> permuted(const vector<T, N>& v, Source source) {
    vector<T, N> out;
    for (unsigned i = 0; i < N; ++i) {
        out.host_data()[i] = v.host_data()[source(i)];
    }
    return out;
}

inline void check_chunk(unsigned chunk_size, unsigned size) {
    require(is_power_of_two(chunk_size) && chunk_size <= size,
            "chunk_size must be a power of two and at most the number of lanes");
}

}  // namespace detail

// Lane i of the result is lane N - 1 - i.
template <typename T, unsigned N>
vector<T, N> reverse(const vector<T, N>& v) {
    return detail::permuted(v, [](unsigned i) { return N - 1 - i; });
}

// Lanes move up by n <= N; the lowest n lanes of the result come from the tail of `fill`.
template <typename T, unsigned N>
vector<T, N> shuffle_up_fill(const vector<T, N>& v, const vector<T, N>& fill, unsigned n) {
    detail::require(n <= N, "shuffle: n must not exceed the number of lanes");
    vector<T, N> out;
    for (unsigned i = 0; i < N; ++i) {
        out.host_data()[i] = i < n ? fill.host_data()[N - n + i] : v.host_data()[i - n];
    }
    return out;
}

// Lanes move up by n <= N; the lowest n lanes of the result are undefined.
template <typename T, unsigned N>
vector<T, N> shuffle_up(const vector<T, N>& v, unsigned n) {
    return shuffle_up_fill(v, vector<T, N>(), n);
}

// Lanes move up by n <= N and those that leave at the top come in at the bottom.
template <typename T, unsigned N>
vector<T, N> shuffle_up_rotate(const vector<T, N>& v, unsigned n) {
    return shuffle_up_fill(v, v, n);
}

// Lanes move up by n <= N; the lowest n lanes of the result repeat lane 0.
template <typename T, unsigned N>
vector<T, N> shuffle_up_replicate(const vector<T, N>& v, unsigned n) {
    detail::require(n <= N, "shuffle: n must not exceed the number of lanes");
    return detail::permuted(v, [n](unsigned i) { return i < n ? 0U : i - n; });
}

// Lanes move down by n <= N; the highest n lanes of the result come from the head of `fill`.
template <typename T, unsigned N>
vector<T, N> shuffle_down_fill(const vector<T, N>& v, const vector<T, N>& fill, unsigned n) {
    detail::require(n <= N, "shuffle: n must not exceed the number of lanes");
    vector<T, N> out;
    for (unsigned i = 0; i < N; ++i) {
        out.host_data()[i] = i + n < N ? v.host_data()[i + n] : fill.host_data()[i + n - N];
    }
    return out;
}

// Lanes move down by n <= N; the highest n lanes of the result are undefined.
template <typename T, unsigned N>
vector<T, N> shuffle_down(const vector<T, N>& v, unsigned n) {
    return shuffle_down_fill(v, vector<T, N>(), n);
}

// Lanes move down by n <= N and those that leave at the bottom come in at the top.
template <typename T, unsigned N>
vector<T, N> shuffle_down_rotate(const vector<T, N>& v, unsigned n) {
    return shuffle_down_fill(v, v, n);
}

// Lanes move down by n <= N; the highest n lanes of the result repeat lane N - 1.
template <typename T, unsigned N>
vector<T, N> shuffle_down_replicate(const vector<T, N>& v, unsigned n) {
    detail::require(n <= N, "shuffle: n must not exceed the number of lanes");
    return detail::permuted(v, [n](unsigned i) { return i + n < N ? i + n : N - 1; });
}

// `v` as a row-major matrix [rows, columns] becomes its transpose, row-major.
template <typename T, unsigned N>
vector<T, N> transpose(const vector<T, N>& v, unsigned rows, unsigned columns) {
    detail::require(rows * columns == N, "transpose: the matrix must fill the vector");
    if constexpr (N == 32 && sizeof(T) == 2) {
        if (rows == 4 && columns == 8) {
            vector<T, N> out;
            detail::transpose_4_by_8(v.host_data(), out.host_data());
            return out;
        }
    }
    return detail::permuted(v, [rows, columns](unsigned i) { return (i % rows) * columns + i / rows; });
}

// The chunks of `v` and `w` in turn, v first: the lower N lanes, the upper N lanes.
template <typename T, unsigned N>
std::pair<vector<T, N>, vector<T, N>> interleave_zip(const vector<T, N>& v, const vector<T, N>& w,
                                                     unsigned chunk_size) {
    detail::check_chunk(chunk_size, N);
    std::pair<vector<T, N>, vector<T, N>> out;
    for (unsigned i = 0; i < 2 * N; ++i) {
        const unsigned chunk = i / chunk_size;
        const unsigned source = chunk / 2 * chunk_size + i % chunk_size;
        const T value = (chunk % 2 == 0 ? v : w).host_data()[source];
        (i < N ? out.first : out.second).host_data()[i % N] = value;
    }
    return out;
}

// The even chunks of `v` followed by `w`, and the odd chunks: undoes interleave_zip.
template <typename T, unsigned N>
std::pair<vector<T, N>, vector<T, N>> interleave_unzip(const vector<T, N>& v, const vector<T, N>& w,
                                                       unsigned chunk_size) {
    detail::check_chunk(chunk_size, N);
    std::pair<vector<T, N>, vector<T, N>> out;
    for (unsigned i = 0; i < 2 * N; ++i) {
        const unsigned chunk = i / chunk_size;
        const unsigned target = chunk / 2 * chunk_size + i % chunk_size;
        (chunk % 2 == 0 ? out.first : out.second).host_data()[target] = (i < N ? v : w).host_data()[i % N];
    }
    return out;
}

namespace detail {

template <bool odd, typename T, unsigned N>
vector<T, N / 2> filtered(const vector<T, N>& v, unsigned chunk_size) {
    check_chunk(chunk_size, N / 2);
    vector<T, N / 2> out;
    for (unsigned i = 0; i < N / 2; ++i) {
        out.host_data()[i] =
            v.host_data()[(2 * (i / chunk_size) + (odd ? 1 : 0)) * chunk_size + i % chunk_size];
    }
    return out;
}

}  // namespace detail

// Every other chunk, from the first one.
template <typename T, unsigned N>
vector<T, N / 2> filter_even(const vector<T, N>& v, unsigned chunk_size = 1) {
    return detail::filtered<false>(v, chunk_size);
}

// Every other chunk, from the second one.
template <typename T, unsigned N>
vector<T, N / 2> filter_odd(const vector<T, N>& v, unsigned chunk_size = 1) {
    return detail::filtered<true>(v, chunk_size);
}

// One after another, the first in the lowest lanes.
template <typename T, unsigned N, std::same_as<vector<T, N>>... Others>
vector<T, N*(1 + sizeof...(Others))> concat(const vector<T, N>& first, const Others&... others) {
    vector<T, N*(1 + sizeof...(Others))> out;
    out.insert(0, first);
    unsigned part = 1;
    (out.insert(part++, others), ...);
    return out;
}

template <typename Tag, unsigned N, std::same_as<accum<Tag, N>>... Others>
accum<Tag, N*(1 + sizeof...(Others))> concat(const accum<Tag, N>& first, const Others&... others) {
    accum<Tag, N*(1 + sizeof...(Others))> out;
    out.insert(0, first);
    unsigned part = 1;
    (out.insert(part++, others), ...);
    return out;
}

// The members of a pair, tuple or array, such as interleave_zip returns.
template <typename Tuple>
requires requires {
    std::tuple_size<Tuple>::value;
}
auto concat(const Tuple& parts) {
    return std::apply([](const auto&... part) { return concat(part...); }, parts);
}

}  // namespace aie
