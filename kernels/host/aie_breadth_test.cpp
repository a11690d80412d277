// The part of the host's AIE API that moves, compares and reduces lanes, and walks memory: against plain
// loops and, where fp32 sums are concerned, against a model of the adder in double. Lookups and elementary
// functions: aie_lookup_test.cpp.
#include <aie_kernel_utils.h>
#include <aie_api/aie.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bitset>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace {

template <typename T>
T numbered(unsigned i) {
    return static_cast<T>(i);
}

// Lanes 0, 1, 2 ... from `first`.
template <typename V>
V counting(unsigned first = 0) {
    V v;
    for (unsigned i = 0; i < V::size(); ++i) {
        v.set(numbered<typename V::value_type>(first + i), i);
    }
    return v;
}

template <typename V>
std::vector<unsigned> lanes_of(const V& v) {
    std::vector<unsigned> lanes;
    for (unsigned i = 0; i < V::size(); ++i) {
        lanes.push_back(static_cast<unsigned>(static_cast<float>(v.get(i))));
    }
    return lanes;
}

template <typename V>
class AieShuffle : public testing::Test {};
using Vectors = testing::Types<aie::vector<bfloat16, 16>, aie::vector<bfloat16, 32>, aie::vector<float, 16>,
                               aie::vector<int32, 8>, aie::vector<int16, 32>, aie::vector<uint8, 64>>;
TYPED_TEST_SUITE(AieShuffle, Vectors);

TYPED_TEST(AieShuffle, moves_undo_each_other) {
    const auto v = counting<TypeParam>(1);
    const auto w = counting<TypeParam>(1 + TypeParam::size());
    EXPECT_EQ(lanes_of(aie::reverse(aie::reverse(v))), lanes_of(v));
    for (unsigned n = 0; n <= TypeParam::size(); ++n) {
        EXPECT_EQ(lanes_of(aie::shuffle_down_rotate(aie::shuffle_up_rotate(v, n), n)), lanes_of(v));
        EXPECT_EQ(lanes_of(aie::shuffle_up_rotate(v, n)),
                  lanes_of(aie::shuffle_down_rotate(v, TypeParam::size() - n)));
    }
    for (unsigned rows = 1; rows <= TypeParam::size(); rows *= 2) {
        const unsigned columns = TypeParam::size() / rows;
        EXPECT_EQ(lanes_of(aie::transpose(aie::transpose(v, rows, columns), columns, rows)), lanes_of(v));
    }
    for (unsigned chunk = 1; chunk <= TypeParam::size(); chunk *= 2) {
        const auto [low, high] = aie::interleave_zip(v, w, chunk);
        const auto [even, odd] = aie::interleave_unzip(low, high, chunk);
        EXPECT_EQ(lanes_of(even), lanes_of(v));
        EXPECT_EQ(lanes_of(odd), lanes_of(w));
    }
    const auto both = aie::concat(v, w);
    EXPECT_EQ(lanes_of(both.template extract<TypeParam::size()>(0)), lanes_of(v));
    EXPECT_EQ(lanes_of(both.template extract<TypeParam::size()>(1)), lanes_of(w));
    EXPECT_EQ(lanes_of(aie::concat(std::pair(v, w))), lanes_of(both));
}

TYPED_TEST(AieShuffle, every_lane_comes_from_where_the_guide_says) {
    constexpr unsigned size = TypeParam::size();
    const auto v = counting<TypeParam>();
    const auto fill = counting<TypeParam>(size);
    for (unsigned n = 0; n <= size; ++n) {
        const auto up = lanes_of(aie::shuffle_up_fill(v, fill, n));
        const auto up_repeated = lanes_of(aie::shuffle_up_replicate(v, n));
        const auto down = lanes_of(aie::shuffle_down_fill(v, fill, n));
        const auto down_repeated = lanes_of(aie::shuffle_down_replicate(v, n));
        for (unsigned i = 0; i < size; ++i) {
            EXPECT_EQ(up[i], i < n ? 2 * size - n + i : i - n);
            EXPECT_EQ(down[i], i + n);  // fill goes on counting
            EXPECT_EQ(up_repeated[i], i < n ? 0 : i - n);
            EXPECT_EQ(down_repeated[i], std::min(i + n, size - 1));
        }
    }
    for (unsigned i = 0; i + 3 < size; ++i) {
        EXPECT_EQ(lanes_of(aie::shuffle_down(v, 3))[i], i + 3);
        EXPECT_EQ(lanes_of(aie::shuffle_up(v, 3))[i + 3], i);
        EXPECT_EQ(lanes_of(aie::reverse(v))[i], size - 1 - i);
    }
    for (unsigned chunk = 1; chunk < size; chunk *= 2) {
        const auto [even, odd] = aie::interleave_unzip(v, fill, chunk);
        EXPECT_EQ(lanes_of(aie::filter_even(v, chunk)), lanes_of(even.template extract<size / 2>(0)));
        EXPECT_EQ(lanes_of(aie::filter_odd(v, chunk)), lanes_of(odd.template extract<size / 2>(0)));
    }
}

