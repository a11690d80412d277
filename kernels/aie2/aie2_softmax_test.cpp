// Softmax and fused attention of the array's kernels on the host: the exponential against
// kernels::exp_difference bit for bit, everything else against loops in double that use those very
// exponentials, within bounds derived from the rounding points; padding, empty and poisoned rows exactly.
#include <gtest/gtest.h>

#include <array>

#include "kernels/aie2/aie2_kernels_test.hpp"
#include "kernels/aie2/exp.h"
#include "kernels/exp_table.hpp"

namespace kernels::aie2_test {
namespace {

constexpr double adder = 0x1p-23;  // an addition, a multiplication by a bf16: relative to the largest term
constexpr int key_counts[] = {0, 1, 17, 63, 64};

float device_exp(float s, float m) {
    const auto e = aie2::exp_difference(aie::broadcast<float, 16>(s), aie::broadcast<float, 16>(m));
    return value_of(e.get(5));
}

testing::AssertionResult same_exp(float s, float m) {
    const float got = device_exp(s, m);
    const float expected = kernels::exp_difference(s, m);
    if ((std::isnan(got) && std::isnan(expected)) ||
        std::bit_cast<std::uint32_t>(got) == std::bit_cast<std::uint32_t>(expected)) {
        return testing::AssertionSuccess();
    }
    return testing::AssertionFailure()
           << "exp(" << s << " - " << m << "): " << got << ", expected " << expected;
}

// Every bf16 difference but the denormal ones, which the adder flushes.
TEST(ExpDifference, EqualsTheTableForEveryDifference) {
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
        const float s = std::bit_cast<float>(bits << 16);
        if (s == 0 || !(std::abs(s) < 0x1p-126F)) {
            ASSERT_TRUE(same_exp(s, 0.0F));
        }
    }
    std::mt19937 engine(1);
    std::uniform_real_distribution<float> exponent(-30.0F, 8.0F);
    for (int sample = 0; sample < 50000; ++sample) {  // fp32 differences: their conversion rounds
        ASSERT_TRUE(same_exp(-std::exp2(exponent(engine)), 0.0F));
    }
}

TEST(ExpDifference, SubtractsAndKnowsNoGreaterScore) {
    std::mt19937 engine(2);
    std::uniform_int_distribution<int> grid(-100000, 100000);
    for (int sample = 0; sample < 20000; ++sample) {
        const float a = static_cast<float>(grid(engine)) / 512.0F;
        const float b = static_cast<float>(grid(engine)) / 512.0F;
        ASSERT_TRUE(same_exp(std::min(a, b), std::max(a, b)));
        ASSERT_TRUE(a == b || std::isnan(device_exp(std::max(a, b), std::min(a, b))));
    }
    for (const float m : {1.0F, -3.0F, infinity, -infinity, not_a_number}) {
        for (const float s : {1.0F, -3.0F, infinity, -infinity, not_a_number, -not_a_number}) {
            ASSERT_TRUE(same_exp(s, m));
        }
    }
}

// The state of both kernels, row by row in double; exact maxima and exponentials.
struct Model {
    std::array<float, tile> row_max;
    std::array<double, tile> row_sum{};
    std::vector<double> context = std::vector<double>(tile_size);    // [row, channel]
    std::vector<double> magnitude = std::vector<double>(tile_size);  // of what context sums
    std::vector<float> e = std::vector<float>(tile_size);            // of the last update
    double updates = 0;

    Model() { row_max.fill(-infinity); }

    void update(const std::vector<float>& scores, int keys, const std::vector<double>* value) {
        ++updates;
        for (int i = 0; i < tile; ++i) {
            const auto row = static_cast<std::size_t>(i);
            const float previous = row_max[row];
            for (int j = 0; j < keys; ++j) {
                row_max[row] = std::max(row_max[row], scores[row_major(i, j)]);
            }
            const float m = row_max[row];
            const double factor =
                m == previous ? 1.0 : static_cast<double>(kernels::exp_difference(previous, m));
            row_sum[row] *= factor;
            for (int c = 0; c < tile; ++c) {
                context[row_major(i, c)] *= factor;
                magnitude[row_major(i, c)] *= factor;
            }
            for (int j = 0; j < tile; ++j) {
                const float exponential =
                    j < keys ? kernels::exp_difference(scores[row_major(i, j)], m) : 0.0F;
                e[row_major(i, j)] = exponential;
                row_sum[row] += static_cast<double>(exponential);
                for (int c = 0; value != nullptr && j < keys && c < tile; ++c) {
                    const double term = static_cast<double>(exponential) * (*value)[row_major(j, c)];
                    context[row_major(i, c)] += term;
                    magnitude[row_major(i, c)] += std::abs(term);
                }
            }
        }
    }
};

struct State {
    Floats row_max{static_cast<std::size_t>(tile), -infinity};
    Floats row_sum{static_cast<std::size_t>(tile)};
    Floats context{static_cast<std::size_t>(tile_size)};

