// The core of the host's AIE API: vectors and accumulators, the VMAC and the fp32 adder, rounding,
// arithmetic, mmul. The proof against an independent model is in vmac_proof_test.cpp and
// convert_proof_test.cpp.
#include <aie_api/aie.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace {

using aie::rounding_mode;
using aie::detail::vadd;

constexpr rounding_mode all_modes[] = {rounding_mode::floor,           rounding_mode::ceil,
                                       rounding_mode::symmetric_floor, rounding_mode::symmetric_ceil,
                                       rounding_mode::negative_inf,    rounding_mode::positive_inf,
                                       rounding_mode::symmetric_zero,  rounding_mode::symmetric_inf,
                                       rounding_mode::conv_even,       rounding_mode::conv_odd};

class AieCore : public testing::Test {
protected:
    void TearDown() override { aie::detail::reset_core(); }
    std::mt19937 engine_{20};

    // Any sign and mantissa, an exponent field within `spread` of 1.0; one in `zeros` is zero.
    std::uint16_t draw(unsigned spread, unsigned zeros = 16) {
        const auto bits = static_cast<unsigned>(engine_());
        const unsigned exponent = 127 - spread / 2 + (bits >> 16) % (spread + 1);
        const unsigned pattern = (bits & 0x807F) | exponent << 7;
        return static_cast<std::uint16_t>((bits >> 8) % zeros == 0 ? pattern & 0x8000 : pattern);
    }
    template <typename V>
    V draw_vector(unsigned spread) {
        V v;
        for (unsigned i = 0; i < V::size(); ++i) {
            if constexpr (std::is_same_v<typename V::value_type, bfloat16>) {
                v[i] = bfloat16::from_bits(draw(spread));
            } else {
                const std::uint32_t low = static_cast<std::uint32_t>(engine_()) & 0xFFFF;
                v[i] = std::bit_cast<float>(std::uint32_t{draw(spread)} << 16 | low);
            }
        }
        return v;
    }
};

std::uint32_t bits_of(float value) {
    return std::bit_cast<std::uint32_t>(value);
}

template <typename T, unsigned N>
std::vector<std::uint32_t> bits_of(const aie::vector<T, N>& v) {
    std::vector<std::uint32_t> bits;
    for (unsigned i = 0; i < N; ++i) {
        bits.push_back(bits_of(static_cast<float>(v.get(i))));
    }
    return bits;
}

float vmac_of(float acc, const std::array<std::uint16_t, 8>& a, const std::array<std::uint16_t, 8>& b) {
    std::uint16_t left[8][16];
    std::uint16_t right[8][16];
    float lanes[16];
    for (unsigned k = 0; k < 8; ++k) {
        std::fill_n(left[k], 16, a[k]);
        std::fill_n(right[k], 16, b[k]);
    }
    std::fill_n(lanes, 16, acc);
    aie::detail::vmac8(lanes, left, right);
    for (const float lane : lanes) {
        EXPECT_EQ(bits_of(lane), bits_of(lanes[0]));
    }
    return lanes[0];
}

TEST_F(AieCore, parts_of_a_vector_come_back_where_they_were_put) {
    const auto v = draw_vector<aie::vector<bfloat16, 32>>(200);
    aie::vector<bfloat16, 32> copy;
    for (unsigned part = 0; part < 4; ++part) {
        copy.insert(part, v.extract<8>(part));
    }
    EXPECT_EQ(bits_of(copy), bits_of(v));
    EXPECT_EQ(bits_of(v.cast_to<int32>().cast_to<bfloat16>()), bits_of(v));
    EXPECT_EQ(bits_of(v.grow<64>(1).extract<32>(1)), bits_of(v));
    EXPECT_EQ(bits_of(v.extract<16>(0).grow_replicate<32>().extract<16>(1)), bits_of(v.extract<16>(0)));
    const auto [low, high] = v.split<16>();
    EXPECT_EQ(bits_of(copy.upd_all(high, low).extract<16>(1)), bits_of(low));
}

TEST_F(AieCore, push_moves_every_element_up) {
    aie::vector<int16, 8> v(1, 2, 3, 4, 5, 6, 7, 8);
    v.push(9);
    EXPECT_EQ(v[0], 9);
    EXPECT_EQ(v[1], 1);
    EXPECT_EQ(v[7], 7);
}

TEST_F(AieCore, what_nobody_wrote_is_not_a_number) {
    EXPECT_TRUE(std::isnan(aie::vector<float, 16>()[5]));
    EXPECT_TRUE(std::isnan(static_cast<float>(aie::vector<bfloat16, 16>().grow<32>()[31])));
    EXPECT_TRUE(std::isnan(aie::accum<accfloat, 16>().to_vector<float>()[0]));
}

