// The arithmetic of one AIE-ML vector lane, written a second time and as plainly as it is published, for the
// proofs to compare the host implementation with: clarity before speed, integers only, nothing shared.
// Sources: AMD AM020 ch. 4 "Floating-Point Vector Unit" (all additions in one go, aligned to the largest
// exponent, 23 fractional bits) and, for the bits, xdna-emu src/interpreter/execute/vector_matmul/
// bf16_pipeline.rs and vector_float.rs (compared there with silicon); rounding modes as in the AIE API
// reference, aie::rounding_mode.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace kernels::host::model {

// Bits of the result. A NaN stays a NaN, but where the sources leave its fraction open the bits may differ.
struct Result {
    std::uint32_t bits;
    bool open_fraction = false;
};

inline constexpr std::uint32_t plain_nan = 0x7F80'0001;
inline constexpr std::uint32_t sign_bit = 0x8000'0000;
inline constexpr std::uint32_t infinity_bits = 0x7F80'0000;

inline bool is_nan(std::uint32_t bits) {
    return (bits & ~sign_bit) > infinity_bits;
}
inline bool is_infinity(std::uint32_t bits) {
    return (bits & ~sign_bit) == infinity_bits;
}
inline bool is_zero(std::uint32_t bits) {
    return (bits & ~sign_bit) == 0;
}
inline bool is_finite(std::uint32_t bits) {
    return (bits & ~sign_bit) < infinity_bits;
}
// bf16 is the upper half of fp32, so that every question about it may be asked there.
inline std::uint32_t widen(std::uint16_t bits) {
    return std::uint32_t{bits} << 16;
}

// magnitude / 2^shift, a tie to the even neighbour.
inline std::uint64_t nearest_even(std::uint64_t magnitude, int shift) {
    if (shift == 0) {
        return magnitude;
    }
    if (shift > 62) {
        return 0;  // no magnitude here has more than 40 bits
    }
    const std::uint64_t whole = magnitude >> shift;
    const std::uint64_t rest = magnitude - (whole << shift);
    const std::uint64_t half = std::uint64_t{1} << (shift - 1);
    const bool up = rest > half || (rest == half && whole % 2 == 1);
    return whole + (up ? 1 : 0);
}

// One addend: its value is +-magnitude * 2^(exponent - 278); exponent 0 stands for a true zero.
struct Term {
    bool negative = false;
    int exponent = 0;
    std::uint64_t magnitude = 0;
};

