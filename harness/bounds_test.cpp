// Level 1 bounds: honest arithmetic, computed here independently in plain loops, stays inside; the errors
// that the bound is there for lie outside; and the bound is not idle slack.
#include "harness/bounds.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "datasets/bf16.hpp"
#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::DType;
using datasets::Op;
using datasets::Rounding;
using datasets::Rows;
using datasets::TileSum;

// Random layer and upstream tensors of one head group, all exactly representable in bf16.
class Fixture : public datasets::Source {
public:
    Fixture(std::int64_t context, int heads, float spread, unsigned seed) {
        layer_.shape = {context, heads};
        const auto width = layer_.shape.width();
        std::mt19937 random(seed);
        std::normal_distribution<float> normal(0.0F, 1.0F);
        const auto fill = [&](std::vector<float>& values, std::int64_t count, float scale) {
            values.resize(index(count));
            for (float& value : values) {
                value = datasets::round_to_bf16(scale * normal(random), Rounding::nearest_even);
            }
        };
        fill(layer_.weights.attention.query.weight, width * width, 0.1F);
        fill(layer_.weights.attention.query.bias, width, 0.1F);
        fill(x_, context * width, 1.0F);
        fill(query_, context * width, spread);
        fill(key_, context * width, spread);
        fill(value_, context * width, 1.0F);
    }

    void rows(Op op, Rows rows, std::span<float> out) const override {
        const std::vector<float>& tensor = op == Op::query   ? query_
                                           : op == Op::key   ? key_
                                           : op == Op::value ? value_
                                                             : x_;
        const std::int64_t width = layer_.shape.width();
        const std::int64_t columns = rows.head < 0 ? width : datasets::head_width;
        for (std::int64_t r = 0; r < rows.count; ++r) {
            for (std::int64_t c = 0; c < columns; ++c) {
                out[index(r * columns + c)] = tensor[index(
                    (rows.begin + r) * width + std::max(rows.head, 0) * datasets::head_width + c)];
            }
        }
    }

    [[nodiscard]] float at(Op op, std::int64_t row, std::int64_t column) const {
        float row_values[datasets::head_width];
        rows(op, {0, row, 1}, row_values);
        return row_values[column];
    }

    datasets::LayerCase layer_;
    std::vector<float> x_, query_, key_, value_;
};

Arithmetic product(DType store, Rounding rounding) {
    Arithmetic a;
    a.operand = DType::bf16;
    a.store = store;
    a.store_rounding = rounding;
    a.accumulation = datasets::Accumulation::chain_f32;
    return a;
}

// Where a sum goes that starts at the bias, in plain fp32 chains: `actual` rounds its stores, tiles included.
class PlainSum {
public:
    PlainSum(const Arithmetic& declared, Rounding actual, float bias)
        : declared_(declared),
          actual_(actual),
          sum_(declared.tile_sum == TileSum::on_host ? 0.0F : bias),
          outside_(bias) {}

    void add(float term) {
        if (declared_.tile_sum != TileSum::on_core && terms_ > 0 && terms_ % declared_.k_tile == 0) {
            leave();
        }
        sum_ += term;
        ++terms_;
    }
    [[nodiscard]] double stored() {
        if (declared_.tile_sum == TileSum::on_host) {
            leave();
            sum_ = outside_;
        }
        return double{round(sum_, declared_.store)};
    }

private:
    [[nodiscard]] float round(float value, DType type) const {
        return type == DType::f32 ? value : datasets::round_to_bf16(value, actual_);
    }
    void leave() {
        const float tile = round(sum_, declared_.tile_store);
        const bool on_host = declared_.tile_sum == TileSum::on_host;
        outside_ += on_host ? tile : 0.0F;
        sum_ = on_host ? 0.0F : tile;
    }

    const Arithmetic& declared_;
    Rounding actual_;
    float sum_;
    float outside_;
    int terms_ = 0;
};

