// Lookups and elementary functions of the host's AIE API: the exponential over every bf16 against the table
// arithmetic of kernels/exp_table and its known errors, tables of the caller against plain indexing,
// reciprocals and roots against the published steps in double and against the exact value.
#include <lut_based_ops.h>
#include <vec_math.h>
#include <aie_api/aie.hpp>
#include <aie_api/utils.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "kernels/exp_table.hpp"

namespace {

using aie::rounding_mode;

constexpr rounding_mode all_modes[] = {rounding_mode::floor,           rounding_mode::ceil,
                                       rounding_mode::symmetric_floor, rounding_mode::symmetric_ceil,
                                       rounding_mode::negative_inf,    rounding_mode::positive_inf,
                                       rounding_mode::symmetric_zero,  rounding_mode::symmetric_inf,
                                       rounding_mode::conv_even,       rounding_mode::conv_odd};

class AieLookup : public testing::Test {
protected:
    AieLookup() { aie::detail::reset_core(); }
    ~AieLookup() override { aie::detail::reset_core(); }
};
using AieExp = AieLookup;
using AieElementary = AieLookup;

// The exponential of all bf16, `lookup` in force for the tables and `store` for the result.
std::vector<std::uint16_t> exponentials(rounding_mode lookup, rounding_mode store) {
    std::vector<std::uint16_t> results(0x10000);
    for (unsigned first = 0; first < 0x10000; first += 16) {
        v16bfloat16 x;
        for (unsigned i = 0; i < 16; ++i) {
            x.set(bfloat16::from_bits(static_cast<std::uint16_t>(first + i)), i);
        }
        aie::set_rounding(lookup);
        const v16accfloat product = getExpBf16(x);
        aie::set_rounding(store);
        const v16bfloat16 result = to_v16bfloat16(product);
        for (unsigned i = 0; i < 16; ++i) {
            results[first + i] = result[i].bits;
        }
    }
    return results;
}

float value(std::uint16_t bits) {
    return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

TEST_F(AieExp, equals_the_table_arithmetic_for_every_bf16) {
    const auto floored = exponentials(rounding_mode::floor, rounding_mode::floor);
    const auto nearest = exponentials(rounding_mode::floor, rounding_mode::conv_even);
    for (unsigned x = 0; x < 0x10000; ++x) {
        const auto bits = static_cast<std::uint16_t>(x);
        ASSERT_EQ(floored[x], kernels::exp_bf16(bits, kernels::Store::bf16_floor)) << value(bits);
        ASSERT_EQ(nearest[x], kernels::exp_bf16(bits, kernels::Store::bf16_nearest_even)) << value(bits);
    }
}

// The same by the API's own lookup, from tables laid out for the array.
TEST_F(AieExp, equals_the_published_sequence_of_calls_in_every_mode) {
    const auto doubled = [](const aie::detail::ExpTable& table) {
        std::array<std::uint16_t, 512> layout{};
        for (unsigned n = 0; n < 256; ++n) {
            const auto bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(table[n]) >> 16);
            layout[n / 8 * 16 + n % 8] = layout[n / 8 * 16 + n % 8 + 8] = bits;
        }
        return layout;
    };
    alignas(32) const auto integers = doubled(aie::detail::exp_integers);
    alignas(32) const auto fractions = doubled(aie::detail::exp_fractions);
    using Table = aie::lut<4, bfloat16, bfloat16>;
    aie::parallel_lookup<uint16, Table, aie::lut_oor_policy::truncate> integer(
        Table(256, integers.data(), integers.data()), 8);
    aie::parallel_lookup<uint16, Table, aie::lut_oor_policy::truncate> fraction(
        Table(256, fractions.data(), fractions.data()), 0);
    for (const rounding_mode mode : all_modes) {
        const auto results = exponentials(mode, mode);
        for (unsigned first = 0; first < 0x10000; first += 16) {
            v16bfloat16 x;
            for (unsigned i = 0; i < 16; ++i) {
                x.set(bfloat16::from_bits(static_cast<std::uint16_t>(first + i)), i);
            }
            const aie::vector<int16, 32> fixed = bfloat16_to_int(x, 8).cast_to<int16>();
            const auto key = aie::filter_even(fixed).cast_to<uint16>();
            const v16accfloat product = aie::mul(integer.fetch(key), fraction.fetch(key));
            const v16bfloat16 expected = product.to_vector<bfloat16>();
            for (unsigned i = 0; i < 16; ++i) {
                ASSERT_EQ(results[first + i], expected[i].bits) << value(x[i].bits) << ' ' << unsigned(mode);
            }
        }
    }
}

TEST_F(AieExp, without_floor_arguments_near_an_integer_take_the_next_entry) {
    const auto right = exponentials(rounding_mode::floor, rounding_mode::conv_even);
    const auto wrong = exponentials(rounding_mode::conv_even, rounding_mode::conv_even);
    unsigned carried = 0;
    for (std::uint16_t x = 0xBF00; x < 0xC2A0; ++x) {  // -0.5 to -80
        const double distance = static_cast<double>(-value(x));
        const double fraction = std::ceil(distance) - distance;  // above the integer below x
        const bool carries = fraction >= 0xE0 / 256.0;
        carried += carries ? 1U : 0U;
        const double ratio = static_cast<double>(value(wrong[x])) / static_cast<double>(value(right[x]));
        ASSERT_NEAR(ratio, carries ? std::exp(1) : 1, 0.03) << value(x);
    }
    EXPECT_GT(carried, 50U);
}

struct Error {
    double lowest = 1;
    double highest = -1;
    double mean = 0;
};

// Of the bf16 patterns from `first` to `last`, in percent.
Error error_of(const std::vector<std::uint16_t>& results, std::uint16_t first, std::uint16_t last) {
    Error error;
    for (unsigned x = first; x <= last; ++x) {
        const double exact = std::exp(static_cast<double>(value(static_cast<std::uint16_t>(x))));
        const double relative = 100 * (static_cast<double>(value(results[x])) / exact - 1);
        error.lowest = std::min(error.lowest, relative);
        error.highest = std::max(error.highest, relative);
        error.mean += relative / (last - first + 1);
    }
    return error;
}

TEST_F(AieExp, has_the_known_relative_error) {
    const auto nearest = exponentials(rounding_mode::floor, rounding_mode::conv_even);
    const auto floored = exponentials(rounding_mode::floor, rounding_mode::floor);
    // The means depend on where the patterns start, as all smaller |x| err alike: at 2^-20.
    constexpr std::uint16_t minus_tiny = 0xB580;
    constexpr std::uint16_t plus_tiny = 0x3580;
    constexpr std::uint16_t minus_half = 0xBF00;
    constexpr std::uint16_t minus_one = 0xBF80;
    constexpr std::uint16_t minus_85 = 0xC2AA;
    constexpr std::uint16_t plus_85 = 0x42AA;
    const struct {
        std::uint16_t first;
        std::uint16_t last;
        Error nearest;
        Error floored;
    } known[] = {{minus_tiny, minus_one, {-1.02, 0.37, -0.56}, {-1.18, 0.12, -0.64}},
                 {minus_tiny, minus_85, {-1.02, 0.80, -0.43}, {-1.24, 0.52, -0.54}},
                 {minus_half, minus_85, {-0.86, 0.80, -0.04}, {-1.24, 0.52, -0.28}},
                 {plus_tiny, plus_85, {-0.83, 0.84, -0.05}, {-1.18, 0.44, -0.11}}};
    for (const auto& range : known) {
        for (const bool is_floored : {false, true}) {
            const Error& expected = is_floored ? range.floored : range.nearest;
            const Error error = error_of(is_floored ? floored : nearest, range.first, range.last);
            EXPECT_NEAR(error.lowest, expected.lowest, 0.006) << value(range.last);
            EXPECT_NEAR(error.highest, expected.highest, 0.006) << value(range.last);
            EXPECT_NEAR(error.mean, expected.mean, 0.006) << value(range.last);
        }
    }
}

TEST_F(AieExp, wraps_below_minus_128_as_the_key_does) {
    const auto results = exponentials(rounding_mode::floor, rounding_mode::conv_even);
    EXPECT_NEAR(static_cast<double>(value(results[0xC300])), 0, 0);  // -128, the last that does not wrap
    EXPECT_EQ(value(results[0xC380]), 1.0F);                         // -256
    EXPECT_EQ(value(results[0xFF80]), 1.0F);                         // -infinity
}

// Four copies of a table as the core's memory holds them; `copy` tells them apart.
template <typename T, std::size_t entries>
std::array<T, 2 * entries> doubled(const std::function<T(unsigned copy, unsigned entry)>& at, unsigned copy) {
    constexpr unsigned bank = 16 / sizeof(T);
    std::array<T, 2 * entries> memory{};
    for (unsigned n = 0; n < entries; ++n) {
        memory[n / bank * 2 * bank + n % bank] = at(copy, n);
        memory[n / bank * 2 * bank + bank + n % bank] = at(copy + 1, n);
    }
    return memory;
}

// Every key of 8 bits in a table of 16 entries: entry (key >> 3) + bias, wrapped or clamped; lane i reads
// copy i % 4.
template <typename Key, typename Value, aie::lut_oor_policy policy>
void expect_lookup(unsigned bias) {
    const std::function<Value(unsigned, unsigned)> at = [](unsigned copy, unsigned entry) {
        return static_cast<Value>(100 * copy + entry);
    };
    alignas(32) const auto ab = doubled<Value, 16>(at, 0);
    alignas(32) const auto cd = doubled<Value, 16>(at, 2);
    using Table = aie::lut<4, Value>;
    using Lookup = aie::parallel_lookup<Key, Table, policy>;
    const Table table(16, ab.data(), cd.data());
    const Lookup lookup = [&] {
        if constexpr (std::is_signed_v<Key>) {
            return Lookup(table, 3, bias);
        } else {
            return Lookup(table, 3);
        }
    }();
    for (unsigned first = 0; first < 256; first += 32) {
        aie::vector<Key, 32> keys;
        for (unsigned i = 0; i < 32; ++i) {
            keys.set(static_cast<Key>(first + i), i);
        }
        const auto found = lookup.template fetch<8>(keys);
        for (unsigned i = 0; i < 8; ++i) {
            const int wanted = (keys[i] >> 3) + static_cast<int>(bias);
            const int entry =
                policy == aie::lut_oor_policy::truncate ? wanted & 15 : std::clamp(wanted, 0, 15);
            EXPECT_EQ(static_cast<int>(static_cast<float>(found[i])), static_cast<int>(i % 4) * 100 + entry);
        }
    }
}

TEST_F(AieLookup, indexes_the_table_by_the_upper_bits_of_the_key) {
    using enum aie::lut_oor_policy;
    expect_lookup<uint8, int16, saturate>(0);
    expect_lookup<uint8, int16, truncate>(0);
    expect_lookup<int8, int16, saturate>(8);
    expect_lookup<int8, int16, truncate>(8);
    expect_lookup<int8, float, saturate>(8);
    expect_lookup<int8, int32, truncate>(4);
    expect_lookup<uint8, int32, truncate>(0);
}

// Segments of step 1/4 over [-4, 4), as the published tanh has them: slope n / 8 and offset n - 8 in entry n.
TEST_F(AieLookup, a_linear_approximation_takes_slope_and_offset_of_its_segment_in_every_mode) {
    const std::function<double(unsigned, unsigned)> pairs = [](unsigned, unsigned n) {
        const std::array<float, 2> pair = {static_cast<float>(n) / 8, static_cast<float>(n) - 8};
        return std::bit_cast<double>(pair);
    };
    alignas(32) const auto memory = doubled<double, 32>(pairs, 0);
    using Table = aie::lut<4, float, bfloat16>;
    const aie::linear_approx<bfloat16, Table> lines(Table(32, memory.data(), memory.data()), -2, 16);
    for (const rounding_mode mode : all_modes) {
        aie::set_rounding(mode);
        for (int step = -1000; step <= 1000; ++step) {
            const float x = static_cast<float>(step) / 128;
            const auto bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16);
            const float argument = value(bits);
            const float n = std::clamp(std::floor(argument * 4) + 16, 0.0F, 31.0F);
            const v16accfloat result = lines.compute(aie::broadcast<bfloat16, 16>(bfloat16::from_bits(bits)));
            ASSERT_EQ(result.to_vector<float>()[7], n / 8 * argument + n - 8) << x;
        }
    }
}

