// A failed headline names the op that is to blame, or the arithmetic that was declared.
#include "harness/headline_diagnosis.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "datasets/synthetic.hpp"
#include "harness/experiment.hpp"
#include "harness/self_check/decorated_path.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden.hpp"

namespace harness {
namespace {

using datasets::Op;
using testing::HasSubstr;

OpRow row(Op op, Input input, Verdict verdict, std::string reason = "") {
    return {"clip", 0, op, input, {verdict, std::move(reason)}, OpStatistics{}, {}, {}};
}

OpStatistics output(double measured, double predicted) {
    OpStatistics s;
    s.worst_tile_row = 3;
    s.worst_tile_column = 5;
    s.z.emplace();
    s.z->measured_error = measured;
    s.z->predicted_error = predicted;
    s.z->predicted_match_percent = 99.87;
    return s;
}

TEST(HeadlineDiagnosis, BlamesTheFirstOpThatFails) {
    std::vector<OpRow> rows{row(Op::query, Input::isolated, Verdict::passed),
                            row(Op::context, Input::isolated, Verdict::failed, "isolated context"),
                            row(Op::scores, Input::chained, Verdict::failed, "chained scores"),
                            row(Op::output, Input::chained, Verdict::failed, "chained output")};
    Diagnosis found = diagnose_headline(output(0.04, 0.04), rows);
    EXPECT_EQ(found.pattern, Pattern::inherited);
    EXPECT_EQ(found.evidence, "scores (chained) is the first op that fails: chained scores");
    EXPECT_EQ(found.tile_row, 3);
    EXPECT_EQ(found.tile_column, 5);
    rows[2].diagnosis = Diagnosis{Pattern::head_swapped, 0.97, "what came is head 4", 1, 0};
    found = diagnose_headline(output(0.04, 0.04), rows);
    EXPECT_EQ(found.evidence,
              "scores (chained) is the first op that fails: head_swapped: what came is head 4");
    EXPECT_EQ(found.explained, 0.97);
    rows.insert(rows.begin(), row(Op::scores, Input::isolated, Verdict::failed, "isolated scores"));
    EXPECT_THAT(diagnose_headline(output(0.04, 0.04), rows).evidence, HasSubstr("scores (chained)"));
}

TEST(HeadlineDiagnosis, BlamesTheDeclaredArithmeticOnlyWhereItExplainsTheError) {
    const std::vector<OpRow> rows{row(Op::scores, Input::chained, Verdict::passed),
                                  row(Op::probabilities, Input::chained, Verdict::covered)};
    Diagnosis found = diagnose_headline(output(0.040, 0.038), rows);
    EXPECT_EQ(found.pattern, Pattern::declared_arithmetic);
    EXPECT_NEAR(found.explained, 0.9025, 1e-9);
    EXPECT_THAT(found.evidence, HasSubstr("4.000e-02 relative to the golden, 3.800e-02 predicted"));
    EXPECT_THAT(found.evidence, HasSubstr("match 99.8700% predicted"));
    EXPECT_EQ(diagnose_headline(output(0.040, 0.050), rows).explained, 1);
    found = diagnose_headline(output(0.040, 0.030), rows);
    EXPECT_EQ(found.pattern, Pattern::unknown);
    EXPECT_NEAR(found.explained, 0.5625, 1e-9);
}

TEST(HeadlineDiagnosis, SaysWhatItCannotKnow) {
    OpStatistics unpredicted = output(0.04, 0.04);
    unpredicted.z.reset();
    std::vector<OpRow> rows{row(Op::value, Input::chained, Verdict::passed)};
    EXPECT_EQ(diagnose_headline(unpredicted, rows).pattern, Pattern::unknown);
    EXPECT_THAT(diagnose_headline(unpredicted, rows).evidence, HasSubstr("no error was predicted"));
    rows.push_back(row(Op::context, Input::chained, Verdict::not_run));
    EXPECT_EQ(diagnose_headline(output(0.04, 0.04), rows).evidence,
              "no op that could be judged fails; not judged: context");
}

// Of a real run: the values come with their heads exchanged, and the headline says so.
TEST(HeadlineDiagnosis, StandsBesideTheFailedHeadlineOfARun) {
    datasets::SyntheticModel model;
    model.shape.context = 128;
    const auto residual = datasets::synthetic_embedding(model);
    const auto layer =
        reference::make_case(datasets::synthetic_block(model, 0), model.shape, residual, "clip", 0);
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath inner(*device, *npu_impl::find_design("unfused"));
    PathEdits edits;
    edits.layer = [](datasets::LayerCase& edited) {
        auto& weight = edited.weights.attention.value.weight;
        const auto head = std::ssize(weight) / edited.shape.heads;
        std::swap_ranges(weight.begin(), weight.begin() + head, weight.begin() + head);
    };
    DecoratedPath candidate(inner, std::move(edits));
    reference::GoldenPath golden;
    Selection selection;
    selection.inputs = {Input::chained};
    const CaseResult result =
        run_case(layer, golden, candidate, selection, "harness", [](std::string_view) {});
    ASSERT_EQ(result.layer.headline.verdict, Verdict::failed);
    ASSERT_TRUE(result.layer.diagnosis.has_value());
    EXPECT_EQ(result.layer.diagnosis->pattern, Pattern::inherited);
    EXPECT_THAT(result.layer.diagnosis->evidence, HasSubstr("value (chained) is the first op that fails"));
    const CaseResult healthy = run_case(layer, golden, inner, selection, "harness", [](std::string_view) {});
    EXPECT_FALSE(healthy.layer.diagnosis.has_value());
}

}  // namespace
}  // namespace harness