// Largest |error| / bound of query rows computed by plain sums; `gain` is what is wrong with them.
double query_rho(const Fixture& f, const Arithmetic& declared, Rounding actual, double gain = 1) {
    const Bounds bounds(f.layer_, f);
    const Rows rows{0, 0, 64};
    Bounded expected;
    bounds.of(Op::query, rows, declared, false, expected);
    const std::int64_t width = f.layer_.shape.width();
    double rho = 0;
    for (std::int64_t r = 0; r < rows.count; ++r) {
        for (std::int64_t c = 0; c < datasets::head_width; ++c) {
            PlainSum sum(declared, actual, f.layer_.weights.attention.query.bias[index(c)]);
            for (std::int64_t k = 0; k < width; ++k) {
                sum.add(f.x_[index(r * width + k)] *
                        f.layer_.weights.attention.query.weight[index(c * width + k)]);
            }
            const double got = gain * sum.stored();
            const std::size_t i = index(r * datasets::head_width + c);
            rho = std::max(rho, std::abs(got - expected.value[i]) / expected.bound[i]);
        }
    }
    return rho;
}

TEST(Bounds, HoldForAnHonestProductAndAreTight) {
    const Fixture f(64, 2, 1.0F, 7);
    for (const Rounding rounding : {Rounding::nearest_even, Rounding::toward_zero, Rounding::floor}) {
        const double rho = query_rho(f, product(DType::bf16, rounding), rounding);
        EXPECT_LE(rho, 1.0) << datasets::name(rounding);
        EXPECT_GE(rho, 0.8) << datasets::name(rounding);
    }
    EXPECT_LE(query_rho(f, product(DType::f32, Rounding::nearest_even), Rounding::nearest_even), 1.0);
}

TEST(Bounds, DoNotAdmitTruncationWhereNearestIsDeclared) {
    const Fixture f(64, 2, 1.0F, 8);
    EXPECT_GT(query_rho(f, product(DType::bf16, Rounding::nearest_even), Rounding::toward_zero), 1.5);
    EXPECT_GT(query_rho(f, product(DType::bf16, Rounding::nearest_even), Rounding::floor), 1.5);
}

TEST(Bounds, GrowWithTheRoundingsBetweenKTiles) {
    const Fixture f(64, 2, 1.0F, 9);
    const Bounds bounds(f.layer_, f);
    Arithmetic once = product(DType::bf16, Rounding::nearest_even);
    Arithmetic repeated = once;
    repeated.tile_sum = datasets::TileSum::rounded;
    repeated.k_tile = 64;
    repeated.tile_store = DType::bf16;
    Bounded a;
    Bounded b;
    bounds.of(Op::query, {0, 0, 64}, once, false, a);
    bounds.of(Op::query, {0, 0, 64}, repeated, false, b);
    double grown = 0;
    for (std::size_t i = 0; i < a.bound.size(); ++i) {
        EXPECT_GT(b.bound[i], 0.9 * a.bound[i]);  // of a small partial sum: hardly
        grown += b.bound[i] / a.bound[i] / double(a.bound.size());
    }
    EXPECT_GT(grown, 1.5);
}

Arithmetic leaving(TileSum where, DType tile_store, Rounding rounding) {
    Arithmetic out = product(where == TileSum::rounded ? DType::bf16 : DType::f32, rounding);
    out.tile_sum = where;
    out.k_tile = 64;
    out.tile_store = tile_store;
    out.tile_rounding = rounding;
    return out;
}

