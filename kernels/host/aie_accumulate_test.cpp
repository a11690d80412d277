// aie::accumulate against the integer model of the VMAC, two terms at a time, and, for integers, against
// plain sums; and a matrix by vector product written with it, as public kernels write it.
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

#include "kernels/host/vmac_model_test.hpp"

namespace kernels::host {
namespace {

template <typename V>
V random_vector(std::mt19937& random, int spread) {
    V v;
    for (unsigned i = 0; i < V::size(); ++i) {
        const double fraction = std::uniform_real_distribution<double>(-2, 2)(random);
        const int exponent = std::uniform_int_distribution<int>(-spread, spread)(random);
        v.set(static_cast<typename V::value_type>(static_cast<float>(std::ldexp(fraction, exponent))), i);
    }
    return v;
}

// The sum of one lane: VMACs of two terms, the last of one where the number is odd.
std::uint32_t model_lane(std::uint32_t acc, const std::vector<std::uint16_t>& coeff,
                         const std::vector<std::uint16_t>& data) {
    for (std::size_t k = 0; k < data.size(); k += 2) {
        model::Operands a{data[k]};
        model::Operands b{coeff[k]};
        if (k + 1 < data.size()) {
            a[1] = data[k + 1];
            b[1] = coeff[k + 1];
        }
        acc = model::vmac(acc, a, b).bits;
    }
    return acc;
}

std::uint32_t bits_of(float value) {
    return std::bit_cast<std::uint32_t>(value);
}

template <unsigned lanes, std::size_t terms>
void expect_pairs_of_terms(std::mt19937& random, int spread) {
    using Data = aie::vector<bfloat16, lanes>;
    constexpr unsigned start = 3;
    const auto coeff = random_vector<aie::vector<bfloat16, 16>>(random, spread);
    std::array<Data, terms> data;
    std::ranges::generate(data, [&] { return random_vector<Data>(random, spread); });
    const aie::accum<accfloat, lanes> before(random_vector<aie::vector<float, lanes>>(random, spread));

    const auto sum = aie::accumulate<lanes>(before, coeff, start, data);
    const auto from_zero = aie::accumulate<lanes>(coeff, start, data);
    static_assert(std::same_as<decltype(from_zero), const aie::accum<accfloat, lanes>>);
    for (unsigned i = 0; i < lanes; ++i) {
        std::vector<std::uint16_t> factors;
        std::vector<std::uint16_t> values;
        for (std::size_t k = 0; k < terms; ++k) {
            factors.push_back(coeff.get(start + static_cast<unsigned>(k)).bits);
            values.push_back(data[k].get(i).bits);
        }
        const float old = before.template to_vector<float>().get(i);
        ASSERT_EQ(bits_of(sum.template to_vector<float>().get(i)), model_lane(bits_of(old), factors, values))
            << lanes << " lanes, " << terms << " terms, lane " << i;
        ASSERT_EQ(bits_of(from_zero.template to_vector<float>().get(i)), model_lane(0, factors, values));
    }
}

TEST(AieAccumulate, adds_two_terms_at_a_time_as_the_model_of_the_vmac) {
    std::mt19937 random(7);
    for (int trial = 0; trial < 200; ++trial) {
        const int spread = trial % 25;  // the wider, the more the alignment loses
        expect_pairs_of_terms<8, 8>(random, spread);
        expect_pairs_of_terms<16, 1>(random, spread);
        expect_pairs_of_terms<16, 2>(random, spread);
        expect_pairs_of_terms<16, 7>(random, spread);
        expect_pairs_of_terms<32, 8>(random, spread);
        expect_pairs_of_terms<64, 3>(random, spread);
    }
}

// 2^24 - 1 + 2 + 1 is a number of fp32, but 2^24 - 1 + 2 is not.
TEST(AieAccumulate, is_not_a_chain_of_macs) {
    const auto weights = aie::broadcast<bfloat16, 16>(1.0F);
    const auto ones = aie::broadcast<bfloat16, 16>(1.0F);
    const auto twos = aie::broadcast<bfloat16, 16>(2.0F);
    const aie::accum<accfloat, 16> before(aie::broadcast<float, 16>(0x1p24F - 1));
    const auto together = aie::accumulate<16>(before, weights, 0, twos, ones).to_vector<float>();
    const auto apart = aie::mac(aie::mac(before, twos, weights), ones, weights).to_vector<float>();
    EXPECT_EQ(together.get(5), 0x1p24F + 2);
    EXPECT_EQ(apart.get(5), 0x1p24F);
}

template <typename Coeff, typename Data, typename Tag, typename Wide>
void expect_plain_sums(std::mt19937& random) {
    constexpr unsigned lanes = 16;
    const auto draw = [&]<typename T>(T) {
        std::uniform_int_distribution<std::int64_t> any(std::numeric_limits<T>::min(),
                                                        std::numeric_limits<T>::max());
        return static_cast<T>(any(random));
    };
    aie::vector<Coeff, 16> coeff;
    std::array<aie::vector<Data, lanes>, 5> data;
    aie::accum<Tag, lanes> before = aie::zeros<Tag, lanes>();
    for (unsigned i = 0; i < lanes; ++i) {
        coeff.set(draw(Coeff{}), i);
        before.host_data()[i] = static_cast<Wide>(i);
        for (auto& vector : data) {
            vector.set(draw(Data{}), i);
        }
    }
    const auto sum = aie::accumulate<lanes>(before, coeff, 11, data);
    const auto listed =
        aie::accumulate<lanes>(before, coeff, 11, data[0], data[1], data[2], data[3], data[4]);
    for (unsigned i = 0; i < lanes; ++i) {
        auto expected = static_cast<std::uint64_t>(i);
        for (unsigned k = 0; k < data.size(); ++k) {
            expected += static_cast<std::uint64_t>(std::int64_t{coeff.get(11 + k)}) *
                        static_cast<std::uint64_t>(std::int64_t{data[k].get(i)});
        }
        ASSERT_EQ(sum.host_data()[i], static_cast<Wide>(expected));
        ASSERT_EQ(listed.host_data()[i], static_cast<Wide>(expected));
    }
}

TEST(AieAccumulate, of_integers_is_their_sum) {
    std::mt19937 random(8);
    for (int trial = 0; trial < 100; ++trial) {
        expect_plain_sums<std::int8_t, std::int8_t, acc32, std::int32_t>(random);
        expect_plain_sums<std::int16_t, std::int16_t, acc32, std::int32_t>(random);
        expect_plain_sums<std::int16_t, std::int16_t, acc64, std::int64_t>(random);
        expect_plain_sums<std::int32_t, std::int16_t, acc64, std::int64_t>(random);
    }
}

// c = A b with A in columns of 16 rows: eight columns at a time, their weights the lanes of one vector.
TEST(AieAccumulate, makes_a_matrix_by_vector_product) {
    constexpr unsigned rows = 16;
    constexpr unsigned columns = 64;
    std::mt19937 random(9);
    std::vector<aie::vector<bfloat16, rows>> a(columns);
    std::ranges::generate(a, [&] { return random_vector<aie::vector<bfloat16, rows>>(random, 0); });
    const auto b = random_vector<aie::vector<bfloat16, columns>>(random, 0);
    auto c = aie::zeros<accfloat, rows>();
    for (unsigned k = 0; k < columns; k += 8) {
        c = aie::accumulate<rows>(c, b.extract<8>(k / 8), 0, a[k], a[k + 1], a[k + 2], a[k + 3], a[k + 4],
                                  a[k + 5], a[k + 6], a[k + 7]);
    }
    const auto got = c.to_vector<float>();
    for (unsigned i = 0; i < rows; ++i) {
        double expected = 0;
        double magnitude = 0;
        for (unsigned k = 0; k < columns; ++k) {
            const double product = double{float{a[k].get(i)}} * double{float{b.get(k)}};
            expected += product;
            magnitude += std::abs(product);
        }
        EXPECT_NEAR(got.get(i), expected, 32 * 4 * 0x1p-24 * magnitude);
    }
}

TEST(AieAccumulateDeathTest, stops_where_the_coefficients_end) {
    const auto coeff = aie::broadcast<bfloat16, 8>(1.0F);
    const auto data = aie::broadcast<bfloat16, 16>(1.0F);
    EXPECT_NO_FATAL_FAILURE(aie::accumulate<16>(coeff, 6, data, data));
    EXPECT_DEATH(aie::accumulate<16>(coeff, 7, data, data), "the coefficients end before the data");
}

}  // namespace
}  // namespace kernels::host
