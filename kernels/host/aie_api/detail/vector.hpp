// aie::vector<T, N>: N elements in the order of memory. Spelled as Xilinx/aie_api vector.hpp for AIE2.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include "aie_api/detail/bfloat16.hpp"
#include "aie_api/detail/check.hpp"

// The memory bank an access should go to; the host has one memory.
enum class aie_dm_resource { none, a, b, c, d, stack };

namespace aie {
namespace detail {

template <typename T, typename... Ts>
inline constexpr bool is_one_of = (std::same_as<T, Ts> || ...);

template <typename T>
inline constexpr bool is_element = is_one_of<T, bfloat16, float, int8, uint8, int16, uint16, int32, uint32>;

template <typename T>
inline constexpr bool is_float_element = is_one_of<T, bfloat16, float>;

// What a register that nothing was written to holds here: a NaN, or a number nobody means.
template <typename T>
constexpr T poison() {
    if constexpr (std::same_as<T, bfloat16>) {
        return bfloat16::from_bits(0x7FA5);
    } else if constexpr (std::same_as<T, float>) {
        return std::bit_cast<float>(std::uint32_t{0x7FA5A5A5});
    } else {
        return static_cast<T>(0xA5A5A5A5A5A5A5A5U);
    }
}

// T from U by the saturation mode in force: cut off, or clamped (symmetric: -max instead of min).
template <typename T, typename U>
constexpr T saturated(U value, saturation_mode mode) {
    static_assert(std::is_integral_v<T> && std::is_integral_v<U>);
    if (mode == saturation_mode::none) {
        return static_cast<T>(value);
    }
    constexpr T largest = std::numeric_limits<T>::max();
    constexpr T smallest = std::numeric_limits<T>::min();
    const bool symmetric = mode == saturation_mode::symmetric && std::is_signed_v<T>;
    const T lowest = symmetric ? static_cast<T>(-largest) : smallest;
    if (std::cmp_greater(value, largest)) {
        return largest;
    }
    return std::cmp_less(value, lowest) ? lowest : static_cast<T>(value);
}

template <typename T>
struct unpacked_type : std::type_identity<void> {};
template <>
struct unpacked_type<int8> : std::type_identity<int16> {};
template <>
struct unpacked_type<uint8> : std::type_identity<uint16> {};
template <>
struct unpacked_type<int16> : std::type_identity<int32> {};
template <>
struct unpacked_type<uint16> : std::type_identity<uint32> {};

template <typename T>
struct packed_type : std::type_identity<void> {};
template <>
struct packed_type<int16> : std::type_identity<int8> {};
template <>
struct packed_type<uint16> : std::type_identity<uint8> {};
template <>
struct packed_type<int32> : std::type_identity<int16> {};
template <>
struct packed_type<uint32> : std::type_identity<uint16> {};

}  // namespace detail

// The elements of a vector whose size nobody names: 512 bits.
template <typename T>
inline constexpr unsigned native_vector_length_v = 64 / sizeof(T);

template <typename T, unsigned N = native_vector_length_v<T>>
class vector {
    static_assert(detail::is_element<T>, "aie::vector: this element type is not supported here");
    static_assert(detail::is_power_of_two(N) && N * sizeof(T) >= 16 && N * sizeof(T) <= 256,
                  "aie::vector: 128 to 2048 bits, a power of two of elements");

public:
    using value_type = T;
    using native_type = vector;
    using storage_t = vector;

    static constexpr unsigned type_bits() { return 8 * sizeof(T); }
    static constexpr unsigned size() { return N; }
    static constexpr unsigned bits() { return N * type_bits(); }
    static constexpr unsigned bytes() { return N * sizeof(T); }
    static constexpr bool is_signed() { return detail::is_float_element<T> || std::is_signed_v<T>; }
    static constexpr bool is_complex() { return false; }
    static constexpr bool is_real() { return true; }
    static constexpr bool is_integral() { return !detail::is_float_element<T>; }
    static constexpr bool is_floating_point() { return detail::is_float_element<T>; }

    vector() { std::fill_n(data_, N, detail::poison<T>()); }

