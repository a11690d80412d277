// The floating-point adder of an AIE2 core in wide integers, one lane, every case.
//
// AMD AM020 ch. 4 ("all mantissas are aligned to the largest exponent, 23 fractional bits") and, bit by bit
// with infinities, NaNs and denormals, FIM43-Redeye/xdna-emu
// src/interpreter/execute/vector_matmul/bf16_pipeline.rs (VMAC) and vector_float.rs (VADD.f), both compared
// with an XDNA1 device.
#pragma once

#include <bit>
#include <cstdint>

namespace aie::detail {

// A sum of up to eight products of bf16 and two fp32. Exponents are biased so that a term of exponent e is an
// integer mantissa times 2^(e - 278); a zero is no term. A denormal has no implicit bit and exponent field 1.
class ExactSum {
public:
    void product(std::uint16_t a, std::uint16_t b) {
        const bool negative = ((a ^ b) & 0x8000) != 0;
        const int exponent_a = (a >> 7) & 0xFF;
        const int exponent_b = (b >> 7) & 0xFF;
        const int fraction_a = a & 0x7F;
        const int fraction_b = b & 0x7F;
        const bool zero = (exponent_a | fraction_a) == 0 || (exponent_b | fraction_b) == 0;
        const bool infinite =
            (exponent_a == 0xFF && fraction_a == 0) || (exponent_b == 0xFF && fraction_b == 0);
        nan_ = nan_ || (exponent_a == 0xFF && fraction_a != 0) || (exponent_b == 0xFF && fraction_b != 0) ||
               (infinite && zero);
        note_infinity(infinite && !zero, negative);
        if (zero) {
            return;
        }
        const std::int64_t mantissa = std::int64_t{fraction_a | (exponent_a != 0 ? 0x80 : 0)} *
                                      (fraction_b | (exponent_b != 0 ? 0x80 : 0)) * 512;
        term(mantissa, negative, (exponent_a != 0 ? exponent_a : 1) + (exponent_b != 0 ? exponent_b : 1) + 1);
        ++products_;
    }

    void accumulator(std::uint32_t q) {
        const bool negative = q >> 31 != 0;
        const int exponent = static_cast<int>((q >> 23) & 0xFF);
        const std::int64_t fraction = q & 0x7FFFFF;
        nan_ = nan_ || (exponent == 0xFF && fraction != 0);
        note_infinity(exponent == 0xFF && fraction == 0, negative);
        if (exponent != 0) {
            term(fraction | 0x800000, negative, exponent + 128);
        } else if (fraction != 0) {
            term(fraction, negative, 1 + 128);
        }
    }

    // Were all products so far zero?
    bool no_products() const { return products_ == 0; }

    // fp32 bits. A result below the normal range is +0, or with `signed_underflow` a zero of its sign.
    std::uint32_t result(bool signed_underflow) const {
        const bool nan = nan_ || (plus_infinity_ && minus_infinity_);
        if (!nan && (plus_infinity_ || minus_infinity_)) {
            return minus_infinity_ ? 0xFF800000 : 0x7F800000;
        }
        std::int64_t sum = 0;
        for (int i = 0; i < terms_; ++i) {
            const std::int64_t aligned = shift_even(mantissa_[i], largest_ - exponent_[i]);
            sum += negative_[i] ? -aligned : aligned;
        }
        if (sum == 0) {
            return nan ? 0x7F800001 : 0;
        }
        const std::uint32_t sign = sum < 0 ? 0x80000000 : 0;
        const auto magnitude = static_cast<std::uint64_t>(sum < 0 ? -sum : sum);
        const int leading = 63 - std::countl_zero(magnitude);
        auto mantissa = static_cast<std::uint32_t>(
            leading <= 23
                ? magnitude << (23 - leading)
                : static_cast<std::uint64_t>(shift_even(static_cast<std::int64_t>(magnitude), leading - 23)));
        int exponent = largest_ + leading - 151;
        if (mantissa >> 24 != 0) {
            mantissa >>= 1;
            ++exponent;
        }
        const bool outside = exponent <= 0 || exponent >= 0xFF;
        if (nan) {
            return sign | 0x7F800000 | (outside ? 0 : mantissa & 0x7FFFFF) | 1;
        }
        if (exponent <= 0) {
            return signed_underflow ? sign : 0;
        }
        return sign | (exponent >= 0xFF ? 0x7F800000
                                        : static_cast<std::uint32_t>(exponent) << 23 | (mantissa & 0x7FFFFF));
    }

private:
    void note_infinity(bool infinite, bool negative) {
        plus_infinity_ = plus_infinity_ || (infinite && !negative);
        minus_infinity_ = minus_infinity_ || (infinite && negative);
    }

    void term(std::int64_t mantissa, bool negative, int exponent) {
        mantissa_[terms_] = mantissa;
        negative_[terms_] = negative;
        exponent_[terms_] = exponent;
        ++terms_;
        largest_ = exponent > largest_ ? exponent : largest_;
    }

    // magnitude / 2^distance to the nearest integer, ties to even.
    static std::int64_t shift_even(std::int64_t magnitude, int distance) {
        if (distance == 0) {
            return magnitude;
        }
        if (distance > 40) {
            return 0;
        }
        const std::int64_t half = std::int64_t{1} << (distance - 1);
        const std::int64_t whole = magnitude >> distance;
        const std::int64_t rest = magnitude - (whole << distance);
        return whole + (rest > half || (rest == half && (whole & 1) != 0) ? 1 : 0);
    }

    static constexpr int most_terms = 10;
    std::int64_t mantissa_[most_terms];
    int exponent_[most_terms];
    bool negative_[most_terms];
    int terms_ = 0;
    int products_ = 0;
    int largest_ = 0;
    bool nan_ = false;
    bool plus_infinity_ = false;
    bool minus_infinity_ = false;
};

}  // namespace aie::detail
