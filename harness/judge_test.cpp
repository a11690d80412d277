// The judge over norms and MLP: honest arithmetic passes, every planted flaw fails, isolated and chained, on
// a path that is written in plain loops apart from any device (self_check/declared_path.hpp).
#include "harness/judge.hpp"
#include "harness/index.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <random>

#include "datasets/case_name_test.hpp"
#include "harness/experiment.hpp"
#include "harness/self_check/declared_path.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Rows;

constexpr OpRange attention_norm{Op::attention_norm, Op::attention_norm};
constexpr OpRange mlp{Op::mlp_norm, Op::fc2};

// A layer with norms and MLP, and what enters them: channels of very different size, rows that are nearly and
// wholly constant. It is its own golden, in fp64 rounded to fp32.
class Fixture final : public datasets::Source {
public:
    explicit Fixture(datasets::LayerShape shape, unsigned seed = 1) {
        layer_.shape = shape;
        const std::int64_t width = shape.width();
        const std::int64_t hidden = shape.mlp_width();
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        const auto fill = [&](std::vector<float>& values, std::int64_t count, float mean, float deviation) {
            values.resize(index(count));
            for (float& value : values) {
                value = mean + deviation * normal(random);
            }
        };
        for (datasets::Norm* norm : {&layer_.weights.attention_norm, &layer_.weights.mlp_norm, &end_.norm}) {
            fill(norm->gain, width, 1, 0.4F);
            fill(norm->bias, width, 0, 0.3F);
        }
        const float fan_in = 1 / std::sqrt(static_cast<float>(width));
        fill(layer_.weights.fc1.weight, hidden * width, 0, 1.5F * fan_in);
        fill(layer_.weights.fc1.bias, hidden, -0.5F, 0.5F);
        fill(layer_.weights.fc2.weight, width * hidden, 0, 0.5F * fan_in);
        fill(layer_.weights.fc2.bias, width, 0, 0.5F);
        end_.shape = shape;
        for (const Op op : {Op::embedding, Op::attention_residual, Op::block}) {
            std::vector<float>& tensor = tensors_[op];
            fill(tensor, shape.context * width, 0.2F, 1);
            for (std::int64_t row = 0; row < shape.context; ++row) {
                tensor[index(row * width + 5)] = 40 + normal(random);
            }
            for (std::int64_t column = 0; column < width; ++column) {
                tensor[index(column)] = 0.5F + 1e-3F * normal(random);
                if (shape.context > 1) {
                    tensor[index(width + column)] = 0.25F;
                }
            }
        }
        normalise(Op::attention_norm, Op::embedding, layer_.weights.attention_norm);
        normalise(Op::mlp_norm, Op::attention_residual, layer_.weights.mlp_norm);
        normalise(Op::encoder, Op::block, end_.norm);
        multiply(Op::fc1, Op::mlp_norm, layer_.weights.fc1);
        for (const float x : tensors_[Op::fc1]) {
            const double wide{x};
            tensors_[Op::gelu].push_back(
                static_cast<float>(0.5 * wide * std::erfc(-wide / std::numbers::sqrt2)));
        }
        multiply(Op::fc2, Op::gelu, layer_.weights.fc2);
    }

    void rows(Op op, Rows rows, std::span<float> out) const override {
        const std::int64_t width = datasets::row_width(op, layer_.shape);
        std::copy_n(tensors_.at(op).begin() + rows.begin * width, rows.count * width, out.begin());
    }

    datasets::LayerCase layer_;
    datasets::EndCase end_;

private:
    void normalise(Op op, Op input, const datasets::Norm& norm) {
        const auto width = index(layer_.shape.width());
        const std::vector<float>& x = tensors_.at(input);
        for (std::size_t at = 0; at < x.size(); at += width) {
            double mean = 0;
            double square = 0;
            for (std::size_t j = 0; j < width; ++j) {
                mean += double{x[at + j]} / double(width);
            }
            for (std::size_t j = 0; j < width; ++j) {
                const double d = double{x[at + j]} - mean;
                square += d * d / double(width);
            }
            for (std::size_t j = 0; j < width; ++j) {
                const double n = (double{x[at + j]} - mean) / std::sqrt(square + 1e-5);
                tensors_[op].push_back(static_cast<float>(n * double{norm.gain[j]} + double{norm.bias[j]}));
            }
        }
    }

