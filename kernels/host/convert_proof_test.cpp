// Proof by comparison that fp32 becomes bf16 as the rounding mode in force says: every bf16 number with what
// lies between it and the next, in all ten modes, by construction of a bfloat16 and through an accumulator.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <iterator>
#include <ostream>
#include <string>

#include "aie_api/aie.hpp"
#include "kernels/host/vmac_model_test.hpp"

namespace kernels::host {
namespace {

using model::Rounding;

struct Mode {
    aie::rounding_mode host;
    Rounding model;
    const char* name;
};

constexpr Mode all_modes[] = {
    {aie::rounding_mode::floor, Rounding::floor, "floor"},
    {aie::rounding_mode::ceil, Rounding::ceil, "ceil"},
    {aie::rounding_mode::symmetric_floor, Rounding::symmetric_floor, "symmetric_floor"},
    {aie::rounding_mode::symmetric_ceil, Rounding::symmetric_ceil, "symmetric_ceil"},
    {aie::rounding_mode::negative_inf, Rounding::negative_inf, "negative_inf"},
    {aie::rounding_mode::positive_inf, Rounding::positive_inf, "positive_inf"},
    {aie::rounding_mode::symmetric_zero, Rounding::symmetric_zero, "symmetric_zero"},
    {aie::rounding_mode::symmetric_inf, Rounding::symmetric_inf, "symmetric_inf"},
    {aie::rounding_mode::conv_even, Rounding::conv_even, "conv_even"},
    {aie::rounding_mode::conv_odd, Rounding::conv_odd, "conv_odd"},
};
static_assert(std::size(all_modes) == model::all_roundings.size());

std::ostream& operator<<(std::ostream& out, const Mode& mode) {
    return out << mode.name;
}

std::uint16_t host_bf16(std::uint32_t bits) {
    return std::bit_cast<std::uint16_t>(bfloat16(std::bit_cast<float>(bits)));
}

// Sixteen numbers the way a kernel stores them: accumulator, to_vector.
std::array<std::uint16_t, 16> host_bf16_of_accumulator(const std::array<std::uint32_t, 16>& bits) {
    aie::vector<float, 16> values;
    for (unsigned i = 0; i < 16; ++i) {
        values.set(std::bit_cast<float>(bits[i]), i);
    }
    aie::accum<accfloat, 16> accumulator;
    accumulator.from_vector(values);
    const aie::vector<bfloat16, 16> stored = accumulator.template to_vector<bfloat16>();
    std::array<std::uint16_t, 16> result;
    for (unsigned i = 0; i < 16; ++i) {
        result[i] = std::bit_cast<std::uint16_t>(bfloat16(stored.get(i)));
    }
    return result;
}

// The parts of the dropped half that any mode may tell apart, and five that depend on the upper half alone.
std::array<std::uint32_t, 16> numbers_of(std::uint32_t upper) {
    std::array<std::uint32_t, 16> numbers = {0,      1,      2,      0x4000, 0x7FFE, 0x7FFF,
                                             0x8000, 0x8001, 0xC000, 0xFFFE, 0xFFFF};
    for (std::uint32_t i = 11; i < 16; ++i) {
        numbers[i] = (upper * 5 + i) * 2654435761U >> 16;
    }
    for (auto& number : numbers) {
        number |= upper << 16;
    }
    return numbers;
}

class Conversion : public testing::TestWithParam<Mode> {
protected:
    Conversion() { aie::set_rounding(GetParam().host); }
    ~Conversion() override { aie::detail::reset_core(); }
};

TEST_P(Conversion, EveryUpperHalfWithEveryKindOfLowerHalf) {
    int breaches = 0;
    for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
        const auto numbers = numbers_of(upper);
        const auto stored = host_bf16_of_accumulator(numbers);
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            const std::uint16_t expected = model::to_bf16(numbers[i], GetParam().model);
            const std::uint16_t constructed = host_bf16(numbers[i]);
            if ((constructed != expected || stored[i] != expected) && ++breaches <= 4) {
                ADD_FAILURE() << std::hex << numbers[i] << ": constructed " << constructed << ", stored "
                              << stored[i] << ", model " << expected;
            }
        }
    }
    EXPECT_EQ(breaches, 0);
}