TEST_F(AieLookup, the_reciprocal_table_is_within_58_hundredths_of_a_percent) {
    double largest = 0;
    for (std::uint32_t bits = 0x3F800000; bits < 0x40800000; bits += 7) {
        const float x = std::bit_cast<float>(bits);
        const double product =
            static_cast<double>(static_cast<float>(getInvBf16(x))) * static_cast<double>(x);
        largest = std::max(largest, std::abs(product - 1));
    }
    EXPECT_NEAR(largest, 0.0058, 0.0001);
    EXPECT_EQ(static_cast<float>(getInvBf16(1.0F)), 1.0F);
    EXPECT_EQ(static_cast<float>(getInvBf16(4.0F)), 0.25F);
}

// bf16 of a number by the mode, from the definition of the modes; two modes suffice here.
double stored(double x, rounding_mode mode) {
    const double unit = std::ldexp(1, std::ilogb(x) - 7);
    return unit * (mode == rounding_mode::floor ? std::floor(x / unit) : std::nearbyint(x / unit));
}

// a + b on the adder: both to nearest even 23 bits below the larger exponent, then the sum to fp32.
double added(double a, double b) {
    const double unit = std::ldexp(1, std::max(std::ilogb(a), std::ilogb(b)) - 23);
    return static_cast<double>(
        static_cast<float>(unit * (std::nearbyint(a / unit) + std::nearbyint(b / unit))));
}

