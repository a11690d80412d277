// The VMAC of an AIE2 core: 16 lanes, in each up to eight products of bf16 and an fp32 accumulator, aligned
// to the largest exponent, each rounded to nearest even at 23 bits below it, summed exactly, normalised to
// nearest even; and VADD.f, the same for two fp32. Sources: exact_sum.hpp, which also is the definition here.
//
// The fast path computes the same in vectors. With E the largest exponent of the terms (a product of bf16
// counts with the sum of the exponents, not with its own), a term times 2^(278 - E) is exact in fp32, the
// conversion to int32 rounds it to nearest even on the grid, the sum of ten such stays below 2^31, and the
// conversion back rounds to 24 bits, nearest even. It holds where no term and no result leaves the normal
// numbers: E from 152 to 380, no denormal bf16. Other lanes take ExactSum.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "aie_api/detail/exact_sum.hpp"
#include "aie_api/detail/simd.hpp"

namespace aie::detail {

inline constexpr std::uint32_t exponent_mask = 0x7F800000;
inline constexpr std::uint32_t magnitude_mask = 0x7FFFFFFF;
// The bounds of the fast path for the magnitude of the largest term; exponent fields are E - 128.
inline constexpr std::uint32_t lowest_term = 24U << 23;
inline constexpr std::uint32_t highest_term = (252U << 23) | 0x7FFFFF;

// acc + the products, and + *second where given, one lane; `count` at most 8, strides in elements.
[[gnu::noinline]] inline float vmac_exact(float acc, const std::uint16_t* a, unsigned stride_a,
                                          const std::uint16_t* b, unsigned stride_b, unsigned count,
                                          const float* second = nullptr) {
    ExactSum sum;
    for (unsigned k = 0; k < count; ++k) {
        sum.product(a[k * stride_a], b[k * stride_b]);
    }
    const auto bits = std::bit_cast<std::uint32_t>(acc);
    if ((bits & magnitude_mask) > exponent_mask && sum.no_products() && second == nullptr) {
        return acc;  // a NaN passes unchanged where there is nothing to add
    }
    sum.accumulator(bits);
    if (second != nullptr) {
        sum.accumulator(std::bit_cast<std::uint32_t>(*second));
    }
    return std::bit_cast<float>(sum.result(false));
}

// The sum of `addend_count` fp32 and `count` products; product(k, value, power), k an integral_constant,
// gives the product k and the product of its operands' powers of two. Returns one bit per lane where `result`
// does not hold.
template <unsigned count, unsigned addend_count, typename Product>
[[gnu::always_inline]] inline unsigned vmac_fast(Product product, const Floats* addend, Floats& result) {
    Floats value[count + 1];
    Words largest = as<Words>(addend[0]) & magnitude_mask;
    for (unsigned i = 1; i < addend_count; ++i) {
        largest = larger(largest, as<Words>(addend[i]) & magnitude_mask);
    }
    const auto step = [&]<unsigned k>(std::integral_constant<unsigned, k> index)
        __attribute__((always_inline)) {
        Floats power;
        product(index, value[k], power);
        largest = larger(largest, as<Words>(power));  // infinity times zero is a NaN, above all others
    };
    [&]<unsigned... k>(std::integer_sequence<unsigned, k...>) __attribute__((always_inline)) {
        (step(std::integral_constant<unsigned, k>()), ...);
    }
    (std::make_integer_sequence<unsigned, count>());
    const Words outside = as<Words>((largest - lowest_term > highest_term - lowest_term) & (largest != 0));
    const Words exponent = larger(largest & exponent_mask, Words{} + lowest_term);
    const Floats scale = as<Floats>((277U << 23) - exponent);
    Words sum = round_to_words(addend[0] * scale);
    for (unsigned i = 1; i < addend_count; ++i) {
        sum += round_to_words(addend[i] * scale);
    }
#pragma GCC unroll 8
    for (unsigned k = 0; k < count; ++k) {
        sum += round_to_words(value[k] * scale);
    }
    result = round_to_floats(sum) * as<Floats>(exponent - (23U << 23));
    return nonzero_lanes(outside);
}

// Not 0 in lanes whose bf16 operand, widened, is denormal.
[[gnu::always_inline]] inline Words denormal_words(const Floats& value) {
    return as<Words>((as<Words>(value) & magnitude_mask) - 1U < 0x7FFFFFU);
}

// One bit for each such lane.
[[gnu::always_inline]] inline unsigned denormal_lanes(const Floats& value) {
    return nonzero_lanes(denormal_words(value));
}

// acc[l] += sum over k < count of a[k][l] * b[k][l], 16 lanes, one VMAC each. bf16 bits; each of a and b is
// [count][16]. With `second`, [16], that joins the same sum (the ADDMAC form).
template <unsigned count, bool with_second = false>
inline void vmac(float* acc, const std::uint16_t* a, const std::uint16_t* b,
                 [[maybe_unused]] const float* second = nullptr) {
    static_assert(count >= 1 && count <= 8);
    for (unsigned first = 0; first < 16; first += lanes) {
        unsigned exact = 0;
        const auto product = [&](unsigned k, Floats& value, Floats& power) __attribute__((always_inline)) {
            const Floats left = widen_lanes(a + k * 16 + first);
            const Floats right = widen_lanes(b + k * 16 + first);
            value = left * right;
            power =
                as<Floats>(as<Words>(left) & exponent_mask) * as<Floats>(as<Words>(right) & exponent_mask);
            exact |= denormal_lanes(left) | denormal_lanes(right);
        };
        Floats addend[2] = {load<Floats>(acc + first), Floats{}};
        if constexpr (with_second) {
            addend[1] = load<Floats>(second + first);
        }
        Floats result;
        const unsigned outside = vmac_fast < count, with_second ? 2 : 1 > (product, addend, result);
        exact |= outside;
        store(result, acc + first);
        if (exact != 0) [[unlikely]] {
            alignas(64) float old[lanes];
            store(addend[0], old);
            for (; exact != 0; exact &= exact - 1) {
                const auto lane = static_cast<unsigned>(std::countr_zero(exact));
                const unsigned l = first + lane;
                acc[l] =
                    vmac_exact(old[lane], a + l, 16, b + l, 16, count, with_second ? second + l : nullptr);
            }
        }
    }
}

inline void vmac8(float acc[16], const std::uint16_t a[8][16], const std::uint16_t b[8][16]) {
    vmac<8>(acc, a[0], b[0]);
}

// a + b as VADD.f adds. Not the sum of IEEE 754: the smaller operand is rounded before it is added.
[[gnu::noinline]] inline float vadd_exact(float a, float b) {
    ExactSum sum;
    sum.accumulator(std::bit_cast<std::uint32_t>(a));
    sum.accumulator(std::bit_cast<std::uint32_t>(b));
    return std::bit_cast<float>(sum.result(true));
}

// The fast path of the vectors, on one lane.
inline float vadd(float a, float b) {
    const std::uint32_t x = std::bit_cast<std::uint32_t>(a) & magnitude_mask;
    const std::uint32_t y = std::bit_cast<std::uint32_t>(b) & magnitude_mask;
    const std::uint32_t largest = x > y ? x : y;
    if (largest - lowest_term > highest_term - lowest_term) [[unlikely]] {
        return largest == 0 ? 0.0F : vadd_exact(a, b);
    }
    const std::uint32_t exponent = largest & exponent_mask;
    const float scale = std::bit_cast<float>((277U << 23) - exponent);
    const int sum = _mm_cvtss_si32(_mm_set_ss(a * scale)) + _mm_cvtss_si32(_mm_set_ss(b * scale));
    return static_cast<float>(sum) * std::bit_cast<float>(exponent - (23U << 23));
}

// to[i] = vadd(a[i], b[i]); to may be a or b.
template <unsigned N>
inline void vadd(const float* a, const float* b, float* to) {
    if constexpr (N < lanes) {
        for (unsigned i = 0; i < N; ++i) {
            to[i] = vadd(a[i], b[i]);
        }
    } else {
        for (unsigned i = 0; i < N; i += lanes) {
            const Floats addend[2] = {load<Floats>(a + i), load<Floats>(b + i)};
            Floats result;
            unsigned outside = vmac_fast<0, 2>(nullptr, addend, result);
            alignas(64) float sums[lanes];
            store(result, sums);
            for (; outside != 0; outside &= outside - 1) {
                const auto lane = static_cast<unsigned>(std::countr_zero(outside));
                sums[lane] = vadd_exact(a[i + lane], b[i + lane]);
            }
            store(load<Floats>(sums), to + i);
        }
    }
}

}  // namespace aie::detail
