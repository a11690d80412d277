// The host's vector registers: `lanes` 32-bit lanes of the widest kind this file is compiled for, and the few
// operations that the vector extension of the compiler does not spell.
//
// Conversions between float and int round to nearest even, which MXCSR says by default; no code here changes
// it.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace aie::detail {

#if defined(__AVX512F__) && defined(__AVX512BW__)
inline constexpr unsigned lanes = 16;
#elif defined(__AVX2__)
inline constexpr unsigned lanes = 8;
#else
inline constexpr unsigned lanes = 4;
#endif

using Floats [[gnu::vector_size(4 * lanes)]] = float;
using Words [[gnu::vector_size(4 * lanes)]] = std::uint32_t;
using Signed [[gnu::vector_size(4 * lanes)]] = std::int32_t;
using Halves [[gnu::vector_size(4 * lanes)]] = std::uint16_t;        // 2 * lanes
using HalfOfHalves [[gnu::vector_size(2 * lanes)]] = std::uint16_t;  // lanes

template <typename V, typename T>
[[gnu::always_inline]] inline V load(const T* from) {
    V result;
    std::memcpy(&result, from, sizeof(result));
    return result;
}

template <typename V, typename T>
[[gnu::always_inline]] inline void store(const V& value, T* to) {
    std::memcpy(to, &value, sizeof(value));
}

template <typename To, typename From>
[[gnu::always_inline]] inline To as(const From& from) {
    static_assert(sizeof(To) == sizeof(From));
    return reinterpret_cast<To>(from);
}

// bf16 bits, one per lane, as fp32.
[[gnu::always_inline]] inline Floats widen_lanes(const std::uint16_t* from) {
    return as<Floats>(__builtin_convertvector(load<HalfOfHalves>(from), Words) << 16);
}

// The larger of each two, as unsigned numbers.
[[gnu::always_inline]] inline Words larger(const Words& a, const Words& b) {
    return a > b ? a : b;
}

[[gnu::always_inline]] inline Floats round_to_floats(const Words& value) {
    return __builtin_convertvector(as<Signed>(value), Floats);
}

// round_to_words: to the nearest int32. nonzero_lanes: one bit per lane that is not zero. repeat4: four
// floats, again and again. (The masked forms of AVX-512 compile to the plain ones, without the plain ones'
// warnings.)
#if defined(__AVX512F__) && defined(__AVX512BW__)
[[gnu::always_inline]] inline Words round_to_words(const Floats& value) {
    return as<Words>(_mm512_maskz_cvtps_epi32(0xFFFF, value));
}
[[gnu::always_inline]] inline unsigned nonzero_lanes(const Words& value) {
    return _mm512_test_epi32_mask(as<__m512i>(value), as<__m512i>(value));
}
[[gnu::always_inline]] inline Floats repeat4(const float* from) {
    return _mm512_maskz_broadcast_f32x4(0xFFFF, _mm_loadu_ps(from));
}
#elif defined(__AVX2__)
[[gnu::always_inline]] inline Words round_to_words(const Floats& value) {
    return as<Words>(_mm256_cvtps_epi32(value));
}
[[gnu::always_inline]] inline unsigned nonzero_lanes(const Words& value) {
    return static_cast<unsigned>(_mm256_movemask_ps(as<__m256>(value != 0)));
}
[[gnu::always_inline]] inline Floats repeat4(const float* from) {
    return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(from));
}
#else
[[gnu::always_inline]] inline Words round_to_words(const Floats& value) {
    return as<Words>(_mm_cvtps_epi32(value));
}
[[gnu::always_inline]] inline unsigned nonzero_lanes(const Words& value) {
    return static_cast<unsigned>(_mm_movemask_ps(as<__m128>(value != 0)));
}
[[gnu::always_inline]] inline Floats repeat4(const float* from) {
    return _mm_loadu_ps(from);
}
#endif

// Lane i of b where bit i of `bits` is set, else of a.
[[gnu::always_inline]] inline Words select_lanes(const Words& a, const Words& b, unsigned bits) {
    Words own;
    for (unsigned l = 0; l < lanes; ++l) {
        own[l] = 1U << l;
    }
    return ((Words{} + bits) & own) != 0 ? b : a;
}

// [4][8] halves become [8][4]: the block that a product by transposed weights or keys turns.
[[gnu::always_inline]] inline void transpose_4_by_8(const void* from, void* to) {
    const auto row = [&](int i) __attribute__((always_inline)) {
        return _mm_loadu_si128(static_cast<const __m128i*>(from) + i);
    };
    const auto put = [&](int i, __m128i columns) __attribute__((always_inline)) {
        _mm_storeu_si128(static_cast<__m128i*>(to) + i, columns);
    };
    const __m128i low_01 = _mm_unpacklo_epi16(row(0), row(1));
    const __m128i low_23 = _mm_unpacklo_epi16(row(2), row(3));
    const __m128i high_01 = _mm_unpackhi_epi16(row(0), row(1));
    const __m128i high_23 = _mm_unpackhi_epi16(row(2), row(3));
    put(0, _mm_unpacklo_epi32(low_01, low_23));
    put(1, _mm_unpackhi_epi32(low_01, low_23));
    put(2, _mm_unpacklo_epi32(high_01, high_23));
    put(3, _mm_unpackhi_epi32(high_01, high_23));
}

}  // namespace aie::detail
