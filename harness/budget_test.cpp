// What single changes of a design would buy.
#include "harness/budget.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "datasets/case_name_test.hpp"
#include "datasets/synthetic.hpp"
#include "npu_impl/design.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;

Declared declared_by_design(const std::string& name) {
    Declared out;
    const npu_impl::Design& design = *npu_impl::find_design(name);
    out.arithmetic = design.arithmetic;
    for (const npu_impl::StepDesign& step : design.steps) {
        out.steps.push_back(step.ops);
    }
    return out;
}

std::vector<std::string> changes(const std::string& design) {
    std::vector<std::string> out;
    for (const Alternative& alternative : alternatives(declared_by_design(design))) {
        out.push_back(alternative.change);
    }
    return out;
}

TEST(Alternatives, AreWhatTheDeclarationLeavesRoomFor) {
    using testing::Contains;
    using testing::Not;
    EXPECT_THAT(changes("unfused"), Contains("value: stores fp32"));
    EXPECT_THAT(changes("unfused"), Contains("scores..context in one fused step"));
    EXPECT_THAT(changes("unfused"), Not(Contains("value: stores to nearest even")));
    EXPECT_THAT(changes("gemm_array_floor"), Contains("value: stores to nearest even"));
    EXPECT_THAT(changes("gemm_array_floor"), Contains("all ops: stores to nearest even"));
    EXPECT_THAT(changes("gemm_array_rerounded"), Contains("query: keeps its sum on the core"));
    EXPECT_THAT(changes("fused"), Not(Contains("scores..context in one fused step")));
    EXPECT_THAT(changes("fused"), Contains("context: exact exp"));
    EXPECT_THAT(changes("legacy_tile64"), Contains("output: operands to nearest even"));
}

class Changes : public testing::TestWithParam<std::string> {};

// Whatever removes a rounding lowers the predicted error; how much is what the ranking says.
TEST_P(Changes, BuyAccuracyOrNothing) {
    datasets::SyntheticModel model;
    model.shape = {130, 8};
    model.layers = 1;
    datasets::LayerCase layer;
    layer.shape = model.shape;
    layer.weights = datasets::synthetic_block(model, 0);
    layer.stream = datasets::synthetic_embedding(model);
    const reference::GoldenSource golden(layer);
    const Declared declared = declared_by_design(GetParam());
    const PredictedError before = output_error(layer, golden, declared);
    std::vector<std::string> names;
    std::vector<std::vector<PredictedError>> errors;
    for (const Alternative& alternative : alternatives(declared)) {
        names.push_back(alternative.change);
        errors.push_back({output_error(layer, golden, alternative.declared)});
    }
    const std::vector<Gain> gains = ranked({before}, names, errors);
    ASSERT_EQ(gains.size(), names.size());
    EXPECT_GT(gains.front().decibel, 1) << gains.front().change;
    for (std::size_t i = 0; i < gains.size(); ++i) {
        // Means of different roundings may cancel, so that taking one away may cost a little.
        EXPECT_GT(gains[i].decibel, -1) << gains[i].change;
        EXPECT_TRUE(i == 0 || gains[i - 1].decibel >= gains[i].decibel);
        EXPECT_LE(gains[i].match_percent, 100);
    }
    const std::vector<BudgetLine> budget = attention_budget(layer, golden, declared);
    ASSERT_EQ(budget.back().op, Op::output);
    EXPECT_EQ(budget.back().chained.relative_error, before.relative_error);
}

INSTANTIATE_TEST_SUITE_P(Designs, Changes,
                         testing::Values("unfused", "fused", "gemm_array_floor", "legacy_tile64"),
                         datasets::testing::CaseName{});

// The predicted gain is the measured one: to nearest even instead of floor, as two designs of the manifest.
TEST(Alternatives, PredictWhatAnotherDesignIsPredicted) {
    datasets::SyntheticModel model;
    model.shape = {130, 8};
    datasets::LayerCase layer;
    layer.shape = model.shape;
    layer.weights = datasets::synthetic_block(model, 0);
    layer.stream = datasets::synthetic_embedding(model);
    const reference::GoldenSource golden(layer);
    const double nearest = output_error(layer, golden, declared_by_design("unfused")).relative_error;
    for (const Alternative& alternative : alternatives(declared_by_design("gemm_array_floor"))) {
        if (alternative.change == "all ops: stores to nearest even") {
            EXPECT_EQ(output_error(layer, golden, alternative.declared).relative_error, nearest);
            return;
        }
    }
    FAIL() << "no such change";
}

TEST(Ranking, PutsTheLargestGainFirst) {
    const std::vector<Gain> gains =
        ranked({{0.02, 0, 99.0}, {0.02, 0, 99.5}}, {"a", "b"},
               {{{0.02, 0, 99.0}, {0.02, 0, 99.5}}, {{0.01, 0, 99.7}, {0.01, 0, 99.9}}});
    ASSERT_EQ(gains.size(), 2U);
    EXPECT_EQ(gains[0].change, "b");
    EXPECT_NEAR(gains[0].decibel, 6.02, 0.01);
    EXPECT_EQ(gains[0].match_percent, 99.7);
    EXPECT_EQ(gains[1].decibel, 0);
}

}  // namespace
}  // namespace harness