TEST_F(AieCore, memory_keeps_vectors_and_refuses_unaligned_addresses) {
    alignas(aie::vector_decl_align) float memory[33] = {};
    const auto v = draw_vector<aie::vector<float, 16>>(50);
    EXPECT_EQ(aie::store_v(memory + 8, v), memory + 8);
    EXPECT_EQ(bits_of(aie::load_v<16>(memory + 8)), bits_of(v));
    aie::store_unaligned_v(memory + 3, v);
    EXPECT_EQ(bits_of(aie::load_unaligned_v<16>(memory + 3)), bits_of(v));
    EXPECT_EQ(aie::load_v<4>(memory + 4)[0], v[1]);
    EXPECT_DEATH(static_cast<void>(aie::load_v<16>(memory + 4)), "unaligned address");
    EXPECT_DEATH(static_cast<void>(v.extract<8>(2)), "no such part");
}

TEST_F(AieCore, packing_follows_the_saturation_mode) {
    const aie::vector<int16, 16> v(300, -300, 127, -128, -129);
    EXPECT_EQ(v.pack()[0], 300 - 256);
    aie::set_saturation(aie::saturation_mode::saturate);
    EXPECT_EQ(v.pack()[0], 127);
    EXPECT_EQ(v.pack()[1], -128);
    EXPECT_EQ(v.pack().unpack()[3], -128);
    aie::tile::current().set_saturation(aie::saturation_mode::symmetric);
    EXPECT_EQ(v.pack()[3], -127);
}

// The nearest multiples of 2^16 below and above, and the one the mode's name says, in double.
double rounded(double value, rounding_mode mode) {
    const double below = std::floor(value);
    const double above = std::ceil(value);
    const double inner = value < 0 ? above : below;
    const double outer = value < 0 ? below : above;
    const double even = std::fmod(below, 2) == 0 ? below : above;
    const auto nearest = [&](double tie) {
        return value - below < above - value ? below : (value - below > above - value ? above : tie);
    };
    switch (mode) {
        case rounding_mode::floor:
            return below;
        case rounding_mode::ceil:
            return above;
        case rounding_mode::symmetric_floor:
            return inner;
        case rounding_mode::symmetric_ceil:
            return outer;
        case rounding_mode::negative_inf:
            return nearest(below);
        case rounding_mode::positive_inf:
            return nearest(above);
        case rounding_mode::symmetric_zero:
            return nearest(inner);
        case rounding_mode::symmetric_inf:
            return nearest(outer);
        case rounding_mode::conv_even:
            return nearest(even);
        case rounding_mode::conv_odd:
            return nearest(below + above - even);
    }
    return 0;
}

// Magnitudes of fp32 count up with their bits, so that rounding the bits / 2^16 rounds the number.
TEST_F(AieCore, every_bf16_and_its_neighbours_round_as_the_mode_says) {
    constexpr std::uint32_t offsets[] = {0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF};
    for (const rounding_mode mode : all_modes) {
        aie::set_rounding(mode);
        for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
            for (const std::uint32_t offset : offsets) {
                const std::uint32_t bits = upper << 16 | offset;
                const bfloat16 result(std::bit_cast<float>(bits));
                if ((bits & 0x7FFFFFFF) > 0x7F800000) {
                    ASSERT_TRUE(std::isnan(static_cast<float>(result)));
                    continue;
                }
                const double sign = bits >> 31 != 0 ? -1 : 1;
                const double units = sign * static_cast<double>(bits & 0x7FFFFFFF) / 65536;
                const double magnitude = std::abs(rounded(units, mode));
                ASSERT_EQ(result.bits, static_cast<std::uint32_t>(magnitude) | (bits >> 16 & 0x8000))
                    << std::hex << bits << " in mode " << static_cast<unsigned>(mode);
            }
        }
    }
}

TEST_F(AieCore, accumulators_shift_out_as_the_mode_says) {
    for (const rounding_mode mode : all_modes) {
        aie::set_rounding(mode);
        for (int value = -70; value <= 70; ++value) {
            const aie::vector<int32, 8> v(value);
            const aie::accum<acc64, 8> acc(v, 1);
            EXPECT_EQ(acc.to_vector<int32>(4)[0], rounded(value / 8.0, mode));
        }
    }
    aie::set_rounding(rounding_mode::floor);
    const aie::accum<acc64, 8> negative(aie::vector<int32, 8>(-1));
    EXPECT_EQ(negative.to_vector<int32>(70)[0], -1);
}

TEST_F(AieCore, the_order_of_the_products_of_a_vmac_does_not_matter) {
    for (const unsigned spread : {4U, 30U, 120U}) {
        for (int round = 0; round < 300; ++round) {
            std::array<std::uint16_t, 8> a;
            std::array<std::uint16_t, 8> b;
            std::generate(a.begin(), a.end(), [&] { return draw(spread); });
            std::generate(b.begin(), b.end(), [&] { return draw(spread); });
            const float acc = draw_vector<v16float>(spread)[0];
            const float sum = vmac_of(acc, a, b);
            std::array<unsigned, 8> order = {0, 1, 2, 3, 4, 5, 6, 7};
            std::shuffle(order.begin(), order.end(), engine_);
            std::array<std::uint16_t, 8> c;
            std::array<std::uint16_t, 8> d;
            for (unsigned k = 0; k < 8; ++k) {
                c[k] = b[order[k]];  // also the factors change places
                d[k] = a[order[k]];
            }
            ASSERT_EQ(bits_of(vmac_of(acc, c, d)), bits_of(sum));
        }
    }
}