// a plus a product: its exponent counts as that of its factors, one above their sum.
double mac(double acc, double a, double b) {
    const int product = std::ilogb(a) + std::ilogb(b) + 1;
    const double unit = std::ldexp(1, std::max(std::ilogb(acc), product) - 23);
    const double sum = unit * (std::nearbyint(acc / unit) + std::nearbyint(a * b / unit));
    return static_cast<double>(static_cast<float>(sum));
}

double model_inv(std::uint16_t bits, rounding_mode mode) {
    const auto v = static_cast<double>(value(bits));
    double y = static_cast<double>(value(static_cast<std::uint16_t>(0x7EB5 - bits)));
    double t = stored(added(-(v * y), static_cast<double>(1.436142F)), mode);
    t = stored(t * y, mode);
    const double minus_y = stored(-(t * 1.9375), mode);  // bf16(1.9395974)
    t = stored(mac(2, minus_y, v), mode);
    return stored(-(minus_y * t), mode);
}

double model_invsqrt(std::uint16_t bits, rounding_mode mode) {
    const auto v = static_cast<double>(value(bits));
    const double x2 = stored(v * 0.703125, mode);  // bf16(0.703952253)
    const auto guess = static_cast<std::uint32_t>(0x5F1FFFF9 - (std::int32_t{bits} << 16) / 2);
    const double y = stored(static_cast<double>(std::bit_cast<float>(guess)), mode);
    const double yy = stored(y * y, mode);
    const double rest = stored(mac(static_cast<double>(0.703952253F * 2.38924456F), -x2, yy), mode);
    return stored(y * rest, mode);
}

