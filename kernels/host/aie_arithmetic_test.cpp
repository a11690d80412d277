// Elementwise arithmetic, mmul and conversions of the host's AIE API, from the adder and the VMAC that
// aie_core_test.cpp tests.
#include <aie_api/aie.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace {

using aie::rounding_mode;

class AieArithmetic : public testing::Test {
protected:
    void TearDown() override { aie::detail::reset_core(); }
    std::mt19937 engine_{21};

    template <typename V>
    V normal_vector(float deviation = 1) {
        std::normal_distribution<float> normal(0, deviation);
        V v;
        for (unsigned i = 0; i < V::size(); ++i) {
            v[i] = normal(engine_);
        }
        return v;
    }
};

template <typename T, unsigned N>
std::vector<std::uint32_t> bits_of(const aie::vector<T, N>& v) {
    std::vector<std::uint32_t> bits;
    for (unsigned i = 0; i < N; ++i) {
        bits.push_back(std::bit_cast<std::uint32_t>(static_cast<float>(v.get(i))));
    }
    return bits;
}
template <typename Tag, unsigned N>
std::vector<std::uint32_t> bits_of(const aie::accum<Tag, N>& acc) {
    return bits_of(acc.template to_vector<float>());
}

template <typename V>
class AieBf16 : public AieArithmetic {};
using Widths = testing::Types<aie::vector<bfloat16, 8>, aie::vector<bfloat16, 16>, aie::vector<bfloat16, 32>,
                              aie::vector<bfloat16, 64>>;
TYPED_TEST_SUITE(AieBf16, Widths);

TYPED_TEST(AieBf16, products_are_exact_and_signs_are_signs) {
    constexpr unsigned size = TypeParam::size();
    const auto a = this->template normal_vector<TypeParam>();
    const auto b = this->template normal_vector<TypeParam>();
    const auto product = aie::mul(a, b).template to_vector<float>();
    for (unsigned i = 0; i < size; ++i) {
        EXPECT_EQ(product[i], float{a.get(i)} * float{b.get(i)});
        EXPECT_EQ(aie::add(a, b).get(i).bits,
                  bfloat16(aie::detail::vadd(float{a.get(i)}, float{b.get(i)})).bits);
    }
    EXPECT_EQ(bits_of(aie::negmul(a, b)), bits_of(aie::neg(product)));
    EXPECT_EQ(bits_of(aie::mul(a, a.get(0))), bits_of(aie::mul(aie::broadcast<bfloat16, size>(a.get(0)), a)));
    const aie::accum<accfloat, size> acc(b);
    EXPECT_EQ(bits_of(aie::mac(acc, a, a)), bits_of(aie::msc(acc, aie::neg(a), a)));
    EXPECT_EQ(bits_of(aie::mac(aie::zeros<accfloat, size>(), a, b)), bits_of(product));
    EXPECT_EQ(bits_of(aie::sub(acc, acc)), bits_of(aie::zeros<float, size>()));
    EXPECT_EQ(bits_of(aie::sub(a, b)), bits_of(aie::add(a, aie::neg(b))));
    EXPECT_EQ(bits_of(aie::abs(a)), bits_of(aie::abs(aie::neg(a))));
}

TEST_F(AieArithmetic, a_sum_returns_by_the_rounding_mode) {
    const aie::vector<bfloat16, 16> one = aie::broadcast<bfloat16, 16>(1.0F);
    const aie::vector<bfloat16, 16> small = aie::broadcast<bfloat16, 16>(0x1.8p-8F);
    EXPECT_EQ(float{aie::add(one, small).get(0)}, 1.0F);
    aie::set_rounding(rounding_mode::conv_even);
    EXPECT_EQ(float{aie::add(one, small).get(0)}, 1.0F + 0x1p-7F);
    EXPECT_EQ(float{aie::sub(aie::neg(one), small).get(15)}, -1.0F - 0x1p-7F);
}

// The emulation leaves a few units of 2^-23, and nothing where bf16 holds one operand's square root of it.
TEST_F(AieArithmetic, fp32_products_are_close_and_exact_where_bf16_would_be) {
    for (const rounding_mode mode : {rounding_mode::floor, rounding_mode::conv_even}) {
        aie::set_rounding(mode);
        const auto a = normal_vector<v16float>();
        const auto b = normal_vector<v16float>(1000);
        const auto c = normal_vector<v16float>(1000);
        const auto product = aie::mul(a, b).to_vector<float>();
        const auto sum = aie::mac(aie::accum<accfloat, 16>(c), a, b).to_vector<float>();
        const auto rest = aie::msc(aie::accum<accfloat, 16>(c), a, b).to_vector<float>();
        for (unsigned i = 0; i < 16; ++i) {
            const double exact = static_cast<double>(a.get(i)) * static_cast<double>(b.get(i));
            const double unit = (std::abs(exact) + std::abs(static_cast<double>(c.get(i)))) * 0x1p-23;
            EXPECT_NEAR(static_cast<double>(product.get(i)), exact, std::abs(exact) * 0x1p-21);
            EXPECT_NEAR(static_cast<double>(sum.get(i)), static_cast<double>(c.get(i)) + exact, 4 * unit);
            EXPECT_NEAR(static_cast<double>(rest.get(i)), static_cast<double>(c.get(i)) - exact, 4 * unit);
        }
        EXPECT_EQ(bits_of(aie::negmul(a, b)), bits_of(aie::neg(product)));
        EXPECT_EQ(bits_of(aie::mul(a, 0.5F))[3], std::bit_cast<std::uint32_t>(a.get(3) * 0.5F));
    }
}