// Cases of FIM43-Redeye/xdna-emu bf16_pipeline.rs.
TEST_F(AieCore, a_vmac_gives_the_published_results) {
    constexpr std::uint16_t one = 0x3F80;
    std::array<std::uint16_t, 8> ones;
    ones.fill(one);
    EXPECT_EQ(vmac_of(0, ones, ones), 8.0F);
    std::array<std::uint16_t, 8> tiny;
    tiny.fill(0x0080);
    EXPECT_EQ(bits_of(vmac_of(0, tiny, tiny)), 0U);
    EXPECT_EQ(bits_of(vmac_of(0, {0xEBD7, 0xB13B, 0x4F6C, 0x8D21, 0x6080, 0x39C6, 0x107E, 0xD6A6},
                              {0x0802, 0x7B38, 0x6983, 0x2273, 0x33A8, 0x1130, 0xE493, 0x18EC})),
              0x797187FFU);
    EXPECT_EQ(bits_of(vmac_of(0, {}, {0x7F80})), 0x7F800001U) << "0 * infinity";
    EXPECT_EQ(bits_of(vmac_of(0, {0x7F80, 0xFF80}, ones)) & 0x7F800001U, 0x7F800001U)
        << "infinity - infinity";
    EXPECT_EQ(bits_of(vmac_of(std::bit_cast<float>(0xFFC12345U), {}, ones)), 0xFFC12345U) << "NaN + 0";
    EXPECT_EQ(bits_of(vmac_of(1, {0xFF80}, ones)), 0xFF800000U);
    EXPECT_EQ(bits_of(vmac_of(-0.0F, {}, {})), 0U);
    // Aligned to 2^0 the small one is 0.375 of the grid 2^-23 and lost; IEEE 754 would take half of it.
    EXPECT_EQ(vmac_of(1.0F, {0xB340}, {one}), 1.0F);
}

TEST_F(AieCore, the_fast_path_ends_where_it_says) {
    for (const unsigned exponent : {22U, 23U, 24U, 25U, 250U, 251U, 252U, 253U, 254U}) {
        for (int round = 0; round < 50; ++round) {
            const auto mantissas = static_cast<std::uint32_t>(engine_());
            const float acc = std::bit_cast<float>(exponent << 23 | (mantissas & 0x7FFFFF));
            const std::uint16_t a[1] = {static_cast<std::uint16_t>(exponent << 7 | mantissas >> 25)};
            const std::uint16_t b[1] = {static_cast<std::uint16_t>(0xBF80 | (mantissas >> 18 & 0x7F))};
            const float exact = aie::detail::vmac_exact(acc, a, 1, b, 1, 1);
            ASSERT_EQ(bits_of(vmac_of(acc, {a[0]}, {b[0]})), bits_of(exact));
            const float negative = -std::bit_cast<float>(bits_of(acc) ^ 0x3);
            ASSERT_EQ(bits_of(vadd(acc, negative)), bits_of(aie::detail::vadd_exact(acc, negative)));
        }
    }
}

TEST_F(AieCore, the_adder_commutes_and_agrees_with_itself_in_vectors) {
    for (const unsigned spread : {2U, 26U, 60U, 250U}) {
        const auto a = draw_vector<v16float>(spread);
        const auto b = draw_vector<v16float>(spread);
        const aie::accum<accfloat, 16> sum = aie::add(aie::accum<accfloat, 16>(a), b);
        EXPECT_EQ(bits_of(aie::add(b, a)), bits_of(sum.to_vector<float>()));
        for (unsigned i = 0; i < 16; ++i) {
            EXPECT_EQ(bits_of(sum.to_vector<float>()[i]), bits_of(aie::detail::vadd_exact(a[i], b[i])));
            EXPECT_EQ(bits_of(vadd(b[i], a[i])), bits_of(aie::detail::vadd_exact(a[i], b[i])));
        }
    }
}

TEST_F(AieCore, the_adder_is_not_that_of_ieee_754) {
    const float small = 0x1.8p-25F;
    EXPECT_NE(1.0F - small, 1.0F);
    EXPECT_EQ(vadd(1.0F, -small), 1.0F);
    EXPECT_EQ(bits_of(vadd(-0.0F, -0.0F)), 0U);
    EXPECT_EQ(bits_of(vadd(0x1.8p-126F, -0x1.0p-126F)), 0U);
    EXPECT_EQ(bits_of(vadd(-0x1.8p-126F, 0x1.0p-126F)), 0x80000000U) << "underflow keeps the sign";
}

TEST(AieVector, converts_to_another_element_by_its_bits) {
    const auto floats = aie::broadcast<float, 8>(1.0F);
    const aie::vector<bfloat16, 16> halves(floats);
    EXPECT_EQ(halves[0].bits, 0x0000);
    EXPECT_EQ(halves[1].bits, 0x3F80);
    const aie::vector<float, 8> back(halves);
    EXPECT_EQ(back[7], 1.0F);
}

}  // namespace
