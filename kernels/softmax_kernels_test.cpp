// Running softmax and fused attention on every vector target of this CPU: bit for bit against the scalar
// model, and against fp64 within bounds derived from the declared arithmetic (the exponential's error from
// exp_error).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "kernels/exp_table.hpp"
#include "kernels/tile_kernels.hpp"
#include "kernels/tile_model_test.hpp"

namespace kernels {
namespace {

using model::all_stores;
using model::at;
using model::bf16_stores;
using model::Bits;
using model::equal_tiles;
using model::Floats;
using model::Guarded;
using model::infinity;
using model::normal_tile;
using model::not_a_number;
using model::score_tile;
using model::State;
using model::to_float;

constexpr int key_counts[] = {0, 1, 3, 15, 16, 17, 63, 64};
constexpr double unit_fp32 = 0x1p-24;  // unit roundoff, to nearest
constexpr double unit_bf16 = 0x1p-8;

using SoftmaxKernels = model::EveryTarget;
using AttentionKernels = model::EveryTarget;
INSTANTIATE_TEST_SUITE_P(Targets, SoftmaxKernels, testing::ValuesIn(model::targets_of_this_cpu()),
                         model::target_name);
INSTANTIATE_TEST_SUITE_P(Targets, AttentionKernels, testing::ValuesIn(model::targets_of_this_cpu()),
                         model::target_name);

// The state that the kernels under test update, between canaries.
struct GuardedState {
    Guarded<float> row_max{Floats(tile, -infinity)};
    Guarded<float> row_sum{Floats(tile, 0.0F)};
    Guarded<float> context{Floats(tile * tile, 0.0F)};