// A part is what the mode in force leaves: under floor the parts of +x and -x differ, under conv_even not.
TEST_F(AieArithmetic, fp32_operands_are_split_by_the_mode_in_force) {
    alignas(64) float values[16];
    std::fill_n(values, 16, -0x1.000002p0F);
    const aie::detail::FloatParts floored(values);
    EXPECT_EQ(float{floored.part[0][0]}, -0x1.02p0F);
    aie::set_rounding(rounding_mode::conv_even);
    const aie::detail::FloatParts even(values);
    EXPECT_EQ(float{even.part[0][0]}, -1.0F);
    EXPECT_EQ(float{even.part[1][0]}, -0x1p-23F);
    EXPECT_EQ(float{even.part[2][0]}, 0.0F);
}

TEST_F(AieArithmetic, integers_wrap_and_widen) {
    const aie::vector<int16, 16> v(32767, -32768, 5);
    EXPECT_EQ(aie::add(v, v)[0], -2);
    EXPECT_EQ(aie::sub(int16{0}, v)[1], -32768);
    EXPECT_EQ(aie::abs(v)[1], -32768);
    EXPECT_EQ((aie::mul(v, v).to_vector<int32>()[1]), 1 << 30);
    EXPECT_EQ((aie::mac(aie::mul(v, v), v, int16{2}).to_vector<int32>()[2]), 35);
    const aie::vector<int32, 16> wide(1 << 30);
    EXPECT_EQ(aie::mul(wide, wide).to_vector<int32>(31)[0], 1 << 29);
    EXPECT_EQ(aie::neg(aie::accum<acc32, 16>(v)).to_vector<int16>()[2], -5);
}

TEST_F(AieArithmetic, negating_an_accumulator_flushes) {
    const v16float v(1.0F, 0x1p-130F, std::numeric_limits<float>::quiet_NaN(), -0.0F);
    const auto bits = bits_of(aie::neg(aie::accum<accfloat, 16>(v)));
    EXPECT_EQ(bits[0], 0xBF800000U);
    EXPECT_EQ(bits[1], 0x80000000U);
    EXPECT_EQ(bits[2], 0x7F800001U);
    EXPECT_EQ(bits[3], 0U);
}

// A block of 4x4 out of M x N, of 4x8 out of M x 8, of 8x4 out of 8 x N.
template <unsigned Rows, unsigned Columns, typename T, unsigned Width, unsigned N>
aie::vector<T, Rows * Columns> block(const aie::vector<T, N>& v, unsigned row, unsigned column) {
    aie::vector<T, Rows * Columns> part;
    for (unsigned i = 0; i < Rows; ++i) {
        for (unsigned j = 0; j < Columns; ++j) {
            part[i * Columns + j] = v.get((row + i) * Width + column + j);
        }
    }
    return part;
}

template <typename Shape>
class AieMmul : public AieArithmetic {};
using Shapes = testing::Types<aie::mmul<4, 8, 4, bfloat16>, aie::mmul<8, 8, 4, bfloat16, bfloat16, accfloat>,
                              aie::mmul<4, 8, 8, bfloat16>, aie::mmul<8, 8, 8, bfloat16, bfloat16, accauto>>;
TYPED_TEST_SUITE(AieMmul, Shapes);

TYPED_TEST(AieMmul, is_made_of_4x8x4) {
    using Shape = TypeParam;
    using Piece = aie::mmul<4, 8, 4, bfloat16>;
    const auto c = this->template normal_vector<aie::vector<float, Shape::size_C>>();
    Shape whole(c);
    std::vector<Piece> pieces;
    for (unsigned at = 0; at < Shape::size_C / 16; ++at) {
        pieces.emplace_back(
            block<4, 4, float, Shape::N>(c, at / (Shape::N / 4) * 4, at % (Shape::N / 4) * 4));
    }
    for (int step = 0; step < 3; ++step) {
        const auto a = this->template normal_vector<typename Shape::vector_A_type>();
        const auto b = this->template normal_vector<typename Shape::vector_B_type>();
        whole.mac(a, b);
        for (unsigned at = 0; at < pieces.size(); ++at) {
            pieces[at].mac(block<4, 8, bfloat16, 8>(a, at / (Shape::N / 4) * 4, 0),
                           block<8, 4, bfloat16, Shape::N>(b, 0, at % (Shape::N / 4) * 4));
        }
    }
    const auto result = whole.template to_vector<float>();
    for (unsigned at = 0; at < pieces.size(); ++at) {
        EXPECT_EQ(
            bits_of(block<4, 4, float, Shape::N>(result, at / (Shape::N / 4) * 4, at % (Shape::N / 4) * 4)),
            bits_of(pieces[at].template to_vector<float>()));
    }
    EXPECT_EQ(bits_of(Shape(whole.to_accum()).template to_vector<float>()), bits_of(result));
}

