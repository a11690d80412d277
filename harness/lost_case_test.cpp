// What a lost layer leaves in the record: everything that was asked for, and nothing that passed.
#include "harness/lost_case.hpp"

#include <gmock/gmock.h>

namespace harness {
namespace {

using datasets::Op;

TEST(LostCaseTest, HasARowForEachOpAndInputThatWasAskedFor) {
    const CaseResult whole = lost_case("clip", 3, {}, "it did not end");
    EXPECT_EQ(whole.rows.size(), 14U);
    for (const OpRow& row : whole.rows) {
        EXPECT_EQ(row.clip, "clip");
        EXPECT_EQ(row.layer, 3);
        EXPECT_EQ(row.judgement.verdict, Verdict::not_run);
        EXPECT_EQ(row.judgement.reason, "it did not end");
        EXPECT_FALSE(row.statistics);
    }
    Selection one;
    one.ops = {Op::scores};
    one.inputs = {Input::isolated};
    const CaseResult scores = lost_case("clip", 0, one, "x");
    ASSERT_EQ(scores.rows.size(), 1U);
    EXPECT_EQ(scores.rows[0].op, Op::scores);
}

TEST(LostCaseTest, DecidesTheVerdictOfTheRun) {
    RunRecord record;
    CaseResult lost = lost_case("clip", 0, {}, "x");
    record.rows = lost.rows;
    record.rows.front().judgement.verdict = Verdict::passed;
    record.layers.push_back(lost.layer);
    EXPECT_EQ(exit_code(overall_verdict(record)), ExitCode::could_not_run);
}

}  // namespace
}  // namespace harness
