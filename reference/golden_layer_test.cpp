// A whole layer of the golden path: every op against the fp64 oracle, and what it promises beside accuracy.
#include "reference/golden_layer.hpp"

#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <stdexcept>
#include <tuple>

#include "reference/golden.hpp"
#include "reference/golden_source.hpp"
#include "reference/layers_for_tests.hpp"
#include "reference/oracle.hpp"

namespace reference {
namespace {

using datasets::LayerCase;
using datasets::LayerShape;
using datasets::Op;
using datasets::OpRange;
using datasets::Rows;

// Relative Frobenius error of an op of `got` against the oracle on the golden upstream: all rows and heads.
double oracle_error(const LayerCase& layer, const datasets::Source& upstream, const Collector& got, Op op) {
    constexpr std::int64_t rows_at_once = 8;
    const std::int64_t heads = datasets::has_heads(op) ? layer.shape.heads : 1;
    const std::int64_t blocks = (layer.shape.context + rows_at_once - 1) / rows_at_once;
    std::vector<RelativeError> errors(static_cast<std::size_t>(heads * blocks));
    tbb::parallel_for(std::size_t{0}, errors.size(), [&](std::size_t i) {
        const std::int64_t begin = static_cast<std::int64_t>(i) % blocks * rows_at_once;
        const int head =
            datasets::has_heads(op) ? static_cast<int>(static_cast<std::int64_t>(i) / blocks) : -1;
        const Rows rows{head, begin, std::min(rows_at_once, layer.shape.context - begin)};
        const std::vector<float> values = got.rows(op, rows);
        std::vector<double> expected(values.size());
        oracle_rows(op, rows, layer, upstream, expected, {});
        errors[i].add(values, expected);
    });
    RelativeError all;
    for (const RelativeError& error : errors) {
        all.error += error.error;
        all.reference += error.reference;
    }
    return all.value();
}

using ContextAndHeads = std::tuple<std::int64_t, int>;

class WholeLayerAgainstOracle : public ::testing::TestWithParam<ContextAndHeads> {};

TEST_P(WholeLayerAgainstOracle, EveryOp) {
    const auto [context, heads] = GetParam();
    const LayerCase layer = whole_layer({context, heads}, Logits::hard);
    const GoldenSource source(layer);
    EXPECT_EQ(source.ops(), datasets::layer_ops);
    const datasets::Work work{datasets::layer_ops, -1};
    Collector got(layer.shape, work, ops_of(work.ops));
    const auto parts = GoldenLayer(layer).compute(work, GuardedSource(source, {Op::embedding}), got);
    EXPECT_EQ(got.faults(), 0);
    ASSERT_EQ(parts.size(), ops_of(work.ops).size());
    for (const datasets::OpInfo& info : datasets::ops_in(work.ops)) {
        EXPECT_EQ(got.blocks(info.op), layer.shape.blocks() * (datasets::has_heads(info.op) ? heads : 1));
        const bool product = info.reduction(layer.shape) > 0 || info.op == Op::probabilities;
        EXPECT_LE(oracle_error(layer, source, got, info.op), product ? 1e-5 : 5e-8) << info.name;
    }
}

std::string case_name(const ::testing::TestParamInfo<ContextAndHeads>& info) {
    return "T" + std::to_string(std::get<0>(info.param)) + "_heads" + std::to_string(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Ragged, WholeLayerAgainstOracle,
                         ::testing::Combine(::testing::Values(1, 63, 64, 65, 127, 250),
                                            ::testing::Values(6, 8)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Large, WholeLayerAgainstOracle, ::testing::Values(ContextAndHeads{65, 20}),
                         case_name);

class WholeLayer : public ::testing::Test {
protected:
    static constexpr OpRange all = datasets::layer_ops;

    static Collector run(const LayerCase& layer, OpRange range, const datasets::Source& source,
                         std::set<Op> wanted) {
        Collector out(layer.shape, {range, -1}, std::move(wanted));
        GoldenLayer(layer).compute({range, -1}, source, out);
        return out;
    }

    // More rows than one task of any kind takes, and a ragged end.
    const LayerCase layer_ = whole_layer({450, 2}, Logits::hard);
    const GoldenSource source_{layer_};
    const Collector whole_ = run(layer_, all, source_, ops_of(all));
};

TEST_F(WholeLayer, HasTheSameBitsWithAnyNumberOfThreads) {
    for (const std::size_t threads : {1U, 2U, 5U}) {
        const tbb::global_control control(tbb::global_control::max_allowed_parallelism, threads);
        const Collector got = run(layer_, all, source_, ops_of(all));
        for (const datasets::OpInfo& info : datasets::ops_in(all)) {
            EXPECT_EQ(got.tensor(info.op), whole_.tensor(info.op)) << info.name << " with " << threads;
        }
    }
}

// Who listens does not matter, not even to the ops that work in place.
TEST_F(WholeLayer, TheListenerDoesNotChangeTheResult) {
    for (const datasets::OpInfo& info : datasets::ops_in(all)) {
        const Collector got = run(layer_, all, source_, {info.op});
        EXPECT_EQ(got.faults(), 0);
        EXPECT_EQ(got.tensor(info.op), whole_.tensor(info.op)) << info.name;
    }
}

// Every contiguous range asks for nothing that it computes itself or does not need, reports one part per op,
// and agrees with the whole: bit for bit unless scores had to be computed anew.
TEST_F(WholeLayer, EveryRangeEqualsTheWhole) {
    const auto ops = datasets::ops_in(all);
    for (std::size_t first = 0; first < ops.size(); ++first) {
        for (std::size_t last = first; last < ops.size(); ++last) {
            const OpRange range{ops[first].op, ops[last].op};
            SCOPED_TRACE(std::string(ops[first].name) + ".." + std::string(ops[last].name));
            const std::set<Op> needed = upstream_of(range);
            const GuardedSource guarded(source_, needed);
            Collector got(layer_.shape, {range, -1}, ops_of(range));
            const auto parts = GoldenLayer(layer_).compute({range, -1}, guarded, got);
            EXPECT_EQ(guarded.asked(), needed);
            EXPECT_EQ(got.faults(), 0);
            ASSERT_EQ(parts.size(), last - first + 1);
            const bool anew = range.first == Op::probabilities || range.first == Op::context;
            for (std::size_t i = 0; i < parts.size(); ++i) {
                const Op op = ops[first + i].op;
                EXPECT_EQ(parts[i].ops, (OpRange{op, op}));
                EXPECT_GT(parts[i].seconds, 0) << datasets::name(op);
                if (!anew) {
                    EXPECT_EQ(got.tensor(op), whole_.tensor(op)) << datasets::name(op);
                    continue;
                }
                RelativeError error;
                error.add(got.tensor(op), whole_.tensor(op));
                EXPECT_LE(error.value(), 2e-5) << datasets::name(op);
            }
        }
    }
}

// Shares are shares: what the ops of a block get adds up to no more than the call took.
TEST_F(WholeLayer, PartsSayHowTheyWereTimed) {
    datasets::NullSink nowhere;
    const Lap lap_start;
    Lap lap = lap_start;
    const auto parts = GoldenLayer(layer_).compute({all, -1}, source_, nowhere);
    const double wall = lap();
    double sum = 0;
    for (const datasets::Part& part : parts) {
        const Op op = part.ops.first;
        const bool shared = (Op::scores <= op && op <= Op::context) || op >= Op::attention_residual;
        EXPECT_EQ(part.clock, shared ? datasets::Clock::host_share : datasets::Clock::host_wall);
        sum += part.seconds;
    }
    EXPECT_LE(sum, wall);
}

TEST_F(WholeLayer, CollectsRowStatisticsOnTheWay) {
    RowStatistics statistics;
    GoldenLayer golden(layer_);
    golden.collect_row_statistics(&statistics);
    datasets::NullSink nowhere;
    golden.compute({all, -1}, source_, nowhere);
    EXPECT_EQ(statistics.max, source_.row_statistics().max);
    EXPECT_EQ(statistics.log_sum_exp, source_.row_statistics().log_sum_exp);
    EXPECT_EQ(statistics.max.size(), std::size_t{900});
}

// Pieces of one path share their memory, and may still run side by side.
TEST_F(WholeLayer, PiecesOfOnePathMayRunConcurrently) {
    GoldenPath path;
    const LayerCase other = whole_layer({200, 2}, Logits::benign, 90);
    const GoldenSource other_source(other);
    const Collector other_whole = run(other, all, other_source, ops_of(all));
    const auto first = path.prepare(layer_);
    const auto second = path.prepare(other);
    for (int round = 0; round < 3; ++round) {
        Collector a(layer_.shape, {all, -1}, {Op::block, Op::fc1});
        Collector b(other.shape, {all, -1}, {Op::block, Op::fc1});
        tbb::parallel_for(0, 2, [&](int which) {
            which == 0 ? first->compute({all, -1}, source_, a) : second->compute({all, -1}, other_source, b);
        });
        for (const Op op : {Op::block, Op::fc1}) {
            EXPECT_EQ(a.tensor(op), whole_.tensor(op));
            EXPECT_EQ(b.tensor(op), other_whole.tensor(op));
        }
    }
}

TEST_F(WholeLayer, OfAPartialLayerOnlyTheAttention) {
    LayerCase layer = layer_;
    layer.weights.attention_norm = {};
    layer.weights.mlp_norm = {};
    layer.weights.fc1 = {};
    layer.weights.fc2 = {};
    datasets::NullSink nowhere;
    GoldenLayer golden(layer);
    EXPECT_EQ(golden.compute({}, source_, nowhere).size(), std::size_t{datasets::attention_op_count});
    EXPECT_THROW(golden.compute({all, -1}, source_, nowhere), std::invalid_argument);
    EXPECT_THROW(golden.compute({{Op::fc2, Op::fc2}, -1}, source_, nowhere), std::invalid_argument);
    // Neither stream nor norms are of use without the other.
    EXPECT_THROW(GoldenSource{layer}, std::invalid_argument);
}

TEST_F(WholeLayer, RefusesWhatDoesNotFit) {
    datasets::NullSink nowhere;
    GoldenLayer golden(layer_);
    EXPECT_THROW(golden.compute({{Op::embedding, Op::block}, -1}, source_, nowhere), std::invalid_argument);
    EXPECT_THROW(golden.compute({{Op::fc1, Op::encoder}, -1}, source_, nowhere), std::invalid_argument);
    EXPECT_THROW(golden.compute({{Op::fc1, Op::fc2}, 0}, source_, nowhere), std::invalid_argument);
    EXPECT_THROW(golden.compute({all, 1}, source_, nowhere), std::invalid_argument);
    const auto broken = [&](const auto& breakage) {
        LayerCase layer = layer_;
        breakage(layer);
        EXPECT_THROW(GoldenLayer{layer}, std::invalid_argument);
    };
    broken([](LayerCase& layer) { layer.weights.fc1.weight.pop_back(); });
    broken([](LayerCase& layer) { layer.weights.fc1 = {}; });
    broken([](LayerCase& layer) { layer.weights.fc2.bias.pop_back(); });
    broken([](LayerCase& layer) { layer.weights.mlp_norm.bias.pop_back(); });
    broken([](LayerCase& layer) { layer.weights.attention_norm.gain.clear(); });
    broken([](LayerCase& layer) { layer.stream.pop_back(); });
}

// The source of a whole layer serves what the golden pushes, bit for bit where it says so.
TEST_F(WholeLayer, SourceServesEveryOp) {
    const Rows rows{-1, 61, 200};
    for (const datasets::OpInfo& info : datasets::ops_in(all)) {
        if (info.form == datasets::Form::square || datasets::has_heads(info.op)) {
            continue;
        }
        const std::vector<float> expected = whole_.rows(info.op, rows);
        std::vector<float> got(expected.size());
        source_.rows(info.op, rows, got);
        EXPECT_EQ(got, expected) << info.name;
        if (info.op != Op::gelu) {
            EXPECT_TRUE(std::ranges::equal(source_.tensor(info.op), whole_.tensor(info.op))) << info.name;
        }
    }
    std::vector<float> stream(layer_.stream.size());
    source_.rows(Op::embedding, {-1, 0, 450}, stream);
    EXPECT_EQ(stream, layer_.stream);
    EXPECT_THROW(static_cast<void>(source_.tensor(Op::gelu)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(source_.tensor(Op::encoder)), std::invalid_argument);
    EXPECT_THROW(source_.rows(Op::gelu, {-1, 0, 450}, stream), std::invalid_argument);
    EXPECT_THROW(source_.rows(Op::fc1, {0, 0, 1}, std::span(stream).first(64)), std::invalid_argument);
}

}  // namespace
}  // namespace reference