    bool intact() { return row_max.intact() && row_sum.intact() && context.intact(); }

    // Equal maxima; sums within 20 additions and a rescale per update.
    testing::AssertionResult near(const Model& model) {
        for (std::size_t i = 0; i < tile; ++i) {
            if (std::bit_cast<std::uint32_t>(row_max[i]) != std::bit_cast<std::uint32_t>(model.row_max[i])) {
                return testing::AssertionFailure() << "row_max[" << i << "] = " << row_max[i];
            }
            const double bound = 23 * model.updates * adder * model.row_sum[i];
            if (!(std::abs(static_cast<double>(row_sum[i]) - model.row_sum[i]) <= bound)) {
                return testing::AssertionFailure()
                       << "row_sum[" << i << "] = " << row_sum[i] << ", expected " << model.row_sum[i];
            }
        }
        return intact() ? testing::AssertionSuccess() : testing::AssertionFailure() << "canary";
    }
};

// Scores on a grid of 1/128, so that differences are exact: rows of all spreads, one of equal scores.
std::vector<float> grid_scores(unsigned seed, float offset = 0.0F) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    std::vector<float> scores(tile_size);
    for (int i = 0; i < tile; ++i) {
        const float spread = i == 9 ? 0.0F : 0.02F * static_cast<float>(1 << (i % 12));
        for (int j = 0; j < tile; ++j) {
            const float score = offset + spread * normal(engine) - static_cast<float>(i % 5) * 10.0F;
            scores[row_major(i, j)] = std::round(score * 128.0F) / 128.0F + 0.0F;
        }
    }
    return scores;
}

void pad(std::vector<float>& scores, int keys, float padding) {
    for (int i = 0; i < tile; ++i) {
        std::fill(scores.begin() + i * tile + keys, scores.begin() + (i + 1) * tile, padding);
    }
}

TEST(Softmax, FollowsItsStateOverRaggedTiles) {
    for (const int keys : key_counts) {
        State state;
        Model model;
        for (unsigned call = 0; call < 3; ++call) {
            std::vector<float> scores = grid_scores(10 + call, call == 1 ? 6.0F : 0.0F);
            const int real = call == 2 ? keys : tile;
            model.update(scores, real, nullptr);
            pad(scores, real, not_a_number);
            Floats tile_scores(scores);
            softmax_update(tile_scores.data(), real, state.row_max.data(), state.row_sum.data());
            ASSERT_TRUE(state.near(model)) << keys << " keys, call " << call;
        }
        EXPECT_EQ(aie::get_rounding(), aie::rounding_mode::floor);
    }
}

// p = e / row_sum within 2^-17 of the split reciprocal and a few roundings, before the store.
TEST(Softmax, ProbabilitiesStayWithinTheirBoundAndRoundAsTheirNameSays) {
    StoreStatistics of_even;
    StoreStatistics of_floor;
    for (const int keys : key_counts) {
        State state;
        Model model;
        std::vector<float> scores = grid_scores(20);
        model.update(scores, keys, nullptr);
        pad(scores, keys, not_a_number);
        Floats tile_scores(scores);
        Halves even(static_cast<std::size_t>(tile_size));
        Halves floored(static_cast<std::size_t>(tile_size));
        softmax_update(tile_scores.data(), keys, state.row_max.data(), state.row_sum.data());
        softmax_finish_even(tile_scores.data(), keys, state.row_max.data(), state.row_sum.data(),
                            even.data());
        softmax_finish_floor(tile_scores.data(), keys, state.row_max.data(), state.row_sum.data(),
                             floored.data());
        for (int i = 0; i < tile; ++i) {
            for (int j = 0; j < tile; ++j) {
                const std::size_t at = row_major(i, j);
                if (j >= keys) {
                    ASSERT_EQ(bits_of(even[at]) | bits_of(floored[at]), 0);
                    continue;
                }
                const double exact =
                    static_cast<double>(model.e[at]) / model.row_sum[static_cast<std::size_t>(i)];
                const double before_store = 0x1.2p-17 * exact + 0x1p-126;
                ASSERT_NEAR(static_cast<double>(value_of(even[at])), exact,
                            before_store + 0.5 * step_at(exact));
                ASSERT_LE(static_cast<double>(value_of(floored[at])), exact + before_store);
                ASSERT_GE(static_cast<double>(value_of(floored[at])), exact - before_store - step_at(exact));
                if (exact > 1e-20 && exact < 0.9 && i % 12 > 5) {
                    of_even.add(even[at], exact);
                    of_floor.add(floored[at], exact);
                }
            }
        }
        EXPECT_TRUE(even.intact() && floored.intact() && state.near(model));
    }
    EXPECT_NEAR(of_even.mean(), 0.0, 0.05);
    EXPECT_NEAR(of_floor.mean(), -0.5, 0.05);
}