TEST_P(Conversion, EveryLowerHalfOfSomeNumbers) {
    for (const std::uint32_t upper : {0x0000U, 0x8000U, 0x007FU, 0x3F80U, 0xBF81U, 0x7F7FU, 0xFF7FU}) {
        for (std::uint32_t lower = 0; lower < 0x10000; ++lower) {
            const std::uint32_t bits = upper << 16 | lower;
            ASSERT_EQ(host_bf16(bits), model::to_bf16(bits, GetParam().model)) << std::hex << bits;
        }
    }
}

TEST_P(Conversion, EveryBf16ReturnsUnchanged) {
    for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
        const auto number = std::bit_cast<bfloat16>(static_cast<std::uint16_t>(upper));
        const float wide = number;
        ASSERT_EQ(std::bit_cast<std::uint32_t>(wide), upper << 16);
        ASSERT_EQ(std::bit_cast<std::uint16_t>(bfloat16(wide)), upper);
    }
}

// Any mode: one of the two neighbours, in the order of the numbers.
TEST_P(Conversion, IsMonotonicAndStaysBetweenTheNeighbours) {
    std::uint16_t last = 0;
    for (std::uint32_t bits = 0; bits <= model::infinity_bits; bits += 0x1F35) {
        const std::uint16_t positive = host_bf16(bits);
        ASSERT_GE(positive, last);
        ASSERT_TRUE(positive == bits >> 16 || positive == (bits >> 16) + 1) << std::hex << bits;
        const auto negative = static_cast<std::uint16_t>(host_bf16(bits | model::sign_bit) & 0x7FFF);
        ASSERT_TRUE(negative == bits >> 16 || negative == (bits >> 16) + 1) << std::hex << bits;
        last = positive;
    }
}

INSTANTIATE_TEST_SUITE_P(Modes, Conversion, testing::ValuesIn(all_modes),
                         [](const auto& mode) { return std::string(mode.param.name); });

TEST(ConversionMode, HasTheNumbersOfTheControlRegister) {
    for (const Mode& mode : all_modes) {
        EXPECT_EQ(static_cast<unsigned>(mode.host), static_cast<unsigned>(mode.model)) << mode;
    }
}

