// The two tables are computed at compile time in double, whose error is 2^30 times below half a bf16 step;
// the test holds every entry against libm. Nothing here depends on the machine's exp.
#include "kernels/exp_table.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace kernels {
namespace {

using Table = std::array<std::uint16_t, 256>;

constexpr int largest_integer = 88;  // the last integer whose exp fits bf16 (and fp32)

// exp(n / 256) for 0 <= n < 256 by its Taylor series; the last term is below 1 / 24!.
constexpr double exp_of_fraction(int n) {
    const double x = n / 256.0;
    double sum = 1;
    for (int term = 24; term >= 1; --term) {
        sum = 1 + sum * x / term;
    }
    return sum;
}

// exp(n): each of up to 128 factors adds a relative 2^-53.
constexpr double exp_of_integer(int n) {
    constexpr double e = 2.718281828459045235360287;
    double power = 1;
    for (int i = 0; i < (n < 0 ? -n : n); ++i) {
        power *= e;
    }
    return n < 0 ? 1 / power : power;
}

constexpr std::uint16_t nearest_even(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

constexpr float widened(std::uint16_t bits) {
    return std::bit_cast<float>(std::uint32_t{bits} << 16U);
}

constexpr Table make_integer_table() {
    Table table{};
    for (int n = -128; n < 128; ++n) {
        const double value = exp_of_integer(n < largest_integer ? n : largest_integer);
        table[static_cast<std::uint8_t>(n)] = nearest_even(static_cast<float>(value));
    }
    return table;
}

constexpr Table make_fraction_table() {
    Table table{};
    for (int n = 0; n < 256; ++n) {
        table[static_cast<std::uint8_t>(n)] = nearest_even(static_cast<float>(exp_of_fraction(n)));
    }
    return table;
}

constexpr Table integer_table = make_integer_table();
constexpr Table fraction_table = make_fraction_table();

// floor(x * 2^8) as the hardware converts it: saturating at 32 bits, NaN to the largest, of which 16 bits
// remain.
std::uint16_t key_of(float x) {
    constexpr double largest = std::numeric_limits<std::int32_t>::max();
    constexpr double smallest = std::numeric_limits<std::int32_t>::min();
    const double floored = std::floor(static_cast<double>(x) * 256.0);
    const double saturated = std::isnan(floored) ? largest : std::clamp(floored, smallest, largest);
    return static_cast<std::uint16_t>(static_cast<std::uint32_t>(static_cast<std::int32_t>(saturated)));
}

using DifferenceTable = std::array<std::uint16_t, exp_nan_entry + 1>;

const DifferenceTable& difference_table() {
    static const DifferenceTable table = [] {
        DifferenceTable entries{};
        for (std::uint16_t magnitude = 0; magnitude < exp_nan_entry; ++magnitude) {
            const auto x = static_cast<std::uint16_t>(magnitude | 0x8000U);
            entries[magnitude] = exp_bf16(x, Store::bf16_nearest_even);
        }
        entries[exp_nan_entry] = 0x7FC0;
        return entries;
    }();
    return table;
}

}  // namespace

std::uint16_t exp_bf16(std::uint16_t x, Store store) {
    const std::uint16_t key = key_of(widened(x));
    const float unflushed = widened(integer_table[key >> 8U]) * widened(fraction_table[key & 0xFFU]);
    const float product = unflushed < std::numeric_limits<float>::min() ? 0.0F : unflushed;
    switch (store) {
        case Store::bf16_nearest_even:
            return nearest_even(product);
        case Store::bf16_toward_zero:
        case Store::bf16_floor:  // the product is not negative
            return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(product) >> 16U);
        case Store::f32:
            break;
    }
    throw std::invalid_argument("exp_bf16: the result is bf16, Store::f32 cannot hold it");
}

float exp_difference(float s, float m) {
    const float difference = s - m;
    if (!(difference <= 0.0F)) {
        return widened(difference_table()[exp_nan_entry]);
    }
    const float magnitude = std::abs(std::max(difference, exp_lowest_argument));
    return widened(difference_table()[nearest_even(magnitude)]);
}

ExpError exp_error(Store store) {
    ExpError error{.lowest = std::numeric_limits<double>::infinity(),
                   .highest = -std::numeric_limits<double>::infinity()};
    constexpr std::uint16_t last = 0x42AE;  // 87
    for (std::uint16_t magnitude = 0; magnitude <= last; ++magnitude) {
        const auto x = static_cast<std::uint16_t>(magnitude | 0x8000U);
        // exp(x) = exp(-n) * exp(-(i / 256)) * exp(-rest), rest < 1/256; all factors in double.
        const double distance = static_cast<double>(widened(magnitude));
        const int units = static_cast<int>(distance * 256.0);
        const double rest = distance - units / 256.0;
        const double exp_of_rest =
            1 - rest * (1 - rest / 2 * (1 - rest / 3 * (1 - rest / 4 * (1 - rest / 5))));
        const double exact = exp_of_integer(-(units / 256)) / exp_of_fraction(units % 256) * exp_of_rest;
        const double relative = static_cast<double>(widened(exp_bf16(x, store))) / exact - 1;
        error.lowest = std::min(error.lowest, relative);
        error.highest = std::max(error.highest, relative);
    }
    return error;
}

void look_up_exponentials(std::span<std::uint16_t> entries) {
    const DifferenceTable& table = difference_table();
#pragma GCC unroll 8
    for (std::uint16_t& entry : entries) {
        entry = table[entry];
    }
}

}  // namespace kernels