    void multiply(Op op, Op input, const datasets::Linear& linear) {
        const std::size_t outputs = linear.bias.size();
        const std::size_t inputs = linear.weight.size() / outputs;
        const std::vector<float>& x = tensors_.at(input);
        for (std::size_t row = 0; row < x.size() / inputs; ++row) {
            for (std::size_t j = 0; j < outputs; ++j) {
                double sum{linear.bias[j]};
                for (std::size_t k = 0; k < inputs; ++k) {
                    sum += double{x[row * inputs + k]} * double{linear.weight[j * inputs + k]};
                }
                tensors_[op].push_back(static_cast<float>(sum));
            }
        }
    }

    std::map<Op, std::vector<float>> tensors_;
};

// Statistics by op of one run over `range`.
std::map<Op, OpStatistics> judged(const Fixture& fixture, OpRange range, Input input, Planted planted = {}) {
    DeclaredPath path(planted);
    std::map<Op, OpStatistics> out;
    const bool end = range == datasets::end_ops;
    const datasets::LayerCase layer = rounded_weights(fixture.layer_, path);
    const datasets::EndCase last = rounded_weights(fixture.end_, path);
    std::unique_ptr<Judge> judge;
    std::unique_ptr<datasets::PreparedLayer> prepared;
    if (end) {
        judge = std::make_unique<Judge>(last, path, fixture, input);
        prepared = path.prepare(fixture.end_);
    } else {
        judge = std::make_unique<Judge>(layer, range, path, fixture, input, -1);
        prepared = path.prepare(fixture.layer_);
    }
    if (input == Input::chained) {
        prepared->compute({range, -1}, fixture, *judge);
    }
    for (const datasets::OpInfo& info : datasets::ops_in(range)) {
        if (input == Input::isolated) {
            prepared->compute({{info.op, info.op}, -1}, fixture, *judge);
        }
        out[info.op] = judge->statistics(info.op);
    }
    return out;
}

Verdict verdict_of(Op op, const OpStatistics& statistics) {
    return judge_op(statistics, DeclaredPath().arithmetic(op), {}).verdict;
}

constexpr std::array ranges{attention_norm, mlp, datasets::end_ops};

class HonestPath : public testing::TestWithParam<std::tuple<int, std::int64_t>> {};