TEST(ConversionMode, IsFloorAfterReset) {
    aie::set_rounding(aie::rounding_mode::conv_even);
    EXPECT_EQ(host_bf16(0x3F80'FFFF), 0x3F81);
    aie::detail::reset_core();
    EXPECT_EQ(aie::get_rounding(), aie::rounding_mode::floor);
    EXPECT_EQ(host_bf16(0x3F80'FFFF), 0x3F80);
    EXPECT_EQ(host_bf16(0xBF80'0001), 0xBF81);
}

// By hand, from the definitions: the tie beside 1 and beside -1, then just beyond the one and just before the
// other.
TEST(ConversionModel, TiesAndNeighboursByHand) {
    struct Expected {
        Rounding mode;
        std::uint16_t tie_above_one, tie_below_minus_one, beyond_the_tie, before_the_tie_negative;
    };
    // 0x3F80'8000 lies between 3F80 and 3F81, 0xBF80'8000 between BF80 and BF81
    static constexpr Expected table[] = {
        {Rounding::floor, 0x3F80, 0xBF81, 0x3F80, 0xBF81},
        {Rounding::ceil, 0x3F81, 0xBF80, 0x3F81, 0xBF80},
        {Rounding::symmetric_floor, 0x3F80, 0xBF80, 0x3F80, 0xBF80},
        {Rounding::symmetric_ceil, 0x3F81, 0xBF81, 0x3F81, 0xBF81},
        {Rounding::negative_inf, 0x3F80, 0xBF81, 0x3F81, 0xBF80},
        {Rounding::positive_inf, 0x3F81, 0xBF80, 0x3F81, 0xBF80},
        {Rounding::symmetric_zero, 0x3F80, 0xBF80, 0x3F81, 0xBF80},
        {Rounding::symmetric_inf, 0x3F81, 0xBF81, 0x3F81, 0xBF80},
        {Rounding::conv_even, 0x3F80, 0xBF80, 0x3F81, 0xBF80},
        {Rounding::conv_odd, 0x3F81, 0xBF81, 0x3F81, 0xBF80},
    };
    for (const Expected& expected : table) {
        const auto mode = expected.mode;
        EXPECT_EQ(model::to_bf16(0x3F80'8000, mode), expected.tie_above_one) << static_cast<unsigned>(mode);
        EXPECT_EQ(model::to_bf16(0xBF80'8000, mode), expected.tie_below_minus_one)
            << static_cast<unsigned>(mode);
        EXPECT_EQ(model::to_bf16(0x3F80'8001, mode), expected.beyond_the_tie) << static_cast<unsigned>(mode);
        EXPECT_EQ(model::to_bf16(0xBF80'7FFF, mode), expected.before_the_tie_negative)
            << static_cast<unsigned>(mode);
    }
}

TEST(ConversionModel, SpecialNumbersByHand) {
    for (const Rounding mode : model::all_roundings) {
        EXPECT_EQ(model::to_bf16(0x7F80'0000, mode), 0x7F80);
        EXPECT_EQ(model::to_bf16(0xFF80'0000, mode), 0xFF80);
        EXPECT_EQ(model::to_bf16(0x0000'0000, mode), 0x0000);
        EXPECT_EQ(model::to_bf16(0x8000'0000, mode), 0x8000);
        EXPECT_EQ(model::to_bf16(0x7F80'0001, mode), 0x7F81);  // a NaN stays one
        EXPECT_EQ(model::to_bf16(0xFFC1'FFFF, mode), 0xFFC1);
    }
    EXPECT_EQ(model::to_bf16(0x7F7F'FFFF, Rounding::conv_even), 0x7F80);  // beyond the largest number
    EXPECT_EQ(model::to_bf16(0x7F7F'FFFF, Rounding::floor), 0x7F7F);
    EXPECT_EQ(model::to_bf16(0xFF7F'0001, Rounding::floor), 0xFF80);
    EXPECT_EQ(model::to_bf16(0x8000'0001, Rounding::floor), 0x8001);  // denormals are not flushed
    EXPECT_EQ(model::to_bf16(0x8000'0001, Rounding::ceil), 0x8000);
}

// bf16 to int is a floor in every rounding mode; 8 is the shift of the key of exp.
TEST_P(Conversion, EveryBf16ToIntIsFloored) {
    int breaches = 0;
    for (const int shift : {0, 1, 2, 7, 8, 16, 31, -1, -8, -31}) {
        for (std::uint32_t first = 0; first < 0x10000; first += 16) {
            aie::vector<bfloat16, 16> numbers;
            for (unsigned i = 0; i < 16; ++i) {
                numbers.set(std::bit_cast<bfloat16>(static_cast<std::uint16_t>(first + i)), i);
            }
            const auto host = bfloat16_to_int(numbers, shift);
            for (unsigned i = 0; i < 16; ++i) {
                const auto number = static_cast<std::uint16_t>(first + i);
                const std::int32_t expected = model::floor_to_int(number, shift);
                if (host.get(i) != expected && ++breaches <= 4) {
                    ADD_FAILURE() << std::hex << number << std::dec << " shift " << shift << ": host "
                                  << host.get(i) << ", model " << expected;
                }
            }
        }
    }
    EXPECT_EQ(breaches, 0);
}

TEST(FloorModel, ByHand) {
    EXPECT_EQ(model::floor_to_int(0x3FC0, 0), 1);   // 1.5
    EXPECT_EQ(model::floor_to_int(0xC020, 0), -3);  // -2.5
    EXPECT_EQ(model::floor_to_int(0x4120, 3), 80);  // 10
    EXPECT_EQ(model::floor_to_int(0x4120, -3), 1);  // 1.25
    EXPECT_EQ(model::floor_to_int(0xBB80, 8), -1);  // -1/256, the step of the key of exp
    EXPECT_EQ(model::floor_to_int(0xBB81, 8), -2);  // just below it
    EXPECT_EQ(model::floor_to_int(0x8001, 0), -1);  // the smallest denormal
    EXPECT_EQ(model::floor_to_int(0x8000, 0), 0);
    EXPECT_EQ(model::floor_to_int(0x4F00, 0), 0x7FFF'FFFF);  // 2^31
    EXPECT_EQ(model::floor_to_int(0xCF00, 0), -0x7FFF'FFFF - 1);
    EXPECT_EQ(model::floor_to_int(0xFF80, 8), -0x7FFF'FFFF - 1);
    EXPECT_EQ(model::floor_to_int(0xFFC0, 0), 0x7FFF'FFFF);  // NaN
}

}  // namespace
}  // namespace kernels::host