// Sums of 512 terms in eight k tiles. What leaves the accumulator are partial sums and tile products, which
// are far below the sum of magnitudes (0.8 sqrt(512) times the sum): a gain of 3% shows.
TEST(Bounds, HoldForSumsThatLeaveTheAccumulatorAndAreTight) {
    const Fixture f(64, 8, 1.0F, 11);
    for (const Rounding rounding : {Rounding::nearest_even, Rounding::toward_zero, Rounding::floor}) {
        for (const TileSum where : {TileSum::rounded, TileSum::on_host}) {
            const Arithmetic a = leaving(where, DType::bf16, rounding);
            const double rho = query_rho(f, a, rounding);
            EXPECT_LE(rho, 1.0) << datasets::name(rounding) << int(where);
            EXPECT_GE(rho, 0.4) << datasets::name(rounding) << int(where);
            EXPECT_GT(query_rho(f, a, rounding, 1.03), 1.0) << datasets::name(rounding) << int(where);
        }
    }
    const Arithmetic wide = leaving(TileSum::on_host, DType::f32, Rounding::nearest_even);
    EXPECT_LE(query_rho(f, wide, Rounding::nearest_even), 1.0);
    EXPECT_GT(query_rho(f, wide, Rounding::nearest_even, 1 + 1e-4), 1.0);
}

TEST(Bounds, DoNotAdmitTilesRoundedOtherwiseThanDeclared) {
    const Fixture f(64, 8, 1.0F, 12);
    for (const TileSum where : {TileSum::rounded, TileSum::on_host}) {
        const Arithmetic nearest = leaving(where, DType::bf16, Rounding::nearest_even);
        EXPECT_GT(query_rho(f, nearest, Rounding::floor), 1.0) << int(where);
    }
}

// A VMAC flushes what is below 2^-126, so a healthy kernel may store 0 for any such result.
TEST(Bounds, AdmitWhatAVmacFlushes) {
    class Peak : public datasets::Source {
    public:
        void rows(Op, Rows, std::span<float> out) const override {
            std::ranges::fill(out, 0.0F);
            std::fill_n(out.begin() + 64, 64, -83.0F);
        }
    };
    datasets::LayerCase layer;
    layer.shape = {1500, 1};
    const Peak scores;
    Arithmetic a = product(DType::bf16, Rounding::nearest_even);
    a.operand = DType::f32;
    a.key_tile = 64;
    a.exp_argument = DType::bf16;
    a.exp_error = 0.0102;
    Bounded bounded;
    for (const auto accumulation : {datasets::Accumulation::chain_f32, datasets::Accumulation::vmac_f32}) {
        a.accumulation = accumulation;
        Bounds(layer, scores).of(Op::probabilities, {0, 0, 1}, a, false, bounded);
        const double p = bounded.value[70];  // e^-83 / 1436: a denormal
        EXPECT_LT(p, 0x1p-126);
        EXPECT_EQ(p <= bounded.bound[70], accumulation == datasets::Accumulation::vmac_f32);
    }
}

TEST(Bounds, GammaIsTheTextbookOne) {
    EXPECT_DOUBLE_EQ(gamma(1), 0x1p-24 / (1 - 0x1p-24));
    EXPECT_GT(gamma(3008), 3008 * 0x1p-24);
    EXPECT_EQ(gamma(0), 0);
}

// Fused attention over key tiles in double, with an exp whose relative error is `error(key, d)`, in the
// declared order.
std::vector<double> attention_row(const Fixture& f, std::int64_t row, int tile,
                                  const std::function<double(std::int64_t)>& error) {
    const std::int64_t keys = f.layer_.shape.context;
    double top = -INFINITY;
    double sum = 0;
    std::vector<double> out(datasets::head_width, 0.0);
    std::vector<double> scores(index(keys));
    for (std::int64_t j = 0; j < keys; ++j) {
        float s = 0;
        for (std::int64_t c = 0; c < datasets::head_width; ++c) {
            s += f.at(Op::query, row, c) * f.at(Op::key, j, c);
        }
        scores[index(j)] = double{s * 0.125F};
    }
    for (std::int64_t begin = 0; begin < keys; begin += tile) {
        const std::int64_t end = std::min(keys, begin + tile);
        double next = top;
        for (std::int64_t j = begin; j < end; ++j) {
            next = std::max(next, scores[index(j)]);
        }
        const double rescale = next > top ? std::exp(top - next) * (1 + error(begin)) : 1.0;
        top = next;
        sum *= rescale;
        for (double& value : out) {
            value *= rescale;
        }
        for (std::int64_t j = begin; j < end; ++j) {
            const float argument =
                datasets::round_to_bf16(static_cast<float>(scores[index(j)] - top), Rounding::nearest_even);
            const double weight = std::exp(double{argument}) * (1 + error(j));
            sum += weight;
            for (std::int64_t c = 0; c < datasets::head_width; ++c) {
                out[index(c)] += weight * double{f.at(Op::value, j, c)};
            }
        }
    }
    for (double& value : out) {
        value /= sum;
    }
    return out;
}