TEST(AieShuffleExample, matches_the_guide) {
    const auto v = counting<aie::vector<int32, 8>>();
    const auto w = counting<aie::vector<int32, 8>>(10);
    using testing::ElementsAre;
    EXPECT_THAT(lanes_of(aie::transpose(v, 2, 4)), ElementsAre(0, 4, 1, 5, 2, 6, 3, 7));
    EXPECT_THAT(lanes_of(aie::interleave_zip(v, w, 1).first), ElementsAre(0, 10, 1, 11, 2, 12, 3, 13));
    EXPECT_THAT(lanes_of(aie::interleave_zip(v, w, 2).second), ElementsAre(4, 5, 14, 15, 6, 7, 16, 17));
    EXPECT_THAT(lanes_of(aie::filter_even(v)), ElementsAre(0, 2, 4, 6));
    EXPECT_THAT(lanes_of(aie::filter_odd(v, 2)), ElementsAre(2, 3, 6, 7));
}

TEST(AieShuffleExample, a_shift_of_bytes_takes_the_second_vector_behind_the_first) {
    const auto v = counting<v16int32>();
    EXPECT_EQ(lanes_of(shift_bytes(v, v, 8)), lanes_of(aie::shuffle_down_rotate(v, 2)));
}

template <typename Number>
class AieMask : public testing::Test {};
template <unsigned N>
using Lanes = std::integral_constant<unsigned, N>;
using MaskSizes = testing::Types<Lanes<8>, Lanes<16>, Lanes<32>, Lanes<64>, Lanes<128>>;
TYPED_TEST_SUITE(AieMask, MaskSizes);

TYPED_TEST(AieMask, behaves_as_a_set_of_bits) {
    constexpr unsigned size = TypeParam::value;
    std::mt19937 random(1);
    for (int trial = 0; trial < 50; ++trial) {
        std::bitset<size> a;
        std::bitset<size> b;
        aie::mask<size> x;
        aie::mask<size> y(true);
        EXPECT_TRUE(x.empty() && y.full());
        for (unsigned i = 0; i < size; ++i) {
            a[i] = random() % 3 == 0;
            b[i] = random() % 2 == 0;
            a[i] ? x.set(i) : x.clear(i);
            b[i] ? y.set(i) : y.clear(i);
        }
        const auto is = [](const aie::mask<size>& m, const std::bitset<size>& bits) {
            for (unsigned i = 0; i < size; ++i) {
                if (m.test(i) != bits[i]) {
                    return false;
                }
            }
            return m.count() == bits.count() && m.empty() == bits.none() && m.full() == bits.all();
        };
        EXPECT_TRUE(is(x & y, a & b) && is(x | y, a | b) && is(x ^ y, a ^ b) && is(~x, ~a));
        for (unsigned n = 0; n <= size; n += 1 + size / 16) {
            EXPECT_TRUE(is(x << n, a << n) && is(x >> n, a >> n)) << n;
        }
        EXPECT_EQ(aie::mask<size>(x), x);
        EXPECT_EQ(x.clz() == size, a.none());
        EXPECT_TRUE(a.none() || (a[size - 1 - x.clz()] && a[x.ctz()]));
        EXPECT_TRUE(a.none() || ((a >> (size - x.clz())).none() && (a << (size - x.ctz())).none()));
        const auto halves =
            aie::mask<size>::from_masks(x.template extract<size / 2>(0), x.template extract<size / 2>(1));
        EXPECT_EQ(halves, x);
        EXPECT_EQ(
            y.template insert<size / 2>(1, x.template extract<size / 2>(1)).template extract<size / 2>(1),
            x.template extract<size / 2>(1));
    }
}