    // The same bits as elements of another kind, as the compilers' native types convert.
    template <typename U, unsigned M>
    requires(!std::same_as<U, T> && M * sizeof(U) == N * sizeof(T)) explicit vector(const vector<U, M>& v) {
        std::memcpy(data_, v.host_data(), sizeof(data_));
    }

    // The first elements; the rest is not defined.
    template <typename... Values>
    requires(std::convertible_to<Values, T>&&...) explicit vector(T first, Values... values) : vector() {
        static_assert(1 + sizeof...(values) <= N, "aie::vector: more values than elements");
        unsigned i = 0;
        data_[i++] = first;
        ((data_[i++] = static_cast<T>(values)), ...);
    }

    const vector& to_native() const { return *this; }

    T get(unsigned idx) const { return data_[element(idx)]; }
    void set(T value, unsigned idx) { data_[element(idx)] = value; }
    T operator[](unsigned idx) const { return data_[element(idx)]; }
    T& operator[](unsigned idx) { return data_[element(idx)]; }
    T elem_const_ref(unsigned idx) const { return data_[element(idx)]; }
    T elem_ref(unsigned idx) const { return data_[element(idx)]; }
    T& elem_ref(unsigned idx) { return data_[element(idx)]; }

    // Every element moves one up, the last is lost, `value` becomes the first.
    vector& push(T value) {
        std::copy_backward(data_, data_ + N - 1, data_ + N);
        data_[0] = value;
        return *this;
    }

    // The same bits as elements of another type.
    template <typename U>
    auto cast_to() const {
        static_assert(detail::is_element<U>, "aie::vector::cast_to: this element type is not supported here");
        vector<U, N * sizeof(T) / sizeof(U)> result;
        std::memcpy(result.host_data(), data_, sizeof(data_));
        return result;
    }

    // *this as part `idx` of a larger vector whose rest is not defined.
    template <unsigned M>
    vector<T, M> grow(unsigned idx = 0) const {
        static_assert(M >= N, "aie::vector::grow: the result must not be smaller");
        return vector<T, M>().insert(idx, *this);
    }

    template <unsigned M>
    vector<T, M> grow_replicate() const {
        static_assert(M >= N, "aie::vector::grow_replicate: the result must not be smaller");
        vector<T, M> result;
        for (unsigned i = 0; i < M / N; ++i) {
            result.insert(i, *this);
        }
        return result;
    }

    template <unsigned M>
    vector& insert(unsigned idx, const vector<T, M>& part) {
        static_assert(M <= N, "aie::vector::insert: the part is larger than the vector");
        detail::require(idx < N / M, "vector::insert: no such part");
        std::copy_n(part.host_data(), M, data_ + idx * M);
        return *this;
    }

    template <unsigned M>
    vector<T, M> extract(unsigned idx) const {
        static_assert(M <= N, "aie::vector::extract: the part is larger than the vector");
        detail::require(idx < N / M, "vector::extract: no such part");
        vector<T, M> part;
        std::copy_n(data_ + idx * M, M, part.host_data());
        return part;
    }

    template <unsigned M>
    vector<T, M> grow_extract(unsigned idx) const {
        if constexpr (M > N) {
            return grow<M>();
        } else {
            return extract<M>(idx);
        }
    }

    template <unsigned M>
    auto split() const {
        return [this]<std::size_t... part>(std::index_sequence<part...>) {
            return std::make_tuple(extract<M>(part)...);
        }
        (std::make_index_sequence<N / M>());
    }

    template <typename... Parts>
    vector& upd_all(const Parts&... parts) {
        static_assert((Parts::size() + ...) == N, "aie::vector::upd_all: the parts must fill the vector");
        unsigned idx = 0;
        (insert(idx++, parts), ...);
        return *this;
    }

    // To integers of twice the width.
    template <typename U = typename detail::unpacked_type<T>::type>
    vector<U, N> unpack() const {
        static_assert(std::is_integral_v<U> && sizeof(U) == 2 * sizeof(T),
                      "aie::vector::unpack: integers of twice the width only");
        vector<U, N> result;
        std::transform(data_, data_ + N, result.host_data(), [](T value) { return static_cast<U>(value); });
        return result;
    }

