// The golden path against the fp64 oracle, and what it promises beside accuracy: one result whatever the
// threads, the range or the listener, a sink that is served in order, sources that are asked only for what
// lies before the range.
#include "reference/golden.hpp"

#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <numeric>
#include <stdexcept>
#include <tuple>

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

// Rows to compare: all of them, or the edges of blocks and a few between.
std::vector<Rows> compared_rows(std::int64_t context, int head) {
    if (context <= 250) {
        return {{head, 0, context}};
    }
    std::vector<Rows> rows;
    for (const std::int64_t begin :
         {std::int64_t{0}, std::int64_t{63}, std::int64_t{191}, std::int64_t{700}, context - 2}) {
        rows.push_back({head, begin, 2});
    }
    return rows;
}

// Relative Frobenius error of an op of `got` against the oracle on the golden upstream, over all heads.
double oracle_error(const LayerCase& layer, const datasets::Source& upstream, const Collector& got, Op op) {
    std::vector<RelativeError> errors(
        static_cast<std::size_t>(datasets::has_heads(op) ? layer.shape.heads : 1));
    tbb::parallel_for(std::size_t{0}, errors.size(), [&](std::size_t i) {
        for (const Rows& rows : compared_rows(layer.shape.context, datasets::has_heads(op) ? int(i) : -1)) {
            const std::vector<float> values = got.rows(op, rows);
            std::vector<double> expected(values.size());
            oracle_rows(op, rows, layer, upstream, expected, {});
            errors[i].add(values, expected);
        }
    });
    RelativeError all;
    for (const RelativeError& error : errors) {
        all.error += error.error;
        all.reference += error.reference;
    }
    return all.value();
}

using ShapeAndLogits = std::tuple<std::int64_t, int, Logits>;

class GoldenAgainstOracle : public ::testing::TestWithParam<ShapeAndLogits> {};

TEST_P(GoldenAgainstOracle, EveryOpWithinOneInAHundredThousand) {
    const auto [context, heads, logits] = GetParam();
    const LayerCase layer = random_layer({context, heads}, logits);
    const GoldenSource source(layer);
    Collector got(layer.shape);
    GoldenLayer(layer).compute({}, GuardedSource(source, {Op::attention_norm}), got);
    EXPECT_EQ(got.faults(), 0);
    for (const datasets::OpInfo& info : datasets::ops_in(datasets::attention_ops)) {
        EXPECT_EQ(got.blocks(info.op), layer.shape.blocks() * (datasets::has_heads(info.op) ? heads : 1));
        EXPECT_LE(oracle_error(layer, source, got, info.op), 1e-5) << info.name;
    }
}

std::string case_name(const ::testing::TestParamInfo<ShapeAndLogits>& info) {
    return "T" + std::to_string(std::get<0>(info.param)) + "_heads" +
           std::to_string(std::get<1>(info.param)) +
           (std::get<2>(info.param) == Logits::hard ? "_hard" : "_benign");
}