TEST_F(AieElementary, bf16_reciprocal_and_root_follow_the_published_steps) {
    for (const rounding_mode mode : {rounding_mode::floor, rounding_mode::conv_even}) {
        aie::set_rounding(mode);
        for (std::uint16_t bits = 0x3000; bits < 0x4F00; ++bits) {
            const bfloat16 x = bfloat16::from_bits(bits);
            const v16bfloat16 v = aie::broadcast<bfloat16, 16>(x);
            ASSERT_EQ(static_cast<double>(static_cast<float>(aie::inv(v)[3])), model_inv(bits, mode)) << bits;
            ASSERT_EQ(static_cast<double>(static_cast<float>(aie::invsqrt(v)[15])),
                      model_invsqrt(bits, mode));
            ASSERT_EQ(aie::inv(x).bits, aie::inv(v)[0].bits);
            ASSERT_EQ(aie::invsqrt(x).bits, aie::invsqrt(v)[0].bits);
        }
    }
}

// Largest |f(x) / exact(x) - 1| over the bf16 from 2^-31 to 2^31.
template <typename Function, typename Exact>
double largest_error(Function function, Exact exact) {
    double largest = 0;
    for (std::uint16_t bits = 0x3000; bits < 0x4F00; ++bits) {
        const double x = static_cast<double>(value(bits));
        largest = std::max(largest, std::abs(function(bfloat16::from_bits(bits)) / exact(x) - 1));
    }
    return largest;
}

TEST_F(AieElementary, is_as_close_as_its_format_lets_it) {
    const auto reciprocal = [](double x) { return 1 / x; };
    const auto root = [](double x) { return 1 / std::sqrt(x); };
    const auto inv16 = [](bfloat16 x) {
        return static_cast<double>(static_cast<float>(aie::inv(aie::broadcast<bfloat16, 16>(x))[0]));
    };
    const auto root16 = [](bfloat16 x) {
        return static_cast<double>(static_cast<float>(aie::invsqrt(aie::broadcast<bfloat16, 16>(x))[0]));
    };
    const auto inv32 = [](bfloat16 x) {
        return static_cast<double>(aie::inv(aie::broadcast<float, 16>(static_cast<float>(x)))[0]);
    };
    const auto root32 = [](bfloat16 x) {
        return static_cast<double>(aie::invsqrt(aie::broadcast<float, 16>(static_cast<float>(x)))[0]);
    };
    aie::set_rounding(rounding_mode::conv_even);
    EXPECT_LT(largest_error(inv16, reciprocal), 0.0079);
    EXPECT_LT(largest_error(root16, root), 0.0120);
    EXPECT_LT(largest_error(inv32, reciprocal), 1e-5);
    EXPECT_LT(largest_error(root32, root), 1e-3);
}