    // To integers of half the width, by the saturation mode in force.
    template <typename U = typename detail::packed_type<T>::type>
    vector<U, N> pack() const {
        static_assert(std::is_integral_v<U> && 2 * sizeof(U) == sizeof(T),
                      "aie::vector::pack: integers of half the width only");
        vector<U, N> result;
        const saturation_mode mode = get_saturation();
        std::transform(data_, data_ + N, result.host_data(),
                       [mode](T value) { return detail::saturated<U>(value, mode); });
        return result;
    }

    template <aie_dm_resource resource = aie_dm_resource::none>
    void load(const T* pointer) {
        detail::require_aligned<N * sizeof(T)>(pointer);
        std::memcpy(static_cast<void*>(data_), pointer, sizeof(data_));
    }
    template <aie_dm_resource resource = aie_dm_resource::none>
    void store(T* pointer) const {
        detail::require_aligned<N * sizeof(T)>(pointer);
        std::memcpy(static_cast<void*>(pointer), data_, sizeof(data_));
    }
    template <aie_dm_resource resource = aie_dm_resource::none>
    void load_unaligned(const T* pointer, [[maybe_unused]] unsigned aligned_elems = 1) {
        std::memcpy(static_cast<void*>(data_), pointer, sizeof(data_));
    }
    template <aie_dm_resource resource = aie_dm_resource::none>
    void store_unaligned(T* pointer, [[maybe_unused]] unsigned aligned_elems = 1) const {
        std::memcpy(static_cast<void*>(pointer), data_, sizeof(data_));
    }

    // For the implementation only: the elements.
    T* host_data() { return data_; }
    const T* host_data() const { return data_; }

private:
    static unsigned element(unsigned idx) {
        detail::require(idx < N, "vector: no such element");
        return idx;
    }

    alignas(std::min<std::size_t>(N * sizeof(T), 32)) T data_[N];
};

namespace detail {

template <typename T>
struct is_vector : std::false_type {};
template <typename T, unsigned N>
struct is_vector<vector<T, N>> : std::true_type {};

}  // namespace detail

template <typename T>
concept Vector = detail::is_vector<std::remove_cvref_t<T>>::value;

template <Vector T>
using vector_value_type = typename std::remove_cvref_t<T>::value_type;

}  // namespace aie

using v16int8 = aie::vector<int8, 16>;
using v32int8 = aie::vector<int8, 32>;
using v64int8 = aie::vector<int8, 64>;
using v128int8 = aie::vector<int8, 128>;
using v16uint8 = aie::vector<uint8, 16>;
using v32uint8 = aie::vector<uint8, 32>;
using v64uint8 = aie::vector<uint8, 64>;
using v128uint8 = aie::vector<uint8, 128>;
using v8int16 = aie::vector<int16, 8>;
using v16int16 = aie::vector<int16, 16>;
using v32int16 = aie::vector<int16, 32>;
using v64int16 = aie::vector<int16, 64>;
using v8uint16 = aie::vector<uint16, 8>;
using v16uint16 = aie::vector<uint16, 16>;
using v32uint16 = aie::vector<uint16, 32>;
using v64uint16 = aie::vector<uint16, 64>;
using v4int32 = aie::vector<int32, 4>;
using v8int32 = aie::vector<int32, 8>;
using v16int32 = aie::vector<int32, 16>;
using v32int32 = aie::vector<int32, 32>;
using v4uint32 = aie::vector<uint32, 4>;
using v8uint32 = aie::vector<uint32, 8>;
using v16uint32 = aie::vector<uint32, 16>;
using v32uint32 = aie::vector<uint32, 32>;
using v8bfloat16 = aie::vector<bfloat16, 8>;
using v16bfloat16 = aie::vector<bfloat16, 16>;
using v32bfloat16 = aie::vector<bfloat16, 32>;
using v64bfloat16 = aie::vector<bfloat16, 64>;
using v4float = aie::vector<float, 4>;
using v8float = aie::vector<float, 8>;
using v16float = aie::vector<float, 16>;
using v32float = aie::vector<float, 32>;