    SoftmaxState softmax() { return {row_max.data(), row_sum.data()}; }
    AttentionState attention() { return {softmax(), context.data()}; }
    testing::AssertionResult equals(const State& expected) const {
        if (!row_max.intact() || !row_sum.intact() || !context.intact()) {
            return testing::AssertionFailure() << "a canary was overwritten";
        }
        const auto maxima = equal_tiles(row_max.data(), expected.row_max.data(), row_max.size());
        const auto sums = equal_tiles(row_sum.data(), expected.row_sum.data(), row_sum.size());
        const auto contexts = equal_tiles(context.data(), expected.context.data(), context.size());
        return !maxima ? maxima : (!sums ? sums : contexts);
    }
};

Floats with_special_scores(unsigned seed) {
    Floats scores = score_tile(seed);
    for (int j = 0; j < tile; ++j) {
        scores[at(2, j)] = -infinity;
        scores[at(3, j)] = not_a_number;
        scores[at(4, j)] = j % 2 == 0 ? 0.0F : -0.0F;
        scores[at(5, j)] = j == 0 ? 1.0F : -infinity;
        scores[at(6, j)] = j == 0 ? 0.0F : -126.0F - static_cast<float>(j) / 32.0F;
        scores[at(7, j)] = j == 0 ? 3e38F : -3e38F;
    }
    scores[at(0, 0)] = infinity;
    scores[at(1, 14)] = not_a_number;
    scores[at(8, 62)] = scores[at(8, 63)] = not_a_number;  // among the padded keys of most counts
    return scores;
}

// Runs tiles of scores through kernel and model, comparing the state after each and p of the last.
void expect_softmax_equals_model(const KernelTable& kernels, const std::vector<Floats>& tiles,
                                 int last_keys) {
    GuardedState state;
    State expected;
    for (std::size_t i = 0; i < tiles.size(); ++i) {
        const int keys = i + 1 == tiles.size() ? last_keys : tile;
        kernels.softmax_update(tiles[i].data(), keys, state.softmax());
        model::softmax_update(tiles[i].data(), keys, expected);
        ASSERT_TRUE(state.equals(expected)) << "after tile " << i << " with " << keys << " keys";
    }
    for (const Store store : bf16_stores) {
        Guarded<std::uint16_t> p(tile * tile);
        Bits expected_p(tile * tile);
        kernels.softmax_finish(tiles.back().data(), last_keys, state.softmax(), store, p.data());
        model::softmax_finish(tiles.back().data(), last_keys, expected, store, expected_p.data());
        ASSERT_TRUE(equal_tiles(p.data(), expected_p.data(), expected_p.size()))
            << last_keys << " keys, store " << static_cast<int>(store);
        ASSERT_TRUE(p.intact());
        ASSERT_TRUE(state.equals(expected)) << "softmax_finish must not change the state";
    }
}

TEST_P(SoftmaxKernels, EqualTheModelBitForBit) {
    for (const int keys : key_counts) {
        expect_softmax_equals_model(kernels(), {score_tile(1)}, keys);
        expect_softmax_equals_model(kernels(), {score_tile(2), score_tile(3, 5.0F), score_tile(4)}, keys);
        expect_softmax_equals_model(kernels(), {with_special_scores(5)}, keys);
        expect_softmax_equals_model(kernels(), {score_tile(6), with_special_scores(7), score_tile(8)}, keys);
    }
}

// The padded scores hold what the multiplication of padding left there: it must not matter.
TEST_P(SoftmaxKernels, PaddedKeysNeitherCountNorAppear) {
    for (const int keys : key_counts) {
        Floats scores = score_tile(11);
        Bits first(tile * tile);
        for (const float padding : {0.0F, 1e30F, infinity, not_a_number}) {
            for (int i = 0; i < tile; ++i) {
                for (int j = keys; j < tile; ++j) {
                    scores[at(i, j)] = padding;
                }
            }
            GuardedState state;
            Guarded<std::uint16_t> p(tile * tile);
            kernels().softmax_update(scores.data(), keys, state.softmax());
            kernels().softmax_finish(scores.data(), keys, state.softmax(), Store::bf16_nearest_even,
                                     p.data());
            for (int i = 0; i < tile; ++i) {
                for (int j = keys; j < tile; ++j) {
                    ASSERT_EQ(p.data()[at(i, j)], 0) << keys << " keys";
                }
            }
            if (padding == 0.0F) {
                std::copy_n(p.data(), first.size(), first.begin());
            }
            ASSERT_TRUE(equal_tiles(p.data(), first.data(), first.size())) << keys << " keys";
        }
    }
}

TEST_P(SoftmaxKernels, NoKeysLeaveTheStateAndYieldZeros) {
    const Floats scores = score_tile(12);
    GuardedState state;
    kernels().softmax_update(scores.data(), 0, state.softmax());
    EXPECT_TRUE(state.equals(State{}));
    Guarded<std::uint16_t> p(tile * tile);
    kernels().softmax_finish(scores.data(), 0, state.softmax(), Store::bf16_floor, p.data());
    const Bits zero(tile * tile, 0);
    EXPECT_TRUE(equal_tiles(p.data(), zero.data(), zero.size()));
}

TEST_P(SoftmaxKernels, HaveNoFp32Probabilities) {
    const Floats scores = score_tile(13);
    GuardedState state;
    Guarded<std::uint16_t> p(tile * tile);
    EXPECT_THROW(kernels().softmax_finish(scores.data(), tile, state.softmax(), Store::f32, p.data()),
                 std::invalid_argument);
}

// One score above all others by more than 93: p is exactly 1 there and 0 elsewhere.
TEST_P(SoftmaxKernels, OneHotIsExact) {
    Floats scores(tile * tile, -100.0F);
    for (int i = 0; i < tile; ++i) {
        scores[at(i, (i * 11) % tile)] = 20.0F;
    }
    for (const Store store : bf16_stores) {
        GuardedState state;
        Guarded<std::uint16_t> p(tile * tile);
        kernels().softmax_update(scores.data(), tile, state.softmax());
        kernels().softmax_finish(scores.data(), tile, state.softmax(), store, p.data());
        for (int i = 0; i < tile; ++i) {
            for (int j = 0; j < tile; ++j) {
                ASSERT_EQ(p.data()[at(i, j)], j == (i * 11) % tile ? 0x3F80 : 0);
            }
        }
    }
}

// Scores in eighths shifted by an integer: every difference is exact, so p has the same bits.
TEST_P(SoftmaxKernels, AreInvariantToAnExactShift) {
    std::mt19937 engine(14);
    std::uniform_int_distribution<int> eighths(-160, 0);
    Floats scores(tile * tile);
    for (float& score : scores) {
        score = static_cast<float>(eighths(engine)) / 8.0F;
    }
    Bits unshifted(tile * tile);
    for (const float shift : {0.0F, 100.0F, -4096.0F, 65536.0F}) {
        Floats shifted = scores;
        for (float& score : shifted) {
            score += shift;
        }
        GuardedState state;
        Guarded<std::uint16_t> p(tile * tile);
        kernels().softmax_update(shifted.data(), tile, state.softmax());
        kernels().softmax_finish(shifted.data(), tile, state.softmax(), Store::bf16_nearest_even, p.data());
        if (shift == 0.0F) {
            std::copy_n(p.data(), unshifted.size(), unshifted.begin());
        }
        ASSERT_TRUE(equal_tiles(p.data(), unshifted.data(), unshifted.size())) << "shift " << shift;
    }
}

// Factors between which exp_difference(s, m) / exp(s - m) lies for s - m = d >= -85: the table's error, and
// the rounding of the difference to fp32 and bf16, which is |d| times as large in the result.
struct Factors {
    double lowest, highest;
};

Factors exponential_factors(double d) {
    static const ExpError error = exp_error(Store::bf16_nearest_even);
    const double argument_error = std::abs(d) * (unit_bf16 * (1 + unit_fp32) + unit_fp32);
    return {(1 + error.lowest) * std::exp(-argument_error), (1 + error.highest) * std::exp(argument_error)};
}

// Each p within the bound: e's factors over those of the sum, the reciprocal (one rounding; hi + lo drops
// 2^-16), 64 additions and three more fp32 roundings, the store.
TEST_P(SoftmaxKernels, LieWithinTheDerivedBoundOfFp64) {
    for (const Store store : bf16_stores) {
        const double unit_store = store == Store::bf16_nearest_even ? unit_bf16 : 2 * unit_bf16;
        const double highest_store = store == Store::bf16_nearest_even ? unit_bf16 : 0;
        const double rest = 0x1p-16 + (tile + 4) * unit_fp32;
        Floats scores(tile * tile);
        std::mt19937 engine(15);
        std::normal_distribution<float> normal;
        for (int i = 0; i < tile; ++i) {
            for (int j = 0; j < tile; ++j) {
                scores[at(i, j)] = 0.2F * static_cast<float>(i) * std::clamp(normal(engine), -3.0F, 3.0F);
            }
        }
        GuardedState state;
        Guarded<std::uint16_t> p(tile * tile);
        kernels().softmax_update(scores.data(), tile, state.softmax());
        kernels().softmax_finish(scores.data(), tile, state.softmax(), store, p.data());
        for (int i = 0; i < tile; ++i) {
            const double maximum =
                static_cast<double>(*std::max_element(&scores[at(i, 0)], &scores[at(i, 0)] + tile));
            double sum = 0, lowest_sum = 0, highest_sum = 0, sum_of_p = 0;
            for (int j = 0; j < tile; ++j) {
                const double d = static_cast<double>(scores[at(i, j)]) - maximum;
                const Factors factors = d == 0 ? Factors{1, 1} : exponential_factors(d);
                sum += std::exp(d);
                lowest_sum += std::exp(d) * factors.lowest;
                highest_sum += std::exp(d) * factors.highest;
                sum_of_p += static_cast<double>(to_float(p.data()[at(i, j)]));
            }
            for (int j = 0; j < tile; ++j) {
                const double d = static_cast<double>(scores[at(i, j)]) - maximum;
                const Factors factors = d == 0 ? Factors{1, 1} : exponential_factors(d);
                const double got = static_cast<double>(to_float(p.data()[at(i, j)]));
                const double lowest =
                    std::exp(d) * factors.lowest / highest_sum * (1 - unit_store) * (1 - rest);
                const double highest =
                    std::exp(d) * factors.highest / lowest_sum * (1 + highest_store) * (1 + rest);
                ASSERT_GE(got, lowest) << "row " << i << ", key " << j << ", exact " << std::exp(d) / sum;
                ASSERT_LE(got, highest) << "row " << i << ", key " << j << ", exact " << std::exp(d) / sum;
            }
            ASSERT_GE(sum_of_p, (1 - unit_store) * (1 - rest)) << "row " << i;
            ASSERT_LE(sum_of_p, (1 + highest_store) * (1 + rest)) << "row " << i;
        }
    }
}

TEST_P(SoftmaxKernels, NeverReachTheWrapOfTheTable) {
    Floats scores(tile * tile, -400.0F);
    for (int i = 0; i < tile; ++i) {
        scores[at(i, 0)] = 0.0F;
        scores[at(i, 1)] = -129.0F;
        scores[at(i, 2)] = -256.0F;
        scores[at(i, 3)] = -3e38F;
    }
    GuardedState state;
    kernels().softmax_update(scores.data(), tile, state.softmax());
    for (int i = 0; i < tile; ++i) {
        ASSERT_EQ(state.row_sum.data()[i], 1.0F);
    }
    for (float& score : scores) {
        score = 300.0F;  // the running sum of the first tile is scaled by exp(-300)
    }
    kernels().softmax_update(scores.data(), tile, state.softmax());
    for (int i = 0; i < tile; ++i) {
        ASSERT_EQ(state.row_sum.data()[i], 64.0F);
    }
}

struct KeyTile {
    Bits key, value;
    int keys = tile;
};

// The key tile t times `growth`^t, so that the row maxima grow in every tile (growth > 1) or never (growth <
// 1).
std::vector<KeyTile> key_tiles(int count, float growth, unsigned seed) {
    std::vector<KeyTile> tiles;
    float deviation = 1.0F;
    for (int t = 0; t < count; ++t) {
        const auto offset = static_cast<unsigned>(2 * t);
        tiles.push_back({normal_tile(seed + offset, deviation), normal_tile(seed + offset + 1)});
        deviation *= growth;
    }
    return tiles;
}

void expect_attention_equals_model(const KernelTable& kernels, const Bits& query,
                                   const std::vector<KeyTile>& tiles, float scale) {
    GuardedState state;
    State expected;
    for (const KeyTile& part : tiles) {
        kernels.attention_update(query.data(), part.key.data(), part.value.data(), part.keys, scale,
                                 state.attention());
        model::attention_update(query.data(), part.key.data(), part.value.data(), part.keys, scale, expected);
        ASSERT_TRUE(state.equals(expected)) << part.keys << " keys";
    }
    for (const Store store : all_stores) {
        Guarded<float> as_float(tile * tile);
        Guarded<std::uint16_t> as_bf16(tile * tile);
        const bool wide = store == Store::f32;
        kernels.attention_finish(state.attention(), store,
                                 wide ? static_cast<void*>(as_float.data()) : as_bf16.data());
        Floats expected_context(tile * tile);
        Bits expected_bits(tile * tile);
        for (std::size_t i = 0; i < expected_context.size(); ++i) {
            expected_context[i] = expected.context[i] * model::inverse(expected.row_sum[i / tile]);
            expected_bits[i] = model::to_bf16(expected_context[i], store);
        }
        ASSERT_TRUE(wide ? equal_tiles(as_float.data(), expected_context.data(), expected_context.size())
                         : equal_tiles(as_bf16.data(), expected_bits.data(), expected_bits.size()))
            << "store " << static_cast<int>(store);
        ASSERT_TRUE(as_float.intact() && as_bf16.intact());
        ASSERT_TRUE(state.equals(expected)) << "attention_finish must not change the state";
    }
}

TEST_P(AttentionKernels, EqualTheModelBitForBit) {
    const Bits query = normal_tile(50);
    for (const int keys : key_counts) {
        std::vector<KeyTile> tiles = key_tiles(2, 1.5F, 51);
        tiles.back().keys = keys;
        expect_attention_equals_model(kernels(), query, tiles, 0.125F);
    }
    expect_attention_equals_model(kernels(), query, key_tiles(3, 2.0F, 60), 0.1F);
    expect_attention_equals_model(kernels(), query, key_tiles(3, 0.25F, 70), 1.0F);
}

TEST_P(AttentionKernels, EqualTheModelOnInfinitiesAndNaN) {
    Bits query = normal_tile(80);
    query[at(9, 9)] = 0x7FC0;
    query[at(12, 3)] = 0x7F80;
    std::vector<KeyTile> tiles = key_tiles(3, 1.2F, 81);
    tiles[1].key[at(4, 4)] = 0xFF80;
    tiles[2].keys = 17;
    tiles[2].key[at(40, 1)] = 0x7FC0;    // padded
    tiles[2].value[at(17, 1)] = 0x7FC0;  // padded
    expect_attention_equals_model(kernels(), query, tiles, 0.125F);
    tiles[1].value[at(5, 6)] = 0x7F80;
    expect_attention_equals_model(kernels(), query, tiles, 0.125F);
}

// A NaN in one query row stays in that row.
TEST_P(AttentionKernels, ConfineANaNToItsRow) {
    Bits query = normal_tile(90);
    query[at(9, 9)] = 0x7FC0;
    const std::vector<KeyTile> tiles = key_tiles(1, 1.0F, 91);
    GuardedState state;
    kernels().attention_update(query.data(), tiles[0].key.data(), tiles[0].value.data(), tile, 0.125F,
                               state.attention());
    Guarded<float> out(tile * tile);
    kernels().attention_finish(state.attention(), Store::f32, out.data());
    for (int i = 0; i < tile; ++i) {
        for (int c = 0; c < tile; ++c) {
            ASSERT_EQ(std::isnan(out.data()[at(i, c)]), i == 9);
        }
    }
}

TEST_P(AttentionKernels, NoKeysYieldZeros) {
    const Bits operand = normal_tile(95);
    GuardedState state;
    kernels().attention_update(operand.data(), operand.data(), operand.data(), 0, 0.125F, state.attention());
    EXPECT_TRUE(state.equals(State{}));
    Guarded<float> out(tile * tile);
    kernels().attention_finish(state.attention(), Store::f32, out.data());
    const Floats zero(tile * tile, 0.0F);
    EXPECT_TRUE(equal_tiles(out.data(), zero.data(), zero.size()));
}

// Where the query picks one key by far, the context is that key's value, to the bit: the other keys of its
// tile and the whole tile before it count exp(-256) = 0.
TEST_P(AttentionKernels, OneHotAttentionCopiesTheValue) {
    Bits query(tile * tile, 0);
    Bits key(tile * tile, 0);
    for (int i = 0; i < tile; ++i) {
        query[at(i, (i * 5 + 1) % tile)] = 0x4180;  // 16
        key[at(i, i)] = 0x4180;
    }
    const Bits value = normal_tile(96);
    const Bits no_key(tile * tile, 0);
    const Bits earlier_value = normal_tile(97);
    GuardedState state;
    kernels().attention_update(query.data(), no_key.data(), earlier_value.data(), tile, 1.0F,
                               state.attention());
    kernels().attention_update(query.data(), key.data(), value.data(), tile, 1.0F, state.attention());
    Guarded<std::uint16_t> out(tile * tile);
    kernels().attention_finish(state.attention(), Store::bf16_floor, out.data());
    for (int i = 0; i < tile; ++i) {
        for (int c = 0; c < tile; ++c) {
            ASSERT_EQ(out.data()[at(i, c)], value[at((i * 5 + 1) % tile, c)]);
        }
    }
}

// A row of attention in fp64 with the derived bound of each channel. With weights p and factors f_j of key j,
// context - exact = sum p f (v - exact) / sum p f, so the bound is sum p |f - 1| |v - exact| / sum p f_low,
// plus the fp32 roundings of numerator and denominator. f_j: the score's own roundings, the exponential at
// the running maximum of its tile, and one exponential per later growth of the maximum.
struct ExactRow {
    std::vector<double> context, bound;
    int growths = 0;
};

ExactRow exact_row(const Bits& query, const std::vector<KeyTile>& tiles, float scale, int row) {
    std::vector<double> score, score_error;
    std::vector<double> maxima;
    double running = -1e300;
    for (const KeyTile& part : tiles) {
        for (int j = 0; j < part.keys; ++j) {
            double sum = 0, magnitude = 0;
            for (int k = 0; k < tile; ++k) {
                const double product =
                    model::value_of(query[at(row, k)]) * model::value_of(part.key[at(j, k)]);
                sum += product;
                magnitude += std::abs(product);
            }
            score.push_back(static_cast<double>(scale) * sum);
            score_error.push_back(static_cast<double>(scale) * magnitude * (tile + 1) * unit_fp32);
            running = std::max(running, score.back());
        }
        maxima.push_back(running);
    }
    std::vector<double> weight, low, high;
    double total = 0;
    std::size_t index = 0;
    for (std::size_t t = 0; t < tiles.size(); ++t) {
        for (int j = 0; j < tiles[t].keys; ++j, ++index) {
            Factors all = exponential_factors(score[index] - maxima[t]);
            for (std::size_t later = t + 1; later < tiles.size(); ++later) {
                if (maxima[later] > maxima[later - 1]) {
                    const Factors rescale = exponential_factors(maxima[later - 1] - maxima[later]);
                    all = {all.lowest * rescale.lowest, all.highest * rescale.highest};
                }
            }
            low.push_back(all.lowest * std::exp(-2 * score_error[index]));
            high.push_back(all.highest * std::exp(2 * score_error[index]));
            weight.push_back(std::exp(score[index] - running));
            total += weight.back();
        }
    }
    ExactRow exact{std::vector<double>(tile, 0.0), std::vector<double>(tile, 0.0)};
    for (std::size_t t = 1; t < maxima.size(); ++t) {
        exact.growths += maxima[t] > maxima[t - 1] ? 1 : 0;
    }
    double lowest_sum = 0;
    for (std::size_t j = 0; j < weight.size(); ++j) {
        weight[j] /= total;
        lowest_sum += weight[j] * low[j];
    }
    for (int c = 0; c < tile; ++c) {
        const auto value = [&](std::size_t j) {
            return model::value_of(tiles[j / tile].value[at(static_cast<int>(j % tile), c)]);
        };
        const auto channel = static_cast<std::size_t>(c);
        for (std::size_t j = 0; j < weight.size(); ++j) {
            exact.context[channel] += weight[j] * value(j);
        }
        double spread = 0, magnitude = 0;
        for (std::size_t j = 0; j < weight.size(); ++j) {
            const double deviation = std::max(high[j] - 1, 1 - low[j]);
            spread += weight[j] * deviation * std::abs(value(j) - exact.context[channel]);
            magnitude += weight[j] * high[j] * std::abs(value(j));
        }
        const double roundings = static_cast<double>(weight.size() + 3 * tiles.size() + 2) * unit_fp32;
        exact.bound[channel] =
            spread / lowest_sum + 2 * roundings * (magnitude / lowest_sum + std::abs(exact.context[channel]));
    }
    return exact;
}

// `growth_of` names the key deviation by which the maxima grow in every tile, or in none.
void expect_attention_within_bound(const KernelTable& kernels, float growth, int expected_growths) {
    constexpr float scale = 0.125F;
    Bits query = normal_tile(100);
    std::vector<KeyTile> tiles = key_tiles(3, growth, 101);
    tiles.back().keys = 50;
    GuardedState state;
    for (const KeyTile& part : tiles) {
        kernels.attention_update(query.data(), part.key.data(), part.value.data(), part.keys, scale,
                                 state.attention());
    }
    Guarded<float> out(tile * tile);
    kernels.attention_finish(state.attention(), Store::f32, out.data());
    int rows_as_expected = 0;
    for (int i = 0; i < tile; ++i) {
        const ExactRow exact = exact_row(query, tiles, scale, i);
        rows_as_expected += exact.growths == expected_growths ? 1 : 0;
        for (int c = 0; c < tile; ++c) {
            const auto channel = static_cast<std::size_t>(c);
            ASSERT_NEAR(static_cast<double>(out.data()[at(i, c)]), exact.context[channel],
                        exact.bound[channel])
                << "row " << i << ", channel " << c;
            ASSERT_LT(exact.bound[channel], 0.5) << "the bound must say something";
        }
    }
    EXPECT_GE(rows_as_expected, tile - 4) << "the data must exercise the case";
}

TEST_P(AttentionKernels, LieWithinTheBoundWhereTheMaximumGrowsInEveryTile) {
    expect_attention_within_bound(kernels(), 2.5F, 2);
}

TEST_P(AttentionKernels, LieWithinTheBoundWhereTheMaximumNeverGrows) {
    expect_attention_within_bound(kernels(), 0.25F, 0);
}

// V = 1 on every path gives 1: numerator and denominator sum the same exponentials, in different orders.
TEST_P(AttentionKernels, ValuesOfOneGiveOne) {
    std::vector<KeyTile> tiles = key_tiles(3, 1.5F, 120);
    GuardedState state;
    const Bits query = normal_tile(121);
    for (KeyTile& part : tiles) {
        std::fill(part.value.begin(), part.value.end(), std::uint16_t{0x3F80});
        kernels().attention_update(query.data(), part.key.data(), part.value.data(), part.keys, 0.125F,
                                   state.attention());
    }
    Guarded<float> out(tile * tile);
    kernels().attention_finish(state.attention(), Store::f32, out.data());
    for (int i = 0; i < tile; ++i) {
        for (int c = 0; c < tile; ++c) {
            ASSERT_NEAR(out.data()[at(i, c)], 1.0F, 3 * tile * 0x1p-23F);
        }
    }
}

}  // namespace
}  // namespace kernels