TEST(AieMaskExample, words_hold_the_lowest_lanes_first) {
    EXPECT_EQ(aie::mask<16>::from_uint32(0xABCD1234U).to_uint32(), 0x1234U);
    const auto m = aie::mask<64>::from_uint64(0x8000000000000002U);
    EXPECT_TRUE(m.test(1) && m.test(63));
    EXPECT_EQ(m, aie::mask<64>::from_uint32(2U, 0x80000000U));
    EXPECT_EQ(m.to_uint64(), 0x8000000000000002U);
    EXPECT_EQ(m.clz(), 0U);
    EXPECT_EQ(m.ctz(), 1U);
}

// Numbers of every kind, denormals apart.
std::vector<float> samples() {
    const float infinity = std::numeric_limits<float>::infinity();
    std::vector<float> all = {0.0F,
                              -0.0F,
                              1.0F,
                              -1.0F,
                              1.0078125F,
                              0x1p-126F,
                              -0x1p-126F,
                              0x1.FEp127F,
                              infinity,
                              -infinity,
                              std::numeric_limits<float>::quiet_NaN()};
    std::mt19937 random(2);
    while (all.size() < 40) {
        const auto bits = static_cast<std::uint16_t>(random());
        const auto value = static_cast<float>(bfloat16::from_bits(bits));
        if (std::isnormal(value)) {
            all.push_back(value);
        }
    }
    return all;
}

template <typename T, unsigned N>
void expect_comparisons(float a, float b) {
    const auto x = aie::detail::spread<T, N>(static_cast<T>(a));
    const auto y = aie::detail::spread<T, N>(static_cast<T>(b));
    EXPECT_EQ(aie::lt(x, y), aie::mask<N>(a < b)) << a << ' ' << b;
    EXPECT_EQ(aie::le(x, y), aie::mask<N>(a <= b)) << a << ' ' << b;
    EXPECT_EQ(aie::gt(x, y), aie::mask<N>(a > b)) << a << ' ' << b;
    EXPECT_EQ(aie::ge(x, y), aie::mask<N>(a >= b)) << a << ' ' << b;
    EXPECT_EQ(aie::eq(x, y), aie::mask<N>(a == b)) << a << ' ' << b;
    EXPECT_EQ(aie::neq(x, y), aie::mask<N>(a < b || b < a)) << a << ' ' << b;
    EXPECT_EQ(aie::lt(x, static_cast<T>(b)), aie::lt(x, y));
    EXPECT_EQ(aie::ge(static_cast<T>(a), y), aie::ge(x, y));
    EXPECT_EQ(aie::le(static_cast<T>(a), y), aie::le(x, y));
    EXPECT_EQ(aie::gt(x, static_cast<T>(b)), aie::gt(x, y));
    EXPECT_EQ(aie::eq(static_cast<T>(a), y), aie::eq(x, static_cast<T>(b)));
    EXPECT_EQ(aie::neq(static_cast<T>(a), y), aie::neq(x, static_cast<T>(b)));
}

TEST(AieCompare, orders_as_ieee_754_but_a_nan_is_not_even_unequal) {
    for (const float a : samples()) {
        for (const float b : samples()) {
            expect_comparisons<bfloat16, 32>(a, b);
            expect_comparisons<float, 16>(a, b);
        }
    }
}

TEST(AieCompare, the_limits_of_bf16_bound_every_finite_number) {
    using Limits = std::numeric_limits<bfloat16>;
    EXPECT_EQ(static_cast<float>(Limits::lowest()), -0x1.FEp127F);
    EXPECT_EQ(static_cast<float>(Limits::max()), 0x1.FEp127F);
    EXPECT_EQ(static_cast<float>(Limits::min()), 0x1p-126F);
    EXPECT_EQ(static_cast<float>(Limits::epsilon()), 0x1p-7F);
    EXPECT_TRUE(std::isinf(static_cast<float>(Limits::infinity())));
    EXPECT_TRUE(std::isnan(static_cast<float>(Limits::quiet_NaN())));
}