// An exponent field of 255 is taken as a number like all others: infinities and NaNs are noted aside.
inline Term term_of(std::uint32_t fp32) {
    const int field = static_cast<int>((fp32 >> 23) & 0xFF);
    const std::uint32_t fraction = fp32 & 0x7F'FFFF;
    const bool negative = (fp32 & sign_bit) != 0;
    if (is_zero(fp32)) {
        return {negative, 0, 0};
    }
    return {negative, std::max(field, 1) + 128, (field == 0 ? 0U : 0x80'0000U) | fraction};
}

inline Term product_of(std::uint16_t a, std::uint16_t b) {
    const bool negative = ((a ^ b) & 0x8000) != 0;
    if (is_zero(widen(a)) || is_zero(widen(b))) {
        return {negative, 0, 0};
    }
    const int ea = (a >> 7) & 0xFF;
    const int eb = (b >> 7) & 0xFF;
    const std::uint64_t ma = (ea == 0 ? 0U : 0x80U) + (a & 0x7FU);  // a denormal has no leading one
    const std::uint64_t mb = (eb == 0 ? 0U : 0x80U) + (b & 0x7FU);
    return {negative, std::max(ea, 1) + std::max(eb, 1) + 1, (ma * mb) << 9};  // 14 fractional bits to 23
}

// The addend on the grid of the largest exponent.
inline std::int64_t aligned(const Term& term, int largest) {
    if (term.exponent == 0) {
        return 0;
    }
    const auto steps = static_cast<std::int64_t>(nearest_even(term.magnitude, largest - term.exponent));
    return term.negative ? -steps : steps;
}

// A sum on the grid of `largest`, brought to 24 significant bits; the exponent may lie outside of fp32's.
struct Normalised {
    bool negative;
    int exponent;
    std::uint32_t fraction;
};

inline Normalised normalise(std::int64_t sum, int largest) {
    const auto magnitude = static_cast<std::uint64_t>(sum < 0 ? -sum : sum);
    int top = static_cast<int>(std::bit_width(magnitude)) - 1;
    std::uint64_t kept = top <= 23 ? magnitude << (23 - top) : nearest_even(magnitude, top - 23);
    if (kept == std::uint64_t{1} << 24) {
        kept >>= 1;
        ++top;
    }
    return {sum < 0, largest + top - 23 - 128, static_cast<std::uint32_t>(kept) & 0x7F'FFFF};
}

inline std::uint32_t with_sign(bool negative, std::uint32_t bits) {
    return bits | (negative ? sign_bit : 0);
}

using Operands = std::array<std::uint16_t, 8>;

// What the operands say about NaN and infinity before any number is looked at.
struct Flags {
    bool product_nan = false;
    bool plus_infinity = false;
    bool minus_infinity = false;
};

inline Flags flags_of(std::uint32_t q, const Operands& a, const Operands& b) {
    Flags flags;
    const auto note = [&](bool negative) { (negative ? flags.minus_infinity : flags.plus_infinity) = true; };
    for (std::size_t k = 0; k < a.size(); ++k) {
        const std::uint32_t x = widen(a[k]);
        const std::uint32_t y = widen(b[k]);
        if (is_nan(x) || is_nan(y) || (is_infinity(x) && is_zero(y)) || (is_zero(x) && is_infinity(y))) {
            flags.product_nan = true;
        } else if (is_infinity(x) || is_infinity(y)) {
            note(((x ^ y) & sign_bit) != 0);
        }
    }
    if (is_infinity(q)) {
        note((q & sign_bit) != 0);
    }
    return flags;
}

// One VMAC of one lane: q + sum of a[k] * b[k] over the eight products.
inline Result vmac(std::uint32_t q, const Operands& a, const Operands& b) {
    const Flags flags = flags_of(q, a, b);
    std::array<Term, 9> terms;
    int largest_product = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        terms[k] = product_of(a[k], b[k]);
        largest_product = std::max(largest_product, terms[k].exponent);
    }
    terms[8] = term_of(q);
    if (is_nan(q) && largest_product == 0) {
        return {q, flags.product_nan};  // nothing is added: the accumulator passes through
    }
    const bool nan = is_nan(q) || flags.product_nan || (flags.plus_infinity && flags.minus_infinity);
    if (!nan && (flags.plus_infinity || flags.minus_infinity)) {
        return {with_sign(flags.minus_infinity, infinity_bits)};
    }
    const int largest = std::max(largest_product, terms[8].exponent);
    std::int64_t sum = 0;
    for (const Term& term : terms) {
        sum += aligned(term, largest);
    }
    if (sum == 0) {
        return {nan ? plain_nan : 0};
    }
    const Normalised result = normalise(sum, largest);
    const bool overflow = result.exponent >= 255;
    const bool underflow = result.exponent <= 0;
    if (nan) {
        const std::uint32_t fraction = overflow || underflow ? 0 : result.fraction;
        return {with_sign(result.negative, infinity_bits | fraction | 1)};
    }
    if (underflow) {
        return {0};  // the sign is lost
    }
    if (overflow) {
        return {with_sign(result.negative, infinity_bits)};
    }
    return {with_sign(result.negative, static_cast<std::uint32_t>(result.exponent) << 23 | result.fraction)};
}

// vadd.f: the same alignment of two addends, but a result below the normal numbers keeps its sign.
inline Result vadd(std::uint32_t x, std::uint32_t y) {
    const bool plus = x == infinity_bits || y == infinity_bits;
    const bool minus = x == (infinity_bits | sign_bit) || y == (infinity_bits | sign_bit);
    const bool nan_operand = is_nan(x) || is_nan(y);
    if (!nan_operand && plus != minus) {
        return {with_sign(minus, infinity_bits)};
    }
    if (!nan_operand && plus && minus) {
        return {plain_nan};
    }
    const Term first = term_of(x);
    const Term second = term_of(y);
    const int largest = std::max(first.exponent, second.exponent);
    const std::int64_t sum = aligned(first, largest) + aligned(second, largest);
    if (sum == 0) {
        return {nan_operand ? plain_nan : 0};
    }
    const Normalised result = normalise(sum, largest);
    const bool overflow = result.exponent >= 255;
    if (nan_operand) {
        return {with_sign(result.negative, infinity_bits | (overflow ? 0 : result.fraction) | 1)};
    }
    if (overflow || result.exponent <= 0) {
        return {with_sign(result.negative, overflow ? infinity_bits : 0)};
    }
    return {with_sign(result.negative, static_cast<std::uint32_t>(result.exponent) << 23 | result.fraction)};
}

// Codes of the control register.
enum class Rounding : unsigned {
    floor = 0,
    ceil = 1,
    symmetric_floor = 2,
    symmetric_ceil = 3,
    negative_inf = 8,
    positive_inf = 9,
    symmetric_zero = 10,
    symmetric_inf = 11,
    conv_even = 12,
    conv_odd = 13,
};

inline constexpr std::array all_roundings = {
    Rounding::floor,        Rounding::ceil,         Rounding::symmetric_floor, Rounding::symmetric_ceil,
    Rounding::negative_inf, Rounding::positive_inf, Rounding::symmetric_zero,  Rounding::symmetric_inf,
    Rounding::conv_even,    Rounding::conv_odd,
};

// Which neighbour on the number line: `low` and `low + 1` enclose the number, `rest` / 65536 above `low`.
inline std::int64_t chosen_neighbour(std::int64_t low, std::int64_t rest, Rounding mode) {
    const std::int64_t high = low + 1;
    const std::int64_t inner = low < 0 ? high : low;  // nearer to zero
    const std::int64_t outer = low < 0 ? low : high;
    const bool low_is_even = low % 2 == 0;
    const auto nearest = [&](std::int64_t at_tie) {
        return rest < 0x8000 ? low : rest > 0x8000 ? high : at_tie;
    };
    switch (mode) {
        case Rounding::floor:
            return low;
        case Rounding::ceil:
            return high;
        case Rounding::symmetric_floor:
            return inner;
        case Rounding::symmetric_ceil:
            return outer;
        case Rounding::negative_inf:
            return nearest(low);
        case Rounding::positive_inf:
            return nearest(high);
        case Rounding::symmetric_zero:
            return nearest(inner);
        case Rounding::symmetric_inf:
            return nearest(outer);
        case Rounding::conv_even:
            return nearest(low_is_even ? low : high);
        case Rounding::conv_odd:
            return nearest(low_is_even ? high : low);
    }
    return low;
}

// fp32 to bf16. The bits of magnitudes count the numbers from zero upwards, bf16 standing at every 65536th
// with its midpoints at the odd 32768ths, so that rounding is a choice between two integers. The count goes
// on into infinity, denormals are numbers like all others, a zero keeps its sign, and a NaN drops the lower
// half unless nothing would remain of it.
inline std::uint16_t to_bf16(std::uint32_t fp32, Rounding mode) {
    const bool negative = (fp32 & sign_bit) != 0;
    const auto upper = static_cast<std::uint16_t>(fp32 >> 16);
    if (is_nan(fp32)) {
        return (upper & 0x7F) == 0 ? static_cast<std::uint16_t>(upper + 1) : upper;
    }
    const auto magnitude = static_cast<std::int64_t>(fp32 & ~sign_bit);
    const std::int64_t place = negative ? -magnitude : magnitude;
    const std::int64_t low = place >= 0 ? place / 65536 : -((-place + 65535) / 65536);
    const std::int64_t rest = place - low * 65536;
    const std::int64_t chosen = rest == 0 ? low : chosen_neighbour(low, rest, mode);
    return static_cast<std::uint16_t>((chosen < 0 ? -chosen : chosen) | (negative ? 0x8000 : 0));
}

// VFLOOR: floor(x * 2^shift), saturated; NaN gives the largest integer. |shift| <= 31.
inline std::int32_t floor_to_int(std::uint16_t bf16, int shift) {
    const std::uint32_t fp32 = widen(bf16);
    const bool negative = (bf16 & 0x8000) != 0;
    constexpr std::int32_t top = std::numeric_limits<std::int32_t>::max();
    constexpr std::int32_t bottom = std::numeric_limits<std::int32_t>::min();
    if (is_nan(fp32)) {
        return top;
    }
    if (is_zero(fp32)) {
        return 0;
    }
    const int field = (bf16 >> 7) & 0xFF;
    const std::int64_t mantissa = (bf16 & 0x7F) | (field == 0 ? 0 : 0x80);
    const int scale = std::max(field, 1) - 134 + shift;  // |x| 2^shift = mantissa * 2^scale
    if (is_infinity(fp32) || scale > 31) {
        return negative ? bottom : top;
    }
    if (scale < -8) {
        return negative ? -1 : 0;  // below one
    }
    const std::int64_t signed_mantissa = negative ? -mantissa : mantissa;
    const std::int64_t divisor = std::int64_t{1} << std::max(-scale, 0);
    const std::int64_t scaled = signed_mantissa * (std::int64_t{1} << std::max(scale, 0));
    const std::int64_t floored = (scaled - (scaled % divisor + divisor) % divisor) / divisor;
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(floored, bottom, top));
}

}  // namespace kernels::host::model
