// Vectors from and to memory, and vectors of one value. Spelled as Xilinx/aie_api aie.hpp, group_memory and
// group_initialization.
#pragma once

#include "aie_api/detail/accum.hpp"

namespace aie {

// Bytes: what alignas of an array that load_v and store_v touch should say; what one access wants.
inline constexpr unsigned vector_decl_align = 32;
template <typename T, unsigned N>
inline constexpr unsigned vector_ldst_align_v = N * sizeof(T) == 16 ? 16 : 32;
template <typename T, unsigned N>
inline constexpr unsigned vector_ldst_align_elems_v = vector_ldst_align_v<T, N> / sizeof(T);

template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
inline vector<T, N> load_v(const T* pointer) {
    vector<T, N> v;
    v.load(pointer);
    return v;
}
template <aie_dm_resource resource = aie_dm_resource::none, typename T>
inline vector<T, native_vector_length_v<T>> load_v(const T* pointer) {
    return load_v<native_vector_length_v<T>>(pointer);
}

template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
inline vector<T, N> load_unaligned_v(const T* pointer, unsigned aligned_elems = 1) {
    vector<T, N> v;
    v.load_unaligned(pointer, aligned_elems);
    return v;
}
template <aie_dm_resource resource = aie_dm_resource::none, typename T>
inline vector<T, native_vector_length_v<T>> load_unaligned_v(const T* pointer, unsigned aligned_elems = 1) {
    return load_unaligned_v<native_vector_length_v<T>>(pointer, aligned_elems);
}

template <aie_dm_resource resource = aie_dm_resource::none, typename T, unsigned N>
inline T* store_v(T* pointer, const vector<T, N>& v) {
    v.store(pointer);
    return pointer;
}
template <aie_dm_resource resource = aie_dm_resource::none, typename T, unsigned N>
inline T* store_unaligned_v(T* pointer, const vector<T, N>& v, unsigned aligned_elems = 1) {
    v.store_unaligned(pointer, aligned_elems);
    return pointer;
}

// All elements `value`. A scalar of another type becomes a T first, as in the real API.
template <typename T, unsigned N = native_vector_length_v<T>>
inline vector<T, N> broadcast(std::type_identity_t<T> value) {
    vector<T, N> v;
    std::fill_n(v.host_data(), N, value);
    return v;
}

namespace detail {

template <typename T, unsigned N>
struct zeros_of : std::type_identity<vector<T, N>> {};
template <typename T, unsigned N>
requires is_accum_tag<T>
struct zeros_of<T, N> : std::type_identity<accum<T, N>> {
};

}  // namespace detail

// All zero: a vector of elements, or an accumulator where T is its tag.
template <typename T, unsigned N = native_vector_length_v<T>>
inline typename detail::zeros_of<T, N>::type zeros() {
    typename detail::zeros_of<T, N>::type result;
    std::memset(static_cast<void*>(result.host_data()), 0, result.bits() / 8);
    return result;
}

}  // namespace aie