TEST(AieCompare, integers_compare_by_their_sign) {
    const auto low = aie::detail::spread<int16, 16>(int16{-1});
    EXPECT_TRUE(aie::lt(low, int16{1}).full());
    EXPECT_TRUE(aie::lt(low.cast_to<uint16>(), uint16{1}).empty());
    EXPECT_TRUE(aie::equal(low, low));
    EXPECT_TRUE(aie::not_equal(low, aie::max(low, int16{0})));
}

template <typename T, unsigned N>
std::pair<float, float> max_min(float a, float b) {
    const auto x = aie::detail::spread<T, N>(static_cast<T>(a));
    return {static_cast<float>(aie::max(x, static_cast<T>(b))[N - 1]),
            static_cast<float>(aie::min(x, static_cast<T>(b))[N - 1])};
}

TEST(AieMaxMin, give_the_extremes_and_the_first_operand_for_a_nan) {
    const auto same = [](float a, float b) {
        return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
    };
    for (const float a : samples()) {
        for (const float b : samples()) {
            const bool is_nan = std::isnan(a) || std::isnan(b);
            const bool b_above = a < b || (a == b && std::signbit(a) && !std::signbit(b));
            const float largest = !is_nan && b_above ? b : a;
            const float smallest = is_nan || b_above ? a : b;
            for (const auto& [high, low] : {max_min<bfloat16, 32>(a, b), max_min<float, 16>(a, b)}) {
                EXPECT_TRUE(same(high, largest)) << a << ' ' << b << ' ' << high;
                EXPECT_TRUE(same(low, smallest)) << a << ' ' << b << ' ' << low;
            }
        }
    }
}

TEST(AieSelect, takes_the_second_where_the_mask_is_set) {
    const auto a = counting<v16bfloat16>();
    const auto b = counting<v16bfloat16>(100);
    const auto m = aie::mask<16>::from_uint32(0x8001U);
    const auto out = lanes_of(aie::select(a, b, m));
    const auto with_number = lanes_of(aie::select(a, bfloat16(100.0F), m));
    const auto of_number = lanes_of(aie::select(bfloat16(7.0F), b, m));
    for (unsigned i = 0; i < 16; ++i) {
        const bool set = i == 0 || i == 15;
        EXPECT_EQ(out[i], set ? 100 + i : i);
        EXPECT_EQ(with_number[i], set ? 100 : i);
        EXPECT_EQ(of_number[i], set ? 100 + i : 7);
    }
}

TEST(AieBits, combine_integers) {
    const auto v = aie::detail::spread<uint8, 32>(uint8{0x3C});
    EXPECT_EQ(aie::bit_and(v, aie::detail::spread<uint8, 32>(uint8{0x0F}))[31], 0x0C);
    EXPECT_EQ(aie::bit_or(uint8{0x81}, v)[0], 0xBD);
    EXPECT_EQ(aie::bit_xor(uint8{0xFF}, v)[0], 0xC3);
    EXPECT_EQ(aie::bit_not(v)[5], 0xC3);
}

// What one pass of the adder gives: every term rounded to nearest even on the grid 23 bits below the largest
// exponent, the exact sum, rounded to nearest even. Terms and result must be normal or zero.
float model_sum(const std::vector<float>& terms) {
    int largest = -200;
    for (const float term : terms) {
        largest = term == 0 ? largest : std::max(largest, std::ilogb(term));
    }
    double sum = 0;
    for (const float term : terms) {
        sum += std::nearbyint(std::ldexp(static_cast<double>(term), 23 - largest));
    }
    return static_cast<float>(std::ldexp(sum, largest - 23));
}

template <typename T, unsigned N>
aie::vector<T, N> random_vector(unsigned seed) {
    std::mt19937 random(seed);
    aie::vector<T, N> v;
    for (unsigned i = 0; i < N; ++i) {
        const float mantissa = static_cast<float>(random() % 0xFFFFFF) / 0x1p23F - 1.0F;
        v.set(static_cast<T>(std::ldexp(mantissa, static_cast<int>(random() % 20))), i);
    }
    return v;
}