TEST(Softmax, RowsOfNoKeyFinishAsZeros) {
    State state;
    Floats scores(std::vector<float>(tile_size, not_a_number));
    softmax_update(scores.data(), 0, state.row_max.data(), state.row_sum.data());
    EXPECT_TRUE(state.near(Model()));
    for (const int keys : {0, tile}) {
        Halves p(static_cast<std::size_t>(tile_size), exactly(1.0F));
        softmax_finish_floor(scores.data(), keys, state.row_max.data(), state.row_sum.data(), p.data());
        for (std::size_t at = 0; at < tile_size; ++at) {
            ASSERT_EQ(bits_of(p[at]), 0);
        }
    }
}

// What makes a row NaN, and rows beside them, which must not notice.
TEST(Softmax, NanAndInfinityStayInTheirRow) {
    const std::vector<float> clean = grid_scores(30);
    std::vector<float> scores = clean;
    for (int j = 0; j < tile; ++j) {
        scores[row_major(2, j)] = -infinity;
        scores[row_major(3, j)] = not_a_number;
        scores[row_major(5, j)] = j == 0 ? 1.0F : -infinity;  // one-hot, not poisoned
    }
    scores[row_major(0, 0)] = infinity;
    scores[row_major(1, 14)] = not_a_number;
    scores[row_major(16, 14)] = -not_a_number;
    State state;
    State of_clean;
    Floats poisoned(scores);
    Floats plain(clean);
    Halves p(static_cast<std::size_t>(tile_size));
    Halves expected(static_cast<std::size_t>(tile_size));
    softmax_update(poisoned.data(), tile, state.row_max.data(), state.row_sum.data());
    softmax_finish_even(poisoned.data(), tile, state.row_max.data(), state.row_sum.data(), p.data());
    softmax_update(plain.data(), tile, of_clean.row_max.data(), of_clean.row_sum.data());
    softmax_finish_even(plain.data(), tile, of_clean.row_max.data(), of_clean.row_sum.data(),
                        expected.data());
    for (int i = 0; i < tile; ++i) {
        for (int j = 0; j < tile; ++j) {
            const bfloat16 got = p[row_major(i, j)];
            if (i <= 3 || i == 16) {
                ASSERT_TRUE(std::isnan(value_of(got))) << i << ", " << j;
            } else if (i == 5) {
                ASSERT_EQ(value_of(got), j == 0 ? 1.0F : 0.0F);
            } else {
                ASSERT_EQ(bits_of(got), bits_of(expected[row_major(i, j)])) << i << ", " << j;
            }
        }
    }
}

// Operands whose scores are exact: multiples of 1/128 after a scale of 1/8.
struct Operands {
    std::vector<bfloat16> query = integer_tile(0, 0, 0);  // blocks 4x8
    std::vector<bfloat16> key = query;                    // blocks 4x8
    std::vector<bfloat16> value = query;                  // blocks 8x4
    std::vector<float> scores = std::vector<float>(tile_size);
    std::vector<double> value_rows = std::vector<double>(tile_size);

    static constexpr float scale = 0.125F;

    Operands(unsigned seed, int query_range, int key_offset) {
        const std::vector<bfloat16> drawn_query = integer_tile(seed, -query_range, query_range, 4.0F);
        const std::vector<bfloat16> drawn_key = integer_tile(seed + 1, -8 + key_offset, 8 + key_offset, 4.0F);
        const std::vector<bfloat16> drawn_value = normal_tile(seed + 2);
        for (int i = 0; i < tile; ++i) {
            for (int j = 0; j < tile; ++j) {
                query[blocked<4, 8>(i, j)] = drawn_query[row_major(i, j)];
                key[blocked<4, 8>(i, j)] = drawn_key[row_major(i, j)];
                value[blocked<8, 4>(i, j)] = drawn_value[row_major(i, j)];
                value_rows[row_major(i, j)] = static_cast<double>(value_of(drawn_value[row_major(i, j)]));
            }
        }
        for (int i = 0; i < tile; ++i) {
            for (int j = 0; j < tile; ++j) {
                float sum = 0;
                for (int c = 0; c < tile; ++c) {
                    sum += value_of(drawn_query[row_major(i, c)]) * value_of(drawn_key[row_major(j, c)]);
                }
                scores[row_major(i, j)] = sum * scale + 0.0F;
            }
        }
    }

    void pad(int keys, bfloat16 padding) {
        for (int j = keys; j < tile; ++j) {
            for (int c = 0; c < tile; ++c) {
                key[blocked<4, 8>(j, c)] = padding;
                value[blocked<8, 4>(j, c)] = padding;
            }
        }
    }