TEST_P(HonestPath, PassesAndComesCloseToItsBounds) {
    const auto& [heads, context] = GetParam();
    const Fixture fixture({context, heads});
    for (const OpRange& range : ranges) {
        for (const Input input : {Input::isolated, Input::chained}) {
            for (const auto& [op, statistics] : judged(fixture, range, input)) {
                EXPECT_EQ(verdict_of(op, statistics), Verdict::passed)
                    << datasets::name(op) << " " << name(input) << " rho " << statistics.rho;
                EXPECT_EQ(statistics.elements, context * datasets::row_width(op, fixture.layer_.shape));
                // Stores as bf16 come close to their bound; fp32 chains use a small part of the worst case.
                const bool rounds = DeclaredPath().arithmetic(op).store == datasets::DType::bf16;
                EXPECT_GT(statistics.rho, rounds ? 0.9 : 0.003) << datasets::name(op) << " " << name(input);
                EXPECT_LT(statistics.relative_error, 0.01) << datasets::name(op);
                RecordProperty(std::string(datasets::name(op)) + "_" + std::string(name(input)),
                               std::to_string(statistics.rho));
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, HonestPath,
                         testing::Combine(testing::Values(3, 4), testing::Values<std::int64_t>(63, 64, 130)),
                         datasets::testing::CaseName{});

TEST(HonestPaths, PassAtOneRow) {
    const Fixture fixture({1, 1});
    for (const OpRange& range : ranges) {
        for (const auto& [op, statistics] : judged(fixture, range, Input::chained)) {
            EXPECT_EQ(verdict_of(op, statistics), Verdict::passed) << datasets::name(op);
        }
    }
}

std::vector<Planted> all_planted() {
    std::vector<Planted> planted{{Flaw::tanh_gelu, Op::gelu}};
    for (const Op op : {Op::fc1, Op::fc2}) {
        for (const Flaw flaw : {Flaw::missing_bias, Flaw::transposed_weight, Flaw::last_step_dropped,
                                Flaw::truncating_operand, Flaw::zero_tile, Flaw::stale_tile}) {
            planted.push_back({flaw, op});
        }
    }
    for (const Op op : {Op::attention_norm, Op::mlp_norm, Op::encoder}) {
        for (const Flaw flaw : {Flaw::missing_bias, Flaw::no_epsilon, Flaw::unbiased_variance,
                                Flaw::truncating_store, Flaw::zero_tile, Flaw::stale_tile}) {
            planted.push_back({flaw, op});
        }
    }
    for (const Flaw flaw : {Flaw::truncating_store, Flaw::zero_tile, Flaw::stale_tile}) {
        planted.push_back({flaw, Op::gelu});
    }
    return planted;
}

class PlantedFlaw : public testing::TestWithParam<Planted> {};

// Found where it was planted, and nowhere else: a chained step is judged on what it was really given. Only a
// NaN condemns what reads it, and rows that were stored as bf16 have nothing to truncate.
TEST_P(PlantedFlaw, FailsItsOpAlone) {
    const Planted planted = GetParam();
    const Fixture fixture({130, 3});
    for (const OpRange& range : ranges) {
        if (!range.contains(planted.op)) {
            continue;
        }
        for (const Input input : {Input::isolated, Input::chained}) {
            const bool harmless = planted.flaw == Flaw::truncating_operand && input == Input::chained;
            for (const auto& [op, statistics] : judged(fixture, range, input, planted)) {
                const bool fails = (op == planted.op && !harmless) || statistics.nonfinite > 0;
                EXPECT_EQ(verdict_of(op, statistics), fails ? Verdict::failed : Verdict::passed)
                    << datasets::name(op) << " " << name(input) << " rho " << statistics.rho;
                EXPECT_TRUE(statistics.nonfinite == 0 || planted.flaw == Flaw::no_epsilon);
                if (op == planted.op) {
                    RecordProperty(std::string("rho_") + std::string(name(input)),
                                   std::to_string(statistics.rho));
                }
            }
        }
    }
}

std::string name_of(const testing::TestParamInfo<Planted>& one) {
    constexpr std::array flaws{
        "none",       "tanh_gelu",         "missing_bias",     "transposed_weight",  "last_step_dropped",
        "no_epsilon", "unbiased_variance", "truncating_store", "truncating_operand", "zero_tile",
        "stale_tile"};
    return std::string(flaws.at(static_cast<std::size_t>(one.param.flaw))) + "_" +
           std::string(datasets::name(one.param.op));
}

INSTANTIATE_TEST_SUITE_P(All, PlantedFlaw, testing::ValuesIn(all_planted()), name_of);

TEST(PlantedFlaws, IsLocatedInAWideOp) {
    const Fixture fixture({130, 3});
    const auto statistics = judged(fixture, mlp, Input::isolated, {Flaw::zero_tile, Op::fc1});
    const OpStatistics& fc1 = statistics.at(Op::fc1);
    ASSERT_TRUE(fc1.damage.has_value());
    EXPECT_EQ(fc1.worst_tile_row, 1);
    EXPECT_EQ(fc1.worst_tile_column, 2);
    EXPECT_EQ(fc1.damage->first.head, -1);
    EXPECT_EQ(fc1.damage->first.row, 64);
    EXPECT_EQ(fc1.damage->first.column, 128);
    EXPECT_EQ(fc1.damage->row_begin, 64);
    EXPECT_EQ(fc1.damage->row_end, 127);
    EXPECT_EQ(fc1.damage->blocks, 1);
    EXPECT_TRUE(fc1.damage->heads.empty());
}

// A store says floor from nearest where the error before it leaves one answer.
TEST(PlantedFlaws, OfARoundingShowsInTheStores) {
    const Fixture fixture({130, 3});
    const auto honest = judged(fixture, mlp, Input::isolated);
    const auto cut = judged(fixture, mlp, Input::isolated, {Flaw::truncating_store, Op::mlp_norm});
    for (const auto& [op, statistics] : honest) {
        EXPECT_EQ(statistics.misrounded, 0) << datasets::name(op);
    }
    const OpStatistics& toward_zero = cut.at(Op::mlp_norm);
    EXPECT_GT(toward_zero.misrounded + toward_zero.outside, toward_zero.elements * 2 / 5);
    EXPECT_EQ(toward_zero.misrounded_shrunk, toward_zero.misrounded);
    EXPECT_EQ(cut.at(Op::fc1).misrounded, 0) << "fp32 stores are not rounded";
}

TEST(Judge, RefusesRangesThatCutAStepAndFusedStepsItKnowsNothingOf) {
    class Steps final : public datasets::Path {
    public:
        explicit Steps(std::vector<OpRange> steps) : steps_(std::move(steps)) {}
        [[nodiscard]] std::string_view name() const override { return "steps"; }
        [[nodiscard]] std::span<const OpRange> steps() const override { return steps_; }
        [[nodiscard]] bool emits(Op) const override { return true; }
        [[nodiscard]] datasets::Arithmetic arithmetic(Op) const override { return {}; }
        std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase&) override {
            return nullptr;
        }

    private:
        std::vector<OpRange> steps_;
    };
    const Fixture fixture({64, 1});
    const Steps fused({{Op::fc1, Op::gelu}, {Op::fc2, Op::fc2}});
    const auto reason = [&](OpRange range) {
        try {
            const Judge judge(fixture.layer_, range, fused, fixture, Input::chained, -1);
        } catch (const std::invalid_argument& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_EQ(reason({Op::gelu, Op::fc2}), "the step fc1..gelu lies across a border of gelu..fc2");
    EXPECT_EQ(reason({Op::fc1, Op::fc2}), "no bound is known for the fused step fc1..gelu");
    EXPECT_EQ(reason({Op::fc2, Op::fc2}), "");
}

TEST(EmittedSource, GivesItsOwnWithinTheRangeAndTheUpstreamBefore) {
    const Fixture fixture({65, 1});
    EmittedSource emitted(fixture.layer_.shape, mlp, fixture);
    std::vector<float> own(64 * 256, 7.0F);
    emitted.keep(Op::fc1, {-1, 0, 64}, {own.data(), 64, 256, 256});
    std::vector<float> out(64 * 256);
    emitted.rows(Op::fc1, {-1, 0, 64}, out);
    EXPECT_EQ(out, own);
    std::vector<float> residual(64);
    std::vector<float> expected(64);
    emitted.rows(Op::attention_residual, {-1, 64, 1}, residual);
    fixture.rows(Op::attention_residual, {-1, 64, 1}, expected);
    EXPECT_EQ(residual, expected);
    std::vector<float> last(64 * 64, 1.0F);
    EXPECT_NO_THROW(emitted.keep(Op::fc2, {-1, 0, 64}, {last.data(), 64, 64, 64})) << "nobody reads it";
}

CaseResult run_end_of(const Fixture& fixture, Planted planted = {}) {
    Selection selection;
    selection.placement = parse_placement("all");
    selection.timing = {1, 1};
    DeclaredPath golden;
    DeclaredPath candidate(planted);
    return run_end(fixture.end_, "clip", fixture, golden, candidate, selection, "harness --npu all",
                   [](std::string_view) {});
}

TEST(RunEnd, CertifiesJudgesRepeatsAndTimesTheNormBehindTheLastLayer) {
    const CaseResult result = run_end_of(Fixture({130, 3}));
    ASSERT_EQ(result.rows.size(), 2U);
    for (const OpRow& row : result.rows) {
        EXPECT_EQ(row.op, Op::encoder);
        EXPECT_EQ(row.layer, end_layer);
        EXPECT_EQ(row.judgement.verdict, Verdict::passed) << row.judgement.reason;
    }
    EXPECT_EQ(result.layer.certificate.fault, "");
    EXPECT_LT(result.layer.certificate.oracle_error.at(Op::encoder), 1e-6);
    EXPECT_EQ(result.layer.repeated_elements, 130 * 192);
    EXPECT_EQ(result.layer.differing_elements, 0);
    ASSERT_EQ(result.layer.steps.size(), 1U);
    EXPECT_EQ(result.layer.steps.front().launches, 1);
    EXPECT_FALSE(result.layer.total.has_value()) << "no attention was timed";
}

TEST(RunEnd, SaysHowToReproduceAFailureAndWhy) {
    const CaseResult result = run_end_of(Fixture({130, 3}), {Flaw::unbiased_variance, Op::encoder});
    ASSERT_EQ(result.rows.size(), 2U);
    EXPECT_EQ(result.rows[0].judgement.verdict, Verdict::failed);
    ASSERT_TRUE(result.rows[0].diagnosis.has_value());
    EXPECT_THAT(result.rows[0].diagnosis->evidence, testing::HasSubstr("divided by n - 1"));
    EXPECT_EQ(result.rows[0].reproduce, "harness --npu all --clip clip --op encoder --input isolated");
    EXPECT_TRUE(result.layer.steps.empty()) << "only what passed may be timed";
}

TEST(RunEnd, MistrustsAGoldenThatIsWrong) {
    Fixture fixture({130, 3});
    fixture.end_.norm.bias[7] += 1;
    const CaseResult result = run_end_of(fixture);
    EXPECT_EQ(result.rows[0].judgement.verdict, Verdict::mistrusted);
    EXPECT_THAT(result.rows[0].judgement.reason, testing::HasSubstr("golden encoder differs"));
    EXPECT_EQ(result.layer.headline.verdict, Verdict::not_run) << "the end has no attention output";
}

}  // namespace
}  // namespace harness