// The published order for fp32: registers of 16 lanes first, then halves.
template <unsigned N>
float model_tree(const aie::vector<float, N>& v) {
    std::vector<float> lanes(v.host_data(), v.host_data() + N);
    if constexpr (N == 32) {
        for (unsigned i = 0; i < 16; ++i) {
            lanes[i] = model_sum({lanes[i], lanes[i + 16]});
        }
    } else if constexpr (N == 64) {
        for (unsigned i = 0; i < 16; ++i) {
            lanes[i] =
                model_sum({model_sum({lanes[i], lanes[i + 16]}), model_sum({lanes[i + 32], lanes[i + 48]})});
        }
    }
    for (unsigned half = std::min(N, 16U) / 2; half > 0; half /= 2) {
        for (unsigned i = 0; i < half; ++i) {
            lanes[i] = model_sum({lanes[i], lanes[i + half]});
        }
    }
    return lanes[0];
}

template <unsigned N>
float model_bf16_sum(const aie::vector<bfloat16, N>& v) {
    std::array<float, 4> sums{};
    for (unsigned first = 0; first < N; first += 8) {
        std::vector<float> terms = {sums[first / 8 % 4]};
        for (unsigned i = 0; i < 8; ++i) {
            terms.push_back(static_cast<float>(v[first + i]));
        }
        sums[first / 8 % 4] = model_sum(terms);
    }
    if (N == 8) {
        return sums[0];
    }
    return N == 16 ? model_sum({sums[0], sums[1]})
                   : model_sum({model_sum({sums[0], sums[2]}), model_sum({sums[1], sums[3]})});
}

TEST(AieReduceAdd, adds_in_the_published_order_on_the_published_adder) {
    unsigned differing = 0;
    for (unsigned seed = 0; seed < 200; ++seed) {
        const auto v64 = random_vector<float, 64>(seed);
        const auto v16 = v64.extract<16>(1);
        EXPECT_EQ(aie::reduce_add(v64), model_tree(v64));
        EXPECT_EQ(aie::reduce_add(v64.extract<32>(0)), model_tree(v64.extract<32>(0)));
        EXPECT_EQ(aie::reduce_add(v16), model_tree(v16));
        EXPECT_EQ(aie::reduce_add(v16.extract<8>(1)), model_tree(v16.extract<8>(1)));
        differing +=
            aie::reduce_add(v16) != std::accumulate(v16.host_data(), v16.host_data() + 16, 0.0F) ? 1U : 0U;
    }
    EXPECT_GT(differing, 50U) << "the samples do not tell the order apart";
}

TEST(AieReduceAdd, sums_bf16_by_vmacs_and_rounds_once_by_the_mode_in_force) {
    for (const auto mode : {aie::rounding_mode::floor, aie::rounding_mode::conv_even}) {
        for (unsigned seed = 0; seed < 200; ++seed) {
            aie::set_rounding(aie::rounding_mode::floor);
            const auto v64 = random_vector<bfloat16, 64>(seed);
            aie::set_rounding(mode);
            EXPECT_EQ(aie::reduce_add(v64).bits, bfloat16(model_bf16_sum(v64)).bits);
            const auto v32 = v64.extract<32>(1);
            EXPECT_EQ(aie::reduce_add(v32).bits, bfloat16(model_bf16_sum(v32)).bits);
            const auto v16 = v64.extract<16>(1);
            EXPECT_EQ(aie::reduce_add(v16).bits, bfloat16(model_bf16_sum(v16)).bits);
            const auto v8 = v64.extract<8>(1);
            EXPECT_EQ(aie::reduce_add(v8).bits, bfloat16(model_bf16_sum(v8)).bits);
        }
    }
    aie::detail::reset_core();
}