INSTANTIATE_TEST_SUITE_P(AllRows, GoldenAgainstOracle,
                         ::testing::Combine(::testing::Values(1, 63, 64, 65, 127, 250),
                                            ::testing::Values(6, 8),
                                            ::testing::Values(Logits::benign, Logits::hard)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(SampledRows, GoldenAgainstOracle,
                         ::testing::Values(ShapeAndLogits{1499, 6, Logits::hard},
                                           ShapeAndLogits{1500, 8, Logits::hard},
                                           ShapeAndLogits{3001, 8, Logits::hard}),
                         case_name);

TEST(Golden, HardLayersAreHard) {
    const LayerCase layer = random_layer({250, 8}, Logits::hard);
    const GoldenSource source(layer);
    const auto& maxima = source.row_statistics().max;
    const float negative = *std::max_element(maxima.begin(), maxima.begin() + 250);
    EXPECT_LT(negative, 0.0F);
    EXPECT_GT(negative, -15.0F);
    std::vector<float> scores(250 * 250);
    source.rows(Op::scores, {5, 0, 250}, scores);
    EXPECT_GT(*std::ranges::max_element(scores), 75.0F);
    EXPECT_LT(*std::ranges::min_element(scores), -75.0F);
}

class GoldenPromises : public ::testing::Test {
protected:
    static Collector run(const LayerCase& layer, datasets::Work work, const datasets::Source& source,
                         std::set<Op> wanted) {
        Collector out(layer.shape, work, std::move(wanted));
        GoldenLayer(layer).compute(work, source, out);
        return out;
    }

    const LayerCase layer_ = random_layer({450, 6}, Logits::hard);
    const GoldenSource source_{layer_};
    const Collector whole_ = [this] {
        Collector out(layer_.shape);
        GoldenLayer(layer_).compute({}, source_, out);
        return out;
    }();
};

TEST_F(GoldenPromises, SameBitsWithAnyNumberOfThreads) {
    for (const std::size_t threads : {1U, 2U, 7U}) {
        const tbb::global_control control(tbb::global_control::max_allowed_parallelism, threads);
        Collector got(layer_.shape);
        GoldenLayer golden(layer_);
        golden.compute({}, source_, got);
        for (const datasets::OpInfo& info : datasets::ops_in(datasets::attention_ops)) {
            EXPECT_EQ(got.tensor(info.op), whole_.tensor(info.op)) << info.name << " with " << threads;
        }
    }
}

TEST_F(GoldenPromises, TheListenerDoesNotChangeTheResult) {
    const Collector quiet = run(layer_, {}, source_, {Op::output});
    EXPECT_EQ(quiet.tensor(Op::output), whole_.tensor(Op::output));
    EXPECT_EQ(quiet.faults(), 0);
    EXPECT_EQ(quiet.blocks(Op::probabilities), 0);
    const Collector half = run(layer_, {}, source_, {Op::context});
    EXPECT_EQ(half.tensor(Op::context), whole_.tensor(Op::context));
}

// Every contiguous range: it agrees with the whole, asks for nothing that it computes itself or does not
// need, and reports one part per op.
TEST_F(GoldenPromises, EveryRangeEqualsTheWhole) {
    const auto ops = datasets::ops_in(datasets::attention_ops);
    for (std::size_t first = 0; first < ops.size(); ++first) {
        for (std::size_t last = first; last < ops.size(); ++last) {
            const OpRange range{ops[first].op, ops[last].op};
            const std::set<Op> needed = upstream_of(range);
            SCOPED_TRACE(std::string(ops[first].name) + ".." + std::string(ops[last].name));
            const GuardedSource guarded(source_, needed);
            Collector got(layer_.shape, {range, -1});
            const auto parts = GoldenLayer(layer_).compute({range, -1}, guarded, got);
            EXPECT_EQ(guarded.asked(), needed);
            EXPECT_EQ(got.faults(), 0);
            ASSERT_EQ(parts.size(), last - first + 1);
            for (std::size_t i = 0; i < parts.size(); ++i) {
                const Op op = ops[first + i].op;
                EXPECT_EQ(parts[i].ops, (OpRange{op, op}));
                EXPECT_GT(parts[i].seconds, 0);
                const bool shared = op == Op::scores || op == Op::probabilities || op == Op::context;
                EXPECT_EQ(parts[i].clock, shared ? datasets::Clock::host_share : datasets::Clock::host_wall);
                RelativeError error;
                ASSERT_EQ(got.tensor(op).size(), whole_.tensor(op).size());
                error.add(got.tensor(op), whole_.tensor(op));
                // Scores that were computed anew for other row blocks may differ in their last bits, which
                // exp multiplies by the size of the logits.
                EXPECT_LE(error.value(), 1e-5) << ops[first + i].name;
            }
            for (const datasets::OpInfo& info : ops) {
                EXPECT_EQ(got.blocks(info.op) > 0, range.contains(info.op)) << info.name;
            }
        }
    }
}

TEST_F(GoldenPromises, ASingleHeadEqualsTheWhole) {
    constexpr int head = 4;
    GoldenLayer golden(layer_);
    const datasets::Work chained{{Op::query, Op::context}, head};
    Collector got(layer_.shape, chained);
    golden.compute(chained, GuardedSource(source_, {Op::attention_norm}), got);
    EXPECT_EQ(got.faults(), 0);
    for (const datasets::OpInfo& info : datasets::ops_in({Op::query, Op::context})) {
        EXPECT_EQ(got.blocks(info.op), layer_.shape.blocks()) << info.name;
        const Rows rows{head, 0, layer_.shape.context};
        RelativeError error;
        error.add(got.rows(info.op, rows), whole_.rows(info.op, rows));
        EXPECT_LE(error.value(), 1e-5) << info.name;
    }
    Collector isolated(layer_.shape);
    golden.compute({{Op::context, Op::context}, head}, GuardedSource(source_, {Op::probabilities, Op::value}),
                   isolated);
    EXPECT_EQ(isolated.blocks(Op::context), layer_.shape.blocks());
}

// One object may be used again, for another range and another head.
TEST_F(GoldenPromises, BuffersMayBeReused) {
    GoldenLayer golden(layer_);
    Collector first(layer_.shape);
    Collector second(layer_.shape);
    datasets::NullSink nowhere;
    golden.compute({}, source_, first);
    golden.compute({{Op::probabilities, Op::context}, 3}, source_, nowhere);
    golden.compute({}, source_, second);
    EXPECT_EQ(first.tensor(Op::output), second.tensor(Op::output));
    EXPECT_EQ(first.tensor(Op::probabilities), second.tensor(Op::probabilities));
}

TEST_F(GoldenPromises, ProbabilitiesOfARowSumToOne) {
    const auto& probabilities = whole_.tensor(Op::probabilities);
    for (auto row = probabilities.begin(); row != probabilities.end(); row += layer_.shape.context) {
        const double sum = std::accumulate(row, row + layer_.shape.context, 0.0);
        ASSERT_NEAR(sum, 1.0, 1e-6);
        ASSERT_GE(*std::min_element(row, row + layer_.shape.context), 0.0F);
    }
}

TEST_F(GoldenPromises, RowStatisticsAgreeWithTheOracle) {
    const std::int64_t context = layer_.shape.context;
    std::vector<double> scores(static_cast<std::size_t>(context * context));
    for (const int head : {0, 5}) {
        oracle_rows(Op::scores, {head, 0, context}, layer_, source_, scores, {});
        for (std::int64_t i = 0; i < context; ++i) {
            const auto row = scores.begin() + i * context;
            const double maximum = *std::max_element(row, row + context);
            double sum = 0;
            for (std::int64_t j = 0; j < context; ++j) {
                sum += std::exp(row[j] - maximum);
            }
            const auto at = static_cast<std::size_t>(head * context + i);
            ASSERT_NEAR(double{source_.row_statistics().max[at]}, maximum, 1e-4);
            ASSERT_NEAR(double{source_.row_statistics().log_sum_exp[at]}, maximum + std::log(sum), 1e-4);
        }
    }
}

// Identities of attention that need no second implementation.
class ConstantOp final : public datasets::Source {
public:
    ConstantOp(const datasets::Source& inner, Op op, float constant)
        : inner_(inner), op_(op), constant_(constant) {}
    void rows(Op op, Rows rows, std::span<float> out) const override {
        if (op != op_) {
            return inner_.rows(op, rows, out);
        }
        std::ranges::fill(out, constant_);
    }

private:
    const datasets::Source& inner_;
    Op op_;
    float constant_;
};

TEST_F(GoldenPromises, ValuesOfOneGiveContextOfOne) {
    const ConstantOp ones(source_, Op::value, 1);
    const Collector got = run(layer_, {{Op::scores, Op::context}, -1}, ones, {Op::context});
    for (const float value : got.tensor(Op::context)) {
        ASSERT_NEAR(value, 1.0F, 1e-6F);
    }
}

TEST_F(GoldenPromises, KeysOfZeroGiveTheMeanOfTheValues) {
    const ConstantOp zeros(source_, Op::key, 0);
    const Collector got = run(layer_, {{Op::scores, Op::context}, -1}, zeros, {Op::context});
    const auto width = static_cast<std::size_t>(layer_.shape.width());
    std::vector<double> mean(width);
    const std::span<const float> values = source_.tensor(Op::value);
    for (std::size_t i = 0; i < values.size(); ++i) {
        mean[i % width] += double{values[i]} / static_cast<double>(layer_.shape.context);
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_NEAR(double{got.tensor(Op::context)[i]}, mean[i % width], 1e-5);
    }
}

// Adds a constant to every score.
class ShiftedScores final : public datasets::Source {
public:
    ShiftedScores(const datasets::Source& inner, float shift) : inner_(inner), shift_(shift) {}
    void rows(Op op, Rows rows, std::span<float> out) const override {
        inner_.rows(op, rows, out);
        if (op == Op::scores) {
            for (float& score : out) {
                // On a grid of 2^-10, so that the shift is exact.
                score = std::round(score * 1024) / 1024 + shift_;
            }
        }
    }

private:
    const datasets::Source& inner_;
    float shift_;
};

TEST_F(GoldenPromises, AShiftOfTheLogitsChangesNothing) {
    const OpRange softmax{Op::probabilities, Op::context};
    const Collector plain =
        run(layer_, {softmax, -1}, ShiftedScores(source_, 0), {Op::probabilities, Op::context});
    for (const float shift : {100.0F, -100.0F, 500.0F}) {
        const Collector got =
            run(layer_, {softmax, -1}, ShiftedScores(source_, shift), {Op::probabilities, Op::context});
        EXPECT_EQ(got.tensor(Op::probabilities), plain.tensor(Op::probabilities)) << shift;
        EXPECT_EQ(got.tensor(Op::context), plain.tensor(Op::context)) << shift;
    }
}

TEST_F(GoldenPromises, RefusesWhatItCannotCompute) {
    GoldenLayer golden(layer_);
    datasets::NullSink sink;
    const auto compute = [&](OpRange ops, int head) { golden.compute({ops, head}, source_, sink); };
    EXPECT_THROW(compute({Op::attention_norm, Op::output}, -1), std::invalid_argument);
    EXPECT_THROW(compute({Op::query, Op::fc1}, -1), std::invalid_argument);
    EXPECT_THROW(compute({Op::context, Op::query}, -1), std::invalid_argument);
    EXPECT_THROW(compute({Op::query, Op::context}, 6), std::invalid_argument);
    EXPECT_THROW(compute({Op::query, Op::context}, -2), std::invalid_argument);
    EXPECT_THROW(compute({Op::query, Op::output}, 2), std::invalid_argument);
    LayerCase broken = layer_;
    broken.weights.attention.value.weight.pop_back();
    EXPECT_THROW(GoldenLayer{broken}, std::invalid_argument);
    broken = layer_;
    broken.input.resize(3);
    EXPECT_THROW(GoldenLayer{broken}, std::invalid_argument);
}

// A fault inside a source reaches the caller.
TEST_F(GoldenPromises, FaultsOfASourceReachTheCaller) {
    datasets::NullSink sink;
    GoldenLayer golden(layer_);
    EXPECT_THROW(golden.compute({{Op::context, Op::context}, -1}, GuardedSource(source_, {Op::value}), sink),
                 std::logic_error);
}

TEST(GoldenPath, HasEveryOpOfTheEncoderAlone) {
    GoldenPath path;
    EXPECT_EQ(path.name(), "golden");
    ASSERT_EQ(path.steps().size(), std::size_t{datasets::op_count - 1});
    const auto ops = datasets::ops_in({Op::conv1, Op::encoder});
    for (std::size_t i = 0; i < ops.size(); ++i) {
        EXPECT_EQ(path.steps()[i], (OpRange{ops[i].op, ops[i].op}));
        EXPECT_TRUE(path.emits(ops[i].op));
        EXPECT_EQ(path.arithmetic(ops[i].op).operand, datasets::DType::f32);
        EXPECT_EQ(path.arithmetic(ops[i].op).accumulation, datasets::Accumulation::blas_f32);
    }
    EXPECT_FALSE(path.emits(Op::mel));
    EXPECT_GT(path.arithmetic(Op::gelu).function_error, 0);
    EXPECT_EQ(path.arithmetic(Op::fc2).function_error, 0);
    const LayerCase layer = random_layer({65, 1});
    const auto prepared = path.prepare(layer);
    const auto planned = prepared->planned({});
    ASSERT_EQ(planned.size(), std::size_t{datasets::attention_op_count});
    for (const datasets::Part& part : planned) {
        EXPECT_EQ(part.clock, datasets::Clock::none);
        EXPECT_EQ(part.launches + part.tiles + part.bytes, 0);
        EXPECT_EQ(part.seconds, 0);
    }
    EXPECT_EQ(prepared->locate(Op::scores, 0, 0, 0), std::nullopt);
}

}  // namespace
}  // namespace reference
