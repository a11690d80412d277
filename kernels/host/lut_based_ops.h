// The lookup functions of mlir-aie's aie_runtime_lib/AIE2/lut_based_ops.h, for the host.
//
// The exponential and the reciprocal compute the same bits: their tables are the nearest bf16 to exp of every
// integer, to exp of every 1/256 below one, and to the reciprocal of every bf16 in [1, 2), which is what the
// published data holds, entry by entry. The lines of tanh follow no formula that reproduces them: their
// sixteen slopes and offsets are given as published (mlir-aie, aie_runtime_lib/AIE2/lut_based_ops.cpp).
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "aie_api/aie.hpp"
#include "aie_api/detail/simd.hpp"

namespace aie::detail {

constexpr float nearest_bf16(double value) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    return std::bit_cast<float>((bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U);
}

// exp(n / 256), 0 <= n < 256, by its Taylor series; the last term is below 1 / 24!.
constexpr double exp_of_fraction(int n) {
    const double x = n / 256.0;
    double sum = 1;
    for (int term = 24; term >= 1; --term) {
        sum = 1 + sum * x / term;
    }
    return sum;
}

// exp(n); each of up to 128 factors adds a relative 2^-53, 2^40 times below what would change a nearest bf16.
constexpr double exp_of_integer(int n) {
    constexpr double e = 2.718281828459045235360287;
    double power = 1;
    for (int i = 0; i < (n < 0 ? -n : n); ++i) {
        power *= e;
    }
    return n < 0 ? 1 / power : power;
}

// Entries of a table of exponentials: bf16 values, widened.
using ExpTable = std::array<float, 256>;

// Entry n is exp of n as a signed byte; from 88 on it stays at exp(88), the last that bf16 holds.
constexpr ExpTable make_exp_integers() {
    ExpTable table{};
    for (int n = -128; n < 128; ++n) {
        table[static_cast<std::uint8_t>(n)] = nearest_bf16(exp_of_integer(n < 88 ? n : 88));
    }
    return table;
}

// Entry n is exp(n / 256).
constexpr ExpTable make_exp_fractions() {
    ExpTable table{};
    for (int n = 0; n < 256; ++n) {
        table[static_cast<unsigned>(n)] = nearest_bf16(exp_of_fraction(n));
    }
    return table;
}

// Entry m is the mantissa of the nearest bf16 to 1 / (1 + m / 128).
constexpr std::array<std::uint8_t, 128> make_reciprocals() {
    std::array<std::uint8_t, 128> table{};
    for (unsigned m = 0; m < 128; ++m) {
        const auto bits = std::bit_cast<std::uint32_t>(nearest_bf16(128.0 / (128 + m)));
        table[m] = static_cast<std::uint8_t>((bits >> 16) & 0x7FU);
    }
    return table;
}

inline constexpr ExpTable exp_integers = make_exp_integers();
inline constexpr ExpTable exp_fractions = make_exp_fractions();
inline constexpr std::array<std::uint8_t, 128> reciprocals = make_reciprocals();

// The entries of numbers below 256.
inline Floats entries(const ExpTable& table, const Words& numbers) {
#if defined(__AVX512F__) && defined(__AVX512BW__)
    return _mm512_mask_i32gather_ps(Floats{}, 0xFFFF, as<__m512i>(numbers), table.data(), sizeof(float));
#elif defined(__AVX2__)
    return _mm256_i32gather_ps(table.data(), as<__m256i>(numbers), sizeof(float));
#else
    Floats found;
#pragma GCC unroll 8
    for (unsigned i = 0; i < lanes; ++i) {
        found[i] = table[numbers[i]];
    }
    return found;
#endif
}

// The lower 16 bits of floor(x * 2^8), which saturates at 32 bits, a NaN to the largest: VFLOOR.
inline Words exp_keys(const Floats& x) {
    constexpr float past = 0x1p31F;
    constexpr float last = 0x1.FFFFFEp30F;  // the largest fp32 that fits
    const Floats scaled = x * 256.0F;
    const Floats below = scaled < past ? scaled : Floats{} + last;
    const Floats inside = below > -past ? below : Floats{} - past;
    const Signed truncated = __builtin_convertvector(inside, Signed);
    const Signed floored = truncated + (__builtin_convertvector(truncated, Floats) > inside);
    return (scaled < past ? as<Words>(floored) : Words{} + 0xFFFFU) & 0xFFFFU;
}

}  // namespace aie::detail

