// The array's kernels on the host, but for softmax and attention: each against a plain loop in double within
// a bound derived from its rounding points, bit for bit where the data make it exact.
#include <gtest/gtest.h>

#include "kernels/aie2/aie2_kernels_test.hpp"

namespace kernels::aie2_test {
namespace {

using Multiply = void (*)(const bfloat16*, const bfloat16*, float*);
using MultiplyHalves = void (*)(const bfloat16*, const bfloat16*, bfloat16*);

struct Product {
    Multiply multiply;
    MultiplyHalves even;
    MultiplyHalves floor;
    Layout right;  // where element (k, n) lies
};
const Product products[] = {
    {matmul_tile, matmul_tile_bf16_even, matmul_tile_bf16_floor, blocked<8, 4>},
    {matmul_tile_nk, matmul_tile_nk_bf16_even, matmul_tile_nk_bf16_floor,
     [](int k, int n) { return blocked<4, 8>(n, k); }},
};

// sum over k of a[i, k] b[k, j], and of the magnitudes.
struct Dot {
    double sum;
    double magnitude;
};
Dot dot(Halves& a, Halves& b, Layout right, int i, int j) {
    Dot result{0, 0};
    for (int k = 0; k < tile; ++k) {
        const double product = static_cast<double>(value_of(a[blocked<4, 8>(i, k)])) *
                               static_cast<double>(value_of(b[right(k, j)]));
        result.sum += product;
        result.magnitude += std::abs(product);
    }
    return result;
}

// Integers whose sums stay below 2^24: every addition is exact, so every bit is known.
TEST(Matmul, OfIntegersIsExact) {
    for (const Product& product : products) {
        Halves a(integer_tile(1, -128, 128));
        Halves b(integer_tile(2, -128, 128));
        Floats c(static_cast<std::size_t>(tile_size));
        for (int i = 0; i < tile_size; ++i) {
            c[static_cast<std::size_t>(i)] = static_cast<float>(i * 37 - 70000);
        }
        std::vector<float> start(c.data(), c.data() + tile_size);
        product.multiply(a.data(), b.data(), c.data());
        for (int i = 0; i < tile; ++i) {
            for (int j = 0; j < tile; ++j) {
                const std::size_t at = blocked<4, 4>(i, j);
                ASSERT_EQ(static_cast<double>(c[at]),
                          static_cast<double>(start[at]) + dot(a, b, product.right, i, j).sum)
                    << i << ", " << j;
            }
        }
        EXPECT_TRUE(c.intact());
    }
}

// One 1 in a and one in b: they meet in c[i, j] if their k agree, and nowhere else.
TEST(Matmul, PicksTheElementOfItsLayout) {
    std::mt19937 engine(3);
    std::uniform_int_distribution<int> index(0, tile - 1);
    for (const Product& product : products) {
        for (int sample = 0; sample < 200; ++sample) {
            const int i = index(engine);
            const int j = index(engine);
            const int k = index(engine);
            const int other = sample % 4 == 0 ? (k + 1 + sample % (tile - 1)) % tile : k;
            Halves a(tile_size);
            Halves b(tile_size);
            Floats c(tile_size);
            a[blocked<4, 8>(i, k)] = exactly(2.0F);
            b[product.right(other, j)] = exactly(3.0F);
            product.multiply(a.data(), b.data(), c.data());
            for (int at = 0; at < tile_size; ++at) {
                const bool meets = other == k && static_cast<std::size_t>(at) == blocked<4, 4>(i, j);
                ASSERT_EQ(c[static_cast<std::size_t>(at)], meets ? 6.0F : 0.0F);
            }
        }
    }
}

// 2^30 - 2^30 + 1 by the order of k: 1 where the large ones meet first, 0 where the 1 is lost beside one of
// them. Eight k meet in one VMAC, which rounds the 1 away too.
TEST(Matmul, AddsEightAscendingKAtATime) {
    struct Case {
        int up;
        int down;
        int one;
        float expected;
    };
    const Case cases[] = {{0, 8, 16, 1.0F},  {16, 8, 0, 0.0F}, {0, 16, 8, 0.0F},  {56, 48, 63, 0.0F},
                          {8, 15, 16, 1.0F}, {8, 15, 7, 0.0F}, {8, 15, 12, 0.0F}, {7, 8, 9, 0.0F}};
    for (const Product& product : products) {
        for (const Case& at : cases) {
            Halves a(tile_size);
            Halves b(tile_size);
            Floats c(tile_size);
            for (const int k : {at.up, at.down, at.one}) {
                const float sign = k == at.down ? -1.0F : 1.0F;
                a[blocked<4, 8>(50, k)] = exactly(k == at.one ? 1.0F : sign * 0x1p15F);
                b[product.right(k, 29)] = exactly(k == at.one ? 1.0F : 0x1p15F);
            }
            product.multiply(a.data(), b.data(), c.data());
            ASSERT_EQ((c[blocked<4, 4>(50, 29)]), at.expected) << at.up << " " << at.down << " " << at.one;
        }
    }
}

// Per VMAC: nine addends are rounded on the grid 2^-23 of the largest, the sum once more; eight VMACs.
TEST(Matmul, StaysWithinTheBoundOfItsVmacs) {
    for (const Product& product : products) {
        Halves a(normal_tile(4));
        Halves b(normal_tile(5, 0.1F));
        Floats c(normal_floats(6, tile_size));
        std::vector<float> start(c.data(), c.data() + tile_size);
        product.multiply(a.data(), b.data(), c.data());
        for (int i = 0; i < tile; ++i) {
            for (int j = 0; j < tile; ++j) {
                const std::size_t at = blocked<4, 4>(i, j);
                const Dot exact = dot(a, b, product.right, i, j);
                const double magnitude = exact.magnitude + std::abs(static_cast<double>(start[at]));
                ASSERT_NEAR(static_cast<double>(c[at]), static_cast<double>(start[at]) + exact.sum,
                            8 * 5.5 * 0x1p-23 * magnitude);
            }
        }
    }
}

// bf16 c: that of the fp32 kernel from the same start, rounded once per call, in every call.
TEST(Matmul, OfHalvesRoundsOncePerCall) {
    for (const Product& product : products) {
        Halves a(normal_tile(7));
        Halves b(normal_tile(8));
        Halves even(normal_tile(9));
        Halves floored(normal_tile(9));
        for (int call = 0; call < 3; ++call) {
            StoreStatistics of_even;
            StoreStatistics of_floor;
            Floats wide_even(tile_size);
            Floats wide_floored(tile_size);
            for (std::size_t at = 0; at < tile_size; ++at) {
                wide_even[at] = value_of(even[at]);
                wide_floored[at] = value_of(floored[at]);
            }
            product.multiply(a.data(), b.data(), wide_even.data());
            product.multiply(a.data(), b.data(), wide_floored.data());
            product.even(a.data(), b.data(), even.data());
            product.floor(a.data(), b.data(), floored.data());
            for (std::size_t at = 0; at < tile_size; ++at) {
                of_even.add(even[at], static_cast<double>(wide_even[at]));
                of_floor.add(floored[at], static_cast<double>(wide_floored[at]));
            }
            EXPECT_TRUE(of_even.looks_even(0)) << of_even.mean();
            EXPECT_TRUE(of_floor.looks_floored(0)) << of_floor.mean();
        }
        EXPECT_TRUE(even.intact());
        EXPECT_TRUE(floored.intact());
        EXPECT_EQ(aie::get_rounding(), aie::rounding_mode::floor);
    }
}

TEST(Store, StartsWithBiasOrZero) {
    Halves bias(tile);
    for (int j = 0; j < tile; ++j) {
        bias[static_cast<std::size_t>(j)] = exactly(static_cast<float>(j - 20));
    }
    Floats c(tile_size, 5.0F);
    start_tile(bias.data(), c.data());
    for (int i = 0; i < tile; ++i) {
        for (int j = 0; j < tile; ++j) {
            ASSERT_EQ((c[blocked<4, 4>(i, j)]), static_cast<float>(j - 20));
        }
    }
    zero_tile(c.data());
    EXPECT_TRUE(std::all_of(c.data(), c.data() + tile_size,
                            [](float x) { return std::bit_cast<std::uint32_t>(x) == 0; }));
    EXPECT_TRUE(c.intact());
}

TEST(Store, RoundsTheScaledSumAsItsNameSays) {
    for (const float scale : {1.0F, 0.125F, 4.0F}) {
        Floats c(normal_floats(10, tile_size));
        Halves even(tile_size);
        Halves floored(tile_size);
        store_tile_even(c.data(), scale, even.data());
        store_tile_floor(c.data(), scale, floored.data());
        StoreStatistics of_even;
        StoreStatistics of_floor;
        for (std::size_t at = 0; at < tile_size; ++at) {
            of_even.add(even[at], static_cast<double>(scale) * static_cast<double>(c[at]));
            of_floor.add(floored[at], static_cast<double>(scale) * static_cast<double>(c[at]));
        }
        EXPECT_TRUE(of_even.looks_even(0)) << of_even.mean();
        EXPECT_TRUE(of_floor.looks_floored(0)) << of_floor.mean();
        EXPECT_TRUE(even.intact() && floored.intact());
    }
    EXPECT_EQ(aie::get_rounding(), aie::rounding_mode::floor);
}

// Exact but where the product leaves the normal numbers: there 0 or infinite, of its sign.
TEST(Store, ScalesExactly) {
    constexpr float smallest = std::numeric_limits<float>::min();
    constexpr float largest = std::numeric_limits<float>::max();
    for (const float scale : {1.0F, 0.125F, -0.125F, 1024.0F, 0x1p-126F, -0x1p127F}) {
        std::vector<float> values = normal_floats(11, tile_size);
        for (int exponent = -60; exponent < 60; ++exponent) {
            const auto at = static_cast<std::size_t>(4 * (exponent + 60));
            values[at] = std::nextafter(std::ldexp(1.0F, exponent), 0.0F);
            values[at + 1] = -values[at];
            values[at + 2] = std::nextafter(std::ldexp(-1.0F, exponent), -infinity);
        }
        values[1] = infinity;
        values[2] = -infinity;
        values[3] = not_a_number;
        const std::vector<float> ends{0.0F, -0.0F, smallest, -smallest, 8 * smallest, largest, -largest};
        std::ranges::copy(ends, values.begin() + 1000);
        Floats c(values);
        scale_tile(c.data(), scale);
        for (std::size_t at = 0; at < tile_size; ++at) {
            if (std::isnan(values[at])) {
                ASSERT_TRUE(std::isnan(c[at]));
            } else {
                const double product = double{values[at]} * double{scale};
                const double expected = std::abs(product) < double{smallest} ? 0
                                        : std::abs(product) > double{largest}
                                            ? std::copysign(HUGE_VAL, product)
                                            : product;
                ASSERT_EQ(double{c[at]}, expected) << values[at] << ' ' << scale;
                ASSERT_EQ(std::signbit(c[at]), std::signbit(values[at]) != std::signbit(scale));
            }
        }
        EXPECT_TRUE(c.intact());
    }
}

TEST(BiasScale, RoundsOnceAsItsNameSays) {
    constexpr int rows = 32;
    constexpr int columns = 48;
    Floats x(normal_floats(12, rows * columns));
    const std::vector<bfloat16> drawn = normal_tile(13);
    Halves bias(std::vector<bfloat16>(drawn.begin(), drawn.begin() + columns));
    for (const float scale : {1.0F, 0.125F}) {
        Halves even(rows * columns);
        Halves floored(rows * columns);
        bias_scale_even(x.data(), bias.data(), scale, rows, columns, even.data());
        bias_scale_floor(x.data(), bias.data(), scale, rows, columns, floored.data());
        StoreStatistics of_even;
        StoreStatistics of_floor;
        for (std::size_t at = 0; at < rows * columns; ++at) {
            const double sum = static_cast<double>(x[at]) + static_cast<double>(value_of(bias[at % columns]));
            if (std::abs(sum) > 0.125) {  // where cancellation does not enlarge the adder's error
                of_even.add(even[at], static_cast<double>(scale) * sum);
                of_floor.add(floored[at], static_cast<double>(scale) * sum);
            }
        }
        EXPECT_TRUE(of_even.looks_even(0x1p-10)) << of_even.mean();
        EXPECT_TRUE(of_floor.looks_floored(0x1p-10)) << of_floor.mean();
        EXPECT_TRUE(even.intact() && floored.intact());
    }
}

// Among them a row far from zero, one of zeros, one below epsilon, and a NaN that stays in its row.
TEST(LayerNorm, StaysWithinItsBound) {
    constexpr int rows = 24;
    constexpr int columns = 512;
    std::vector<float> values = normal_floats(14, rows * columns, 3.0F);
    for (std::size_t at = 0; at < columns; ++at) {
        values[columns + at] += 20.0F;
        values[2 * columns + at] = 0.0F;
        values[3 * columns + at] = at % 2 == 0 ? 1e-4F : -1e-4F;
    }
    values[4 * columns + 7] = not_a_number;
    Floats x(values);
    Halves gamma(columns);
    Halves beta(columns);
    const std::vector<bfloat16> drawn = normal_tile(15);
    for (std::size_t at = 0; at < columns; ++at) {
        gamma[at] = drawn[at];
        beta[at] = drawn[columns + at];
    }
    Halves even(rows * columns);
    Halves floored(rows * columns);
    layer_norm_rows_even(x.data(), gamma.data(), beta.data(), rows, columns, even.data());
    layer_norm_rows_floor(x.data(), gamma.data(), beta.data(), rows, columns, floored.data());
    EXPECT_TRUE(even.intact() && floored.intact());
    StoreStatistics of_even;
    StoreStatistics of_floor;
    for (std::size_t row = 0; row < rows; ++row) {
        const float* input = &values[row * columns];
        double mean = 0;
        double magnitude = 0;
        double variance = 0;
        for (std::size_t at = 0; at < columns; ++at) {
            mean += static_cast<double>(input[at]) / columns;
            magnitude += std::abs(static_cast<double>(input[at])) / columns;
        }
        for (std::size_t at = 0; at < columns; ++at) {
            variance += std::pow(static_cast<double>(input[at]) - mean, 2) / columns;
        }
        const double relative = (columns / 16 + 8) * 0x1p-23 * (1 + magnitude / std::sqrt(variance + 1e-5));
        for (std::size_t at = 0; at < columns; ++at) {
            const std::size_t i = row * columns + at;
            if (row == 4) {
                ASSERT_TRUE(std::isnan(value_of(even[i])));
                continue;
            }
            const double scaled = (static_cast<double>(input[at]) - mean) / std::sqrt(variance + 1e-5) *
                                  static_cast<double>(value_of(gamma[at]));
            const double shift = static_cast<double>(value_of(beta[at]));
            const double exact = scaled + shift;
            const double before_store = relative * (std::abs(scaled) + std::abs(shift) +
                                                    std::abs(static_cast<double>(value_of(gamma[at]))));
            ASSERT_NEAR(static_cast<double>(value_of(even[i])), exact, before_store + 0.5 * step_at(exact));
            ASSERT_LE(static_cast<double>(value_of(floored[i])), exact + before_store);
            ASSERT_GE(static_cast<double>(value_of(floored[i])), exact - before_store - step_at(exact));
            if (std::abs(exact) > 0.125 && row > 4) {
                of_even.add(even[i], exact);
                of_floor.add(floored[i], exact);
            }
        }
    }
    EXPECT_NEAR(of_even.mean(), 0.0, 0.05);
    EXPECT_NEAR(of_floor.mean(), -0.5, 0.05);
}

double exact_gelu(double x) {
    return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
}

// All finite bf16: 2^-11 max(|gelu|, 2^-8) before the store.
TEST(Gelu, StaysWithinItsBoundForEveryBf16) {
    constexpr std::size_t count = 65536;
    Floats x(count);
    for (std::size_t bits = 0; bits < count; ++bits) {
        x[bits] = std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
    }
    Halves even(count);
    Halves floored(count);
    gelu_even(x.data(), count, even.data());
    gelu_floor(x.data(), count, floored.data());
    for (std::size_t i = 0; i < count; ++i) {
        const float at = x[i];
        if (std::isnan(at)) {
            ASSERT_TRUE(std::isnan(value_of(even[i])) && std::isnan(value_of(floored[i])));
            continue;
        }
        if (std::isinf(at)) {
            ASSERT_EQ(value_of(even[i]), at > 0 ? infinity : 0.0F);
            continue;
        }
        const double exact = exact_gelu(static_cast<double>(at));
        const double before_store = 0x1p-11 * std::max(std::abs(exact), 0x1p-8);
        ASSERT_NEAR(static_cast<double>(value_of(even[i])), exact, before_store + 0.5 * step_at(exact)) << at;
        ASSERT_LE(static_cast<double>(value_of(floored[i])), exact + before_store) << at;
        ASSERT_GE(static_cast<double>(value_of(floored[i])), exact - before_store - 1.01 * step_at(exact))
            << at;
    }
    EXPECT_EQ(bits_of(even[0]), 0);
    EXPECT_TRUE(even.intact() && floored.intact());
}

// fp32 inputs between bf16 numbers count: the input is not rounded first.
TEST(Gelu, RoundsOnceAsItsNameSays) {
    Floats x(normal_floats(16, tile_size, 2.0F));
    Halves even(tile_size);
    Halves floored(tile_size);
    gelu_even(x.data(), tile_size, even.data());
    gelu_floor(x.data(), tile_size, floored.data());
    StoreStatistics of_even;
    StoreStatistics of_floor;
    for (std::size_t at = 0; at < tile_size; ++at) {
        const double exact = exact_gelu(static_cast<double>(x[at]));
        if (std::abs(exact) > 0x1p-5) {
            of_even.add(even[at], exact);
            of_floor.add(floored[at], exact);
        }
    }
    EXPECT_TRUE(of_even.looks_even(0x1p-2)) << of_even.mean();
    EXPECT_TRUE(of_floor.looks_floored(0x1p-2)) << of_floor.mean();
}

}  // namespace
}  // namespace kernels::aie2_test