TEST_F(AieElementary, scalars_of_float_are_rounded_as_ieee_754) {
    EXPECT_EQ(aie::inv(3.0F), 1.0F / 3.0F);
    EXPECT_EQ(aie::invsqrt(4.0F), 0.5F);
    EXPECT_EQ(aie::sqrt(2.0F), std::sqrt(2.0F));
    EXPECT_EQ(aie::div(1.0F, 7.0F), 1.0F / 7.0F);
}

TEST_F(AieElementary, a_quotient_is_a_product_with_the_reciprocal) {
    aie::set_rounding(rounding_mode::conv_even);
    const v16bfloat16 a = aie::broadcast<bfloat16, 16>(bfloat16(10.0F));
    const v16bfloat16 b = aie::broadcast<bfloat16, 16>(bfloat16(3.0F));
    const float expected = 10.0F * static_cast<float>(aie::inv(b)[0]);
    EXPECT_EQ(aie::div(a, b).to_vector<float>()[9], expected);
    EXPECT_EQ(aie::div(a, bfloat16(3.0F)).to_vector<float>()[9], expected);
    EXPECT_EQ(aie::sqrt(aie::broadcast<bfloat16, 16>(bfloat16(9.0F)))[2], bfloat16(3.0F));
}

TEST_F(AieElementary, the_quick_root_is_good_to_one_newton_step) {
    aie::set_rounding(rounding_mode::conv_even);
    for (std::uint16_t bits = 0x3000; bits < 0x4F00; ++bits) {
        const v16bfloat16 x = aie::broadcast<bfloat16, 16>(bfloat16::from_bits(bits));
        const double exact = 1 / std::sqrt(static_cast<double>(value(bits)));
        ASSERT_NEAR(static_cast<double>(static_cast<float>(getRsqrtBf16(x)[0])) / exact, 1, 0.012);
        ASSERT_NEAR(static_cast<double>(static_cast<float>(getSqrtBf16(x)[0])) * exact, 1, 0.014);
    }
}

TEST_F(AieLookup, unrolled_loops_see_their_index) {
    unsigned sum = 0;
    aie::unroll_times<4>([&](auto i) { sum += i + 1U; });
    aie::unroll_times<2>([&] { sum += 100; });
    aie::unroll_for<unsigned, 2, 7, 2>([&](auto i) { sum += 1000U * i; });
    EXPECT_EQ(sum, 10U + 200U + 12000U);
}

// Every bf16: the line of the quarter that x lies in, one VMAC, one store.
TEST(AieTanh, follows_its_lines_for_every_bf16) {
    aie::detail::reset_core();
    aie::set_rounding(rounding_mode::conv_even);
    double worst = 0;
    for (unsigned bits = 0; bits < 0x10000; ++bits) {
        const float x = value(static_cast<std::uint16_t>(bits));
        if (!std::isfinite(x) || (x != 0 && std::abs(x) < 0x1p-126F)) {
            continue;
        }
        const v16bfloat16 got =
            getTanhBf16(aie::broadcast<bfloat16, 16>(bfloat16::from_bits(static_cast<std::uint16_t>(bits))));
        const double result{value(got[3].bits)};
        const int quarter = static_cast<int>(std::clamp(std::floor(x * 4), -16.0F, 15.0F));
        const auto& line =
            aie::detail::tanh_lines[static_cast<unsigned>(quarter < 0 ? -1 - quarter : quarter)];
        const double offset{quarter < 0 ? -line.offset : line.offset};
        const double exact = double{line.slope} * double{x} + offset;
        ASSERT_NEAR(result, exact, 0x1p-8 * std::abs(exact)) << x;
        worst = std::max(worst, std::abs(result - std::tanh(double{x})));
    }
    EXPECT_LT(worst, 0.0075);
    EXPECT_GT(worst, 0.004);  // the line of the first quarter has slope 1
    aie::detail::reset_core();
}

}  // namespace