// Of fused attention whose exp errs by up to `exp_error`.
Bounded fused_bounds(const Fixture& f, std::int64_t rows, double exp_error) {
    Arithmetic a = product(DType::bf16, Rounding::nearest_even);
    a.key_tile = 64;
    a.exp_argument = DType::bf16;
    a.exp_error = exp_error;
    Bounded out;
    Bounds(f.layer_, f).of(Op::context, {0, 0, rows}, a, true, out);
    return out;
}

double fused_rho(const Fixture& f, double declared_error, const std::function<double(std::int64_t)>& error) {
    const std::int64_t rows = std::min<std::int64_t>(8, f.layer_.shape.context);
    const Bounded expected = fused_bounds(f, rows, declared_error);
    double rho = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
        const auto got = attention_row(f, r, 64, error);
        for (std::size_t c = 0; c < got.size(); ++c) {
            const double stored{datasets::round_to_bf16(static_cast<float>(got[c]), Rounding::nearest_even)};
            const std::size_t i = index(r) * got.size() + c;
            rho = std::max(rho, std::abs(stored - expected.value[i]) / expected.bound[i]);
        }
    }
    return rho;
}

TEST(Bounds, HoldForFusedAttentionWithTheWorstAdmittedExp) {
    for (const std::int64_t context : {1, 64, 65, 200}) {
        for (const float spread : {0.3F, 3.0F}) {
            const Fixture f(context, 1, spread, 11);
            std::mt19937 random(5);
            std::bernoulli_distribution coin;
            EXPECT_LE(fused_rho(f, 0.0102, [&](std::int64_t) { return coin(random) ? 0.0102 : -0.0102; }),
                      1.0)
                << context << " " << spread;
            EXPECT_LE(fused_rho(f, 0.0102, [](std::int64_t j) { return j < 64 ? 0.0102 : -0.0102; }), 1.0);
        }
    }
}

// The worst exp for one channel: weights too large where the value lies above the result, else too small.
TEST(Bounds, OfFusedAttentionAreReachedByAnExpThatErrsAgainstOneChannel) {
    constexpr double exp_error = 0.0102;
    constexpr double unit = 0x1p-9;
    for (const std::int64_t context : {2, 64, 200}) {
        for (const float spread : {0.3F, 3.0F}) {
            for (const float offset : {0.0F, 5.0F, -300.0F}) {
                Fixture f(context, 1, spread, 13);
                for (float& value : f.value_) {
                    value = datasets::round_to_bf16(value + offset, Rounding::nearest_even);
                }
                const Bounded expected = fused_bounds(f, 1, exp_error);
                double reached = 0;
                for (std::size_t c = 0; c < index(datasets::head_width); ++c) {
                    const auto got = attention_row(f, 0, 64, [&](std::int64_t j) {
                        return double{f.at(Op::value, j, std::int64_t(c))} > expected.value[c] ? exp_error
                                                                                               : -exp_error;
                    });
                    const double before_store = expected.bound[c] - unit * std::abs(expected.value[c]);
                    reached = std::max(reached, std::abs(got[c] - expected.value[c]) / before_store);
                }
                EXPECT_LE(reached, 1.0) << context << " " << spread << " " << offset;
                // Beyond, the roundings of the sums weigh more.
                if (spread < 1 && context == 64 && offset >= 0) {
                    EXPECT_GT(reached, 0.4) << "slack: " << context << " " << offset;
                }
            }
        }
    }
}