    void update(int keys, State& state) {
        Halves q(query);
        Halves k(key);
        Halves v(value);
        attention_update(q.data(), k.data(), v.data(), keys, scale, state.row_max.data(),
                         state.row_sum.data(), state.context.data());
    }
};

// context: per update a rescale and eight VMACs, of nine addends and a result each.
testing::AssertionResult near_context(State& state, const Model& model) {
    for (int i = 0; i < tile; ++i) {
        for (int c = 0; c < tile; ++c) {
            const auto got = static_cast<double>(state.context[blocked<4, 4>(i, c)]);
            const double bound = model.updates * (8 * 5.5 + 2) * adder * model.magnitude[row_major(i, c)];
            if (!(std::abs(got - model.context[row_major(i, c)]) <= bound)) {
                return testing::AssertionFailure() << "context[" << i << ", " << c << "] = " << got
                                                   << ", expected " << model.context[row_major(i, c)];
            }
        }
    }
    return testing::AssertionSuccess();
}

// Three tiles, of which the second raises most maxima and the last is ragged, its padding NaN.
TEST(Attention, FollowsItsStateOverRaggedTiles) {
    for (const int keys : key_counts) {
        State state;
        Model model;
        for (unsigned call = 0; call < 3; ++call) {
            Operands operands(40 + 10 * call, 4, call == 1 ? 2 : 0);
            const int real = call == 2 ? keys : tile;
            model.update(operands.scores, real, &operands.value_rows);
            operands.pad(real, std::bit_cast<bfloat16>(std::uint16_t{0x7FC0}));
            operands.update(real, state);
            ASSERT_TRUE(state.near(model)) << keys << " keys, call " << call;
            ASSERT_TRUE(near_context(state, model)) << keys << " keys, call " << call;
        }
        EXPECT_EQ(aie::get_rounding(), aie::rounding_mode::floor);
    }
}

// context / row_sum: within 2^-16 before the store.
TEST(Attention, FinishDividesAndRoundsAsItsNameSays) {
    State state;
    Operands(70, 4, 0).update(tile, state);
    state.row_sum[7] = 0.0F;
    for (int c = 0; c < tile; ++c) {
        state.context[blocked<4, 4>(7, c)] = 0.0F;
    }
    Halves even(static_cast<std::size_t>(tile_size), exactly(9.0F));
    Halves floored(static_cast<std::size_t>(tile_size), exactly(9.0F));
    attention_finish_even(state.context.data(), state.row_sum.data(), even.data());
    attention_finish_floor(state.context.data(), state.row_sum.data(), floored.data());
    StoreStatistics of_even;
    StoreStatistics of_floor;
    for (int i = 0; i < tile; ++i) {
        for (int c = 0; c < tile; ++c) {
            const std::size_t at = blocked<4, 4>(i, c);
            if (i == 7) {
                ASSERT_EQ(bits_of(even[at]) | bits_of(floored[at]), 0);
                continue;
            }
            const double exact = static_cast<double>(state.context[at]) /
                                 static_cast<double>(state.row_sum[static_cast<std::size_t>(i)]);
            of_even.add(even[at], exact);
            of_floor.add(floored[at], exact);
        }
    }
    EXPECT_TRUE(of_even.looks_even(0x1p-8)) << of_even.mean() << " " << of_even.largest;
    EXPECT_TRUE(of_floor.looks_floored(0x1p-8)) << of_floor.mean() << " " << of_floor.largest;
    EXPECT_TRUE(even.intact() && floored.intact() && state.intact());
}

// A NaN in one query row poisons that row alone; a NaN in a key poisons every row, as it takes part in all.
TEST(Attention, NanStaysInItsRow) {
    Operands operands(80, 4, 0);
    State clean;
    operands.update(tile, clean);
    operands.query[blocked<4, 8>(21, 5)] = std::bit_cast<bfloat16>(std::uint16_t{0x7FC0});
    State state;
    operands.update(tile, state);
    for (int i = 0; i < tile; ++i) {
        for (int c = 0; c < tile; ++c) {
            const std::size_t at = blocked<4, 4>(i, c);
            if (i == 21) {
                ASSERT_TRUE(std::isnan(state.context[at]));
            } else {
                ASSERT_EQ(state.context[at], clean.context[at]);
            }
        }
    }
    EXPECT_TRUE(std::isnan(state.row_sum[21]));
}

TEST(Attention, NoKeysLeaveTheState) {
    Operands operands(90, 4, 0);
    operands.pad(0, std::bit_cast<bfloat16>(std::uint16_t{0x7FC0}));
    State state;
    operands.update(0, state);
    EXPECT_TRUE(state.near(Model()));
    EXPECT_TRUE(near_context(state, Model()));
}

}  // namespace
}  // namespace kernels::aie2_test
