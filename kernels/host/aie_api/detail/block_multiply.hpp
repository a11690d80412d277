// Products of 4x4 blocks over eight k, one VMAC per element of the result, with the operands widened once.
#pragma once

#include "aie_api/detail/vmac.hpp"

namespace aie::detail {

// Rows of four lanes in a register.
inline constexpr unsigned register_rows = lanes / 4;

// a[4][8], row-major: column k of the rows of a register, each repeated over its four lanes.
class LeftBlock {
public:
    [[gnu::always_inline]] explicit LeftBlock(const std::uint16_t* a) : bits(a) {
        for (unsigned group = 0; group < 4 / register_rows; ++group) {
            const Floats first = widen_lanes(a + group * 2 * lanes);
            const Floats second = widen_lanes(a + group * 2 * lanes + lanes);
            Words low;
            for (unsigned l = 0; l < lanes; ++l) {
                low[l] = l / 4 * 8 + l % 4;
            }
            quad[group][0] = __builtin_shuffle(first, second, low);
            quad[group][1] = __builtin_shuffle(first, second, low + 4);
            denormal |= denormal_words(first) | denormal_words(second);
        }
    }

    template <unsigned k>
    [[gnu::always_inline]] Floats column(unsigned group) const {
        Words splat;
        for (unsigned l = 0; l < lanes; ++l) {
            splat[l] = l / 4 * 4 + k % 4;
        }
        return __builtin_shuffle(quad[group][k / 4], splat);
    }

    const std::uint16_t* bits;
    Floats quad[4 / register_rows][2];  // [row][0..3] and [row][4..7]
    Words denormal{};                   // not 0 where an element is
};

// b[8][4], row-major, and the powers of two of its elements.
class RightBlock {
public:
    [[gnu::always_inline]] explicit RightBlock(const std::uint16_t* b) : bits(b) {
        for (unsigned i = 0; i < 32; i += lanes) {
            const Floats wide = widen_lanes(b + i);
            store(wide, value + i);
            store(as<Floats>(as<Words>(wide) & exponent_mask), power + i);
            denormal |= denormal_words(wide);
        }
    }

    const std::uint16_t* bits;
    alignas(64) float value[32];
    alignas(64) float power[32];
    Words denormal{};  // not 0 where an element is
};

// The lanes of `acc` that the fast path cannot compute.
[[gnu::cold, gnu::noinline]] inline void multiply_exactly(const LeftBlock& a, const RightBlock& b,
                                                          const float* old, unsigned first, unsigned exact,
                                                          float* acc) {
    for (; exact != 0; exact &= exact - 1) {
        const unsigned lane = first + static_cast<unsigned>(std::countr_zero(exact));
        acc[lane] = vmac_exact(old[lane - first], a.bits + lane / 4 * 8, 1, b.bits + lane % 4, 4, 8);
    }
}

// acc[4][4] += a b, one VMAC per element.
[[gnu::always_inline]] inline void multiply_block(const LeftBlock& a, const RightBlock& b, float* acc) {
    const bool denormal = nonzero_lanes(a.denormal | b.denormal) != 0;
    for (unsigned group = 0; group < 4 / register_rows; ++group) {
        const unsigned first = group * lanes;
        const auto product = [&]<unsigned k>(std::integral_constant<unsigned, k>, Floats & value,
                                             Floats & power) __attribute__((always_inline)) {
            const Floats left = a.column<k>(group);
            value = left * repeat4(b.value + 4 * k);
            power = as<Floats>(as<Words>(left) & exponent_mask) * repeat4(b.power + 4 * k);
        };
        const Floats addend = load<Floats>(acc + first);
        Floats result;
        const unsigned outside = vmac_fast<8, 1>(product, &addend, result);
        store(result, acc + first);
        if (denormal || outside != 0) [[unlikely]] {
            alignas(64) float old[lanes];
            store(addend, old);
            const unsigned all = (1U << lanes) - 1;
            multiply_exactly(a, b, old, first, denormal ? all : outside, acc);
        }
    }
}

}  // namespace aie::detail