// Each element is one VMAC, also where one lane has left the fast path: here an infinity, a denormal.
TEST_F(AieArithmetic, every_element_of_4x8x4_is_one_vmac) {
    constexpr std::uint16_t specials[] = {0x0000, 0x7F80, 0x0001, 0x7F00, 0x8003};
    for (const std::uint16_t special : specials) {
        auto a = normal_vector<v32bfloat16>();
        const auto b = normal_vector<v32bfloat16>();
        const auto c = normal_vector<v16float>();
        a[13] = bfloat16::from_bits(special);
        aie::mmul<4, 8, 4, bfloat16> product(c);
        product.mac(a, b);
        for (unsigned i = 0; i < 16; ++i) {
            std::uint16_t left[8];
            std::uint16_t right[8];
            for (unsigned k = 0; k < 8; ++k) {
                left[k] = a.get(i / 4 * 8 + k).bits;
                right[k] = b.get(k * 4 + i % 4).bits;
            }
            EXPECT_EQ(bits_of(product.to_vector<float>())[i],
                      std::bit_cast<std::uint32_t>(aie::detail::vmac_exact(c.get(i), left, 1, right, 1, 8)));
        }
    }
}

TEST_F(AieArithmetic, mmul_begins_at_zero_and_stores_by_the_mode) {
    const auto a = normal_vector<v32bfloat16>();
    const auto b = normal_vector<v32bfloat16>();
    aie::mmul<4, 8, 4, bfloat16> fresh;
    fresh.mac(a, b);
    aie::mmul<4, 8, 4, bfloat16> used(normal_vector<v16float>());
    used.mul(a, b);
    EXPECT_EQ(bits_of(fresh.to_vector<float>()), bits_of(used.to_vector<float>()));
    const aie::accum<accfloat, 16> acc = used;
    EXPECT_EQ(bits_of(used.to_vector<bfloat16>()), bits_of(acc.to_vector<bfloat16>()));
    aie::set_rounding(rounding_mode::ceil);
    EXPECT_EQ(bits_of(used.to_vector<bfloat16>()), bits_of(acc.to_vector<bfloat16>()));
}

TEST_F(AieArithmetic, mmul_8x1x8_is_the_outer_product) {
    const auto a = normal_vector<v8bfloat16>();
    const auto b = normal_vector<v8bfloat16>();
    aie::mmul<8, 1, 8, bfloat16> outer;
    const auto c = outer.mac(a, b).to_vector<float>();
    for (unsigned i = 0; i < 64; ++i) {
        EXPECT_EQ(c.get(i), float{a.get(i / 8)} * float{b.get(i % 8)});
    }
}

TEST_F(AieArithmetic, fixed_point_rounds_to_nearest_and_comes_back) {
    std::uniform_real_distribution<float> uniform(-30000, 30000);
    for (int round = 0; round < 100; ++round) {
        v16float v;
        for (unsigned i = 0; i < 16; ++i) {
            v[i] = uniform(engine_);
        }
        const auto whole = aie::to_fixed<int32>(v);
        const auto fine = aie::to_fixed<int32>(v, 8);
        const auto narrow = aie::to_fixed<int16>(v);
        const auto back = aie::to_float(fine, 8);
        for (unsigned i = 0; i < 16; ++i) {
            EXPECT_EQ(whole[i], std::nearbyint(v[i]));
            EXPECT_EQ(narrow[i], std::nearbyint(v[i]));
            EXPECT_EQ(fine[i], std::nearbyint(v[i] * 256));
            EXPECT_EQ(back[i], static_cast<float>(fine[i]) / 256);
        }
    }
    EXPECT_EQ(aie::to_fixed<int16>(v16float(1e6F))[0], 32767);
    EXPECT_EQ(aie::to_fixed_floor<int16>(v16bfloat16(bfloat16(-0.25F)), 1)[0], -1);
    EXPECT_EQ(aie::to_float(aie::vector<int16, 16>(-32768, 77), 3)[1], 77.0F / 8);
    EXPECT_EQ(aie::to_float(aie::vector<int32, 16>(-2147483647 - 1))[0], -0x1p31F);
}

}  // namespace