// exp(x) by two lookups on the 16-bit key floor(x * 2^8), one for its upper and one for its lower byte, and
// one product of bf16 in an accumulator (exact; 0 below 2^-126).
//
// The index of the upper byte is cut from the key by SRS, as key / 64, of which the lookup drops two more
// bits. SRS rounds by the mode in force: under any mode but floor, keys close to the next integer take its
// entry and the result is e times too large. Past the last entry the index wraps. x < -128 wraps as well.
inline v16accfloat getExpBf16(v16bfloat16 x) {
    using namespace aie::detail;
    const aie::rounding_mode mode = aie::get_rounding();
    v16accfloat out;
    for (unsigned first = 0; first < 16; first += lanes) {
        const Words keys = exp_keys(widen_lanes(&x.host_data()[first].bits));
        Words upper = keys >> 8;
        if (mode != aie::rounding_mode::floor) [[unlikely]] {
            for (unsigned i = 0; i < lanes; ++i) {
                upper[i] = static_cast<std::uint32_t>(shift_round(keys[i], 6, mode)) >> 2 & 0xFFU;
            }
        }
        const Floats product = entries(exp_integers, upper) * entries(exp_fractions, keys & 0xFFU);
        store(product < 0x1p-126F ? Floats{} : product, out.host_data() + first);
    }
    return out;
}

// 1 / x by a table on the seven upper bits of the mantissa, x rounded to them (ties away from zero). Positive
// normal x only: the sign is dropped, and the exponents of 0, infinity and NaN mean nothing.
inline bfloat16 getInvBf16(float x) {
    const std::uint32_t rounded = std::bit_cast<std::uint32_t>(x) + 0x8000U;
    const std::uint32_t exponent = (rounded >> 23) & 0xFFU;
    const std::uint32_t mantissa = (rounded >> 16) & 0x7FU;
    const std::uint32_t inverse = (mantissa == 0 ? 254U : 253U) - exponent;
    return bfloat16::from_bits(
        static_cast<std::uint16_t>((inverse << 7) + aie::detail::reciprocals[mantissa]));
}

namespace aie::detail {

struct Line {
    float slope;
    float offset;
};

// tanh(x) on [n / 4, (n + 1) / 4) for n from 0 to 15; for negative n the offset changes its sign. All bf16.
inline constexpr std::array<Line, 16> tanh_lines{{{0x1p0F, 0x0p0F},
                                                  {0x1.bcp-1F, 0x1.f8p-6F},
                                                  {0x1.62p-1F, 0x1.eap-4F},
                                                  {0x1.02p-1F, 0x1.0ap-2F},
                                                  {0x1.64p-2F, 0x1.aap-2F},
                                                  {0x1.d6p-3F, 0x1.2p-1F},
                                                  {0x1.2ap-3F, 0x1.6p-1F},
                                                  {0x1.78p-4F, 0x1.9p-1F},
                                                  {0x1.cep-5F, 0x1.b4p-1F},
                                                  {0x1.22p-5F, 0x1.ccp-1F},
                                                  {0x1.5cp-6F, 0x1.dep-1F},
                                                  {0x1.ap-7F, 0x1.eap-1F},
                                                  {0x1.ecp-8F, 0x1.f2p-1F},
                                                  {0x1.4ep-8F, 0x1.f6p-1F},
                                                  {0x1.74p-9F, 0x1.fap-1F},
                                                  {0x0p0F, 0x1p0F}}};

// All 32, as the two load ports of the core want them: each pair of lines twice.
constexpr std::array<float, 128> make_tanh_table() {
    std::array<float, 128> table{};
    for (unsigned n = 0; n < 32; ++n) {
        const bool negative = n < 16;
        const Line& line = tanh_lines[negative ? 15 - n : n - 16];
        const unsigned first = n / 2 * 8 + n % 2 * 2;
        for (const unsigned at : {first, first + 4}) {
            table[at] = line.slope;
            table[at + 1] = negative ? -line.offset : line.offset;
        }
    }
    return table;
}
alignas(32) inline constexpr std::array<float, 128> tanh_table = make_tanh_table();

}  // namespace aie::detail

// tanh(x): 32 lines over [-4, 4), the outermost beyond; then bf16 by the rounding mode in force.
inline v16bfloat16 getTanhBf16(v16bfloat16 x) {
    using Table = aie::lut<4, float, bfloat16>;
    const float* table = aie::detail::tanh_table.data();
    const aie::linear_approx<bfloat16, Table> lines(Table(32, table, table), -2, 16);
    return lines.compute(x).to_vector<bfloat16>();
}