// What is left of large opposite numbers shows the order of the last additions past the rounding to bf16.
TEST(AieReduceAdd, adds_the_four_sums_of_bf16_crosswise) {
    const auto sum_of = [](float a, float b, float c, float d) {
        auto v = aie::zeros<bfloat16, 32>();
        v.set(bfloat16(a), 0);
        v.set(bfloat16(b), 8);
        v.set(bfloat16(c), 16);
        v.set(bfloat16(d), 24);
        return static_cast<float>(aie::reduce_add(v));
    };
    EXPECT_EQ(sum_of(0x1p30F, 1, -0x1p30F, 1), 2.0F);
    EXPECT_EQ(sum_of(0x1p30F, -0x1p30F, 1, 1), 0.0F);
}

TEST(AieReduce, finds_extremes_and_sums_of_integers) {
    std::mt19937 random(3);
    for (int trial = 0; trial < 50; ++trial) {
        aie::vector<int16, 64> v;
        int sum = 0;
        for (unsigned i = 0; i < 64; ++i) {
            v.set(static_cast<int16>(random() % 1000 - 500), i);
            sum += v[i];
        }
        EXPECT_EQ(aie::reduce_max(v), *std::max_element(v.host_data(), v.host_data() + 64));
        EXPECT_EQ(aie::reduce_min(v), *std::min_element(v.host_data(), v.host_data() + 64));
        EXPECT_EQ(aie::reduce_add(v), sum);
        const auto f = random_vector<float, 32>(static_cast<unsigned>(trial));
        EXPECT_EQ(aie::reduce_max(f), *std::max_element(f.host_data(), f.host_data() + 32));
        EXPECT_EQ(aie::reduce_min(f), *std::min_element(f.host_data(), f.host_data() + 32));
        EXPECT_EQ(aie::reduce_add_v(f, f)[1], aie::reduce_add(f));
    }
}

TEST(AieIterator, walks_an_array_vector_by_vector) {
    alignas(64) std::array<bfloat16, 64> memory{};
    for (unsigned i = 0; i < 64; ++i) {
        memory[i] = bfloat16(i);
    }
    auto in = aie::cbegin_restrict_vector<16>(memory.data());
    auto out = aie::begin_vector<16>(memory.data());
    AIE_PREPARE_FOR_PIPELINING
    AIE_LOOP_RANGE(4, 4)
    for (int i = 0; i < 4; ++i)
        chess_prepare_for_pipelining chess_loop_range(4, ) {
            const aie::vector<bfloat16, 16> v = *in++;
            *out++ = aie::max(v, bfloat16(20.0F));
        }
    for (unsigned i = 0; i < 64; ++i) {
        EXPECT_EQ(static_cast<unsigned>(static_cast<float>(memory[i])), std::max(i, 20U));
    }
    EXPECT_EQ(in - aie::cbegin_vector<16>(memory.data()), 4);
    in -= 2;
    EXPECT_EQ(static_cast<float>((*in)[3]), 35.0F);
    EXPECT_EQ(static_cast<float>(in[1].get(0)), 48.0F);
    EXPECT_EQ(static_cast<float>(in->get(1)), 33.0F);
    *aie::begin_vector<16>(memory.data()) = *(aie::begin_vector<16>(memory.data()) + 3);
    EXPECT_EQ(static_cast<float>(memory[15]), 63.0F);
}

TEST(AieIterator, a_circular_one_returns_to_the_begin) {
    alignas(64) std::array<int32, 24> memory{};
    std::iota(memory.begin(), memory.end(), 0);
    auto it = aie::cbegin_vector_circular<8>(memory.data(), memory.size());
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ((*it++)[0], i % 3 * 8);
    }
    EXPECT_EQ((*(it - 2))[0], 16);
}

TEST(AieIterator, only_the_unaligned_one_takes_any_address) {
    alignas(64) std::array<int32, 40> memory{};
    std::iota(memory.begin(), memory.end(), 0);
    EXPECT_EQ((*aie::cbegin_unaligned_vector<16>(memory.data() + 1))[0], 1);
    *aie::begin_unaligned_vector<16>(memory.data() + 3) = aie::detail::spread<int32, 16>(-1);
    EXPECT_THAT(std::vector<int>(memory.begin() + 2, memory.begin() + 5), testing::ElementsAre(2, -1, -1));
    EXPECT_EQ(memory[19], 19);
    EXPECT_DEATH(static_cast<void>(*aie::cbegin_vector<16>(memory.data() + 1)), "unaligned");
}

}  // namespace