// An error of exp moves a mean only by what the values differ, a gain moves all of it.
TEST(Bounds, OfFusedAttentionAreBelowAGainOfHalfAPercent) {
    const auto seen = [](const Fixture& f) {
        const Bounded expected = fused_bounds(f, 8, 0.0102);
        double most = 0;
        for (std::size_t i = 0; i < expected.value.size(); ++i) {
            most = std::max(most, 0.005 * std::abs(expected.value[i]) / expected.bound[i]);
        }
        return most;
    };
    EXPECT_GT(seen(Fixture(200, 1, 3.0F, 14)), 1.0) << "rows that one key rules";
    Fixture alike(200, 1, 0.3F, 14);
    for (float& value : alike.value_) {
        value = datasets::round_to_bf16(5 + value / 64, Rounding::nearest_even);
    }
    EXPECT_GT(seen(alike), 1.0) << "values that lie together";
    EXPECT_LT(seen(Fixture(200, 1, 0.3F, 14)), 1.0) << "neither";
}

TEST(Bounds, DoNotAdmitAnExpTenTimesWorseThanDeclared) {
    const Fixture f(200, 1, 0.3F, 12);
    EXPECT_GT(fused_rho(f, 0.0102, [](std::int64_t j) { return j < 100 ? 0.102 : -0.102; }), 1.0);
}

// Softmax on supplied scores: the oracle is the closed form, the bound must hold for the declared exp error.
TEST(Bounds, HoldForProbabilitiesAndFailForAMissingKey) {
    class Scores : public datasets::Source {
    public:
        void rows(Op, Rows rows, std::span<float> out) const override {
            for (std::int64_t r = 0; r < rows.count; ++r) {
                for (std::int64_t j = 0; j < 150; ++j) {
                    out[index(r * 150 + j)] = static_cast<float>((j * 37 % 101) - 50) * 0.2F;
                }
            }
        }
    };
    datasets::LayerCase layer;
    layer.shape = {150, 1};
    const Scores scores;
    const Bounds bounds(layer, scores);
    Arithmetic a;
    a.store = DType::bf16;
    a.key_tile = 64;
    a.exp_argument = DType::bf16;
    a.exp_error = 0.0102;
    Bounded expected;
    bounds.of(Op::probabilities, {0, 0, 1}, a, false, expected);
    std::vector<float> s(150);
    scores.rows(Op::scores, {0, 0, 1}, s);
    double honest = 0;
    double without = 0;
    for (std::size_t j = 0; j < s.size(); ++j) {
        const double weight = std::exp(double{s[j]} - 10) * (j % 2 == 0 ? 1.0102 : 0.9898);
        honest += weight;
        without += j == 100 ? 0.0 : weight;
    }
    double rho_honest = 0;
    double rho_without = 0;
    double closed_form = 0;
    for (std::size_t j = 0; j < s.size(); ++j) {
        closed_form += expected.value[j];
        const double weight = std::exp(double{s[j]} - 10) * (j % 2 == 0 ? 1.0102 : 0.9898);
        rho_honest = std::max(rho_honest, std::abs(weight / honest - expected.value[j]) / expected.bound[j]);
        rho_without =
            std::max(rho_without,
                     std::abs((j == 100 ? 0.0 : weight) / without - expected.value[j]) / expected.bound[j]);
    }
    EXPECT_NEAR(closed_form, 1.0, 1e-12);
    EXPECT_LE(rho_honest, 1.0);
    EXPECT_GT(rho_without, 1.0);
}

}  // namespace
}  // namespace harness
