#include "harness/gate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "harness/self_check/faults.hpp"

namespace harness {
namespace {

using datasets::DType;
using datasets::Rounding;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

OpStatistics healthy() {
    OpStatistics s;
    s.elements = 64000;
    s.blocks_expected = s.blocks_seen = 10;
    s.rho = 0.99;
    s.match_percent = 99.97;
    s.centred_energy = 0.5;
    s.worst_row = 0.02;
    s.worst_tile = 0.01;
    return s;
}

datasets::Arithmetic stored(DType type, Rounding rounding) {
    datasets::Arithmetic a;
    a.store = type;
    a.store_rounding = rounding;
    return a;
}

const datasets::Arithmetic nearest = stored(DType::bf16, Rounding::nearest_even);
const DeviceCheck ran{true, 4, 4, ""};

TEST(Gate, PassesTheHealthy) {
    EXPECT_EQ(judge_op(healthy(), nearest, ran).verdict, Verdict::passed);
    EXPECT_EQ(judge_headline(healthy(), {1500, 8}).verdict, Verdict::passed);
}

TEST(Gate, FailsEveryBrokenQuantityWithItsReason) {
    const auto reason = [](auto break_it, DeviceCheck device = ran) {
        OpStatistics s = healthy();
        break_it(s);
        const Judgement judgement = judge_op(s, nearest, device);
        EXPECT_EQ(judgement.verdict, Verdict::failed);
        return judgement.reason;
    };
    const auto nothing = [](OpStatistics&) {};
    EXPECT_THAT(reason([](auto& s) { s.nonfinite = 1; }), HasSubstr("NaN or infinite"));
    EXPECT_THAT(reason([](auto& s) { s.poisoned = s.nonfinite = 1; }), HasSubstr("never written"));
    EXPECT_THAT(reason([](auto& s) { s.blocks_seen = 9; }), HasSubstr("9 of 10 blocks"));
    EXPECT_THAT(reason([](auto& s) { s.blocks_repeated = 1; }), HasSubstr("more than once"));
    EXPECT_THAT(reason([](auto& s) { s.rho = 1.0001; }), HasSubstr("outside their bound"));
    EXPECT_THAT(reason([](auto& s) { s.rho = std::numeric_limits<double>::quiet_NaN(); }),
                HasSubstr("outside"));
    EXPECT_THAT(reason([](auto& s) {
                    s.misrounded = 8;
                    s.misrounded_below = 6;
                    s.misrounded_shrunk = 4;
                }),
                AllOf(HasSubstr("8 of 64000 stores are not what nearest_even rounding gives"),
                      HasSubstr("75.0% of them lie below"), HasSubstr("50.0% nearer to zero")));
    EXPECT_THAT(reason(nothing, {true, 0, 0, ""}), HasSubstr("counted 0 launches"));
    EXPECT_THAT(reason(nothing, {true, 3, 4, ""}), HasSubstr("counted 3 launches, the plan promised 4"));
    EXPECT_THAT(reason(nothing, {true, 4, 4, "guard broken"}), HasSubstr("guard broken"));
}

// A check that hides behind another cannot be proven to work.
TEST(Gate, NamesEveryLimitThatFailedAndNoOther) {
    const auto findings = [](auto break_it, DeviceCheck device = ran) {
        OpStatistics s = healthy();
        break_it(s);
        std::vector<Quantity> out;
        for (const Finding& finding : judge_op(s, nearest, device).findings) {
            out.push_back(finding.quantity);
        }
        return out;
    };
    constexpr double infinity = std::numeric_limits<double>::infinity();
    using enum Quantity;
    EXPECT_THAT(findings([](auto&) {}), ElementsAre());
    EXPECT_THAT(findings([](auto& s) {
                    s.nonfinite = s.outside = 3;
                    s.poisoned = 1;
                    s.rho = infinity;
                }),
                ElementsAre(unwritten, nonfinite));
    EXPECT_THAT(findings([](auto& s) {
                    s.nonfinite = s.poisoned = s.outside = 3;
                    s.rho = infinity;
                }),
                ElementsAre(unwritten));
    EXPECT_THAT(findings(
                    [](auto& s) {
                        s.nonfinite = s.outside = 3;
                        s.outside += 2;
                        s.misrounded = 1;
                    },
                    {true, 3, 4, "guard broken"}),
                ElementsAre(guards, launches, nonfinite, bound, store_rounding));
    EXPECT_THAT(findings([](auto& s) {
                    s.unrepresentable = 1;
                    s.row_sum = 1.01;
                }),
                ElementsAre(store_format, row_sum));
    EXPECT_THAT(findings([](auto& s) { s.row_sum = 0.99; }), ElementsAre());
    EXPECT_THAT(findings([](auto& s) { s.blocks_seen = 9; }), ElementsAre(coverage));
}

TEST(Gate, HeadlineIsTheMatch) {
    OpStatistics s = healthy();
    s.match_percent = 99.89;
    EXPECT_THAT(judge_headline(s, {1500, 8}).reason, HasSubstr("match 99.8900% is under 99.9%"));
    s.match_percent = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(judge_headline(s, {1500, 8}).verdict, Verdict::failed);
}

// One stuck row and one zero tile, the weakest faults they must see, hide in the match of a whole tensor.
TEST(Gate, HeadlineSeesOneRowAndOneTileThatTheMatchHides) {
    OpStatistics s = healthy();
    s.worst_row = 0.12;
    s.worst_row_index = 77;
    EXPECT_THAT(judge_headline(s, {1500, 8}).reason, HasSubstr("worst row 77 errs by 0.1200"));
    s = healthy();
    s.worst_tile = 1;
    s.worst_tile_row = 3;
    s.worst_tile_column = 5;
    EXPECT_THAT(judge_headline(s, {1500, 8}).reason, HasSubstr("worst 64x64 tile (3, 5) errs by 1.0000"));
    s = healthy();
    s.worst_row = 0.052;
    s.worst_tile = 0.022;
    EXPECT_EQ(judge_headline(s, {1500, 8}).verdict, Verdict::passed);
}

// Design rule: 3 dB between healthy envelope and limit, else the quantity is printed, not gated.
TEST(Gate, WorstRowAndTileLeaveThreeDecibelsToTheHealthyEnvelope) {
    EXPECT_GE(20 * std::log10(limit(Quantity::worst_row).limit / 0.052), 3);
    EXPECT_GE(20 * std::log10(limit(Quantity::worst_tile).limit / 0.022), 3);
}

TEST(Gate, HeadlineDoesNotApplyToShortOrConstantOutputAndSaysSo) {
    OpStatistics s = healthy();
    s.match_percent = -1000;
    EXPECT_THAT(judge_headline(s, {63, 8}).reason, HasSubstr("not applicable"));
    s.centred_energy = 0.009;
    EXPECT_FALSE(headline_applies(s, {1500, 8}));
    EXPECT_EQ(judge_headline(s, {1500, 8}).verdict, Verdict::passed);
}

// A NaN must not slip through the applicability test either.
TEST(Gate, NotANumberIsNoReasonForTheHeadlineNotToApply) {
    OpStatistics s = healthy();
    s.centred_energy = s.match_percent = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(judge_headline(s, {1500, 8}).verdict, Verdict::failed);
}

TEST(Gate, EveryLimitHasAFormulaAnEnvelopeAFaultAndAReason) {
    for (const Limit& limit : limits()) {
        EXPECT_FALSE(limit.formula.empty());
        EXPECT_FALSE(limit.envelope.empty());
        EXPECT_FALSE(limit.weakest.empty());
        EXPECT_FALSE(limit.reason.empty());
    }
}

// What a limit must see can be planted: `harness self-check --fault NAME` shows it.
TEST(Gate, TheWeakestFaultOfALimitIsOneThatTheSelfCheckPlants) {
    std::set<std::string> planted;
    for (const Fault& fault : planted_faults()) {
        planted.insert(fault.name);
    }
    for (const Limit& limit : limits()) {
        const std::string name(limit.weakest.substr(0, limit.weakest.find(':')));
        if (limit.gated) {
            EXPECT_TRUE(planted.contains(name)) << limit.name << ": " << name;
        } else {
            EXPECT_EQ(name, "none") << limit.name;
        }
    }
}

// Names are what run.json calls a quantity by.
TEST(Gate, EveryQuantityHasANameOfItsOwn) {
    for (const Limit& limit : limits()) {
        EXPECT_EQ(parse_quantity(limit.name), limit.quantity) << limit.name;
    }
    EXPECT_EQ(parse_quantity("gremlins"), std::nullopt);
    EXPECT_EQ(parse_quantity(""), std::nullopt);
}

// The encoder as a whole: what decides, and where it only reports.
class EncoderGate : public testing::Test {
protected:
    static Verdict judge(const Deviation& alone, const Deviation& output, bool only_attention,
                         const DeviceCheck& device = {true, 40, 40, ""}) {
        const std::vector<Deviation> isolated{Deviation{100, 1, 0, 0, 0, 1500, 0}, alone};
        return judge_encoder(isolated, output, only_attention, device).verdict;
    }
    const Deviation good_{99.95, 1, 0.02, 0.03, 0, 1500, 0};
};

TEST_F(EncoderGate, HoldsTheAttentionToTheMatchAndTheWorstRow) {
    EXPECT_EQ(judge(good_, good_, true), Verdict::passed);
    Deviation low = good_;
    low.match_percent = 99.8999;
    EXPECT_EQ(judge(good_, low, true), Verdict::failed);
    EXPECT_EQ(judge(good_, low, false), Verdict::passed);
    Deviation row = good_;
    row.worst_row = 0.051;
    EXPECT_EQ(judge(good_, row, true), Verdict::failed);
    Deviation nan = good_;
    nan.match_percent = std::nan("");
    EXPECT_EQ(judge(good_, nan, true), Verdict::failed);
}

// What no rounding explains fails under every placement, at a piece alone and at the output.
TEST_F(EncoderGate, HoldsEveryPlacementToWhatRoundingExplains) {
    Deviation wrong = good_;
    wrong.match_percent = 98.9;
    for (const bool only_attention : {true, false}) {
        EXPECT_EQ(judge(wrong, good_, only_attention), Verdict::failed);
        EXPECT_EQ(judge(good_, wrong, only_attention), Verdict::failed);
    }
    wrong.rows = 63;  // the match says nothing there
    EXPECT_EQ(judge(wrong, wrong, false), Verdict::passed);
    wrong.rows = 1500;
    wrong.centred_energy = 0.009;
    EXPECT_EQ(judge(wrong, wrong, true), Verdict::passed);
}

TEST_F(EncoderGate, NeverPassesWhatTheDeviceDidNotRun) {
    for (const bool only_attention : {true, false}) {
        EXPECT_EQ(judge(good_, good_, only_attention, {true, 0, 0, ""}), Verdict::failed);
        EXPECT_EQ(judge(good_, good_, only_attention, {true, 39, 40, ""}), Verdict::failed);
        EXPECT_EQ(judge(good_, good_, only_attention, {true, 40, 40, "wrote 2 bytes past"}), Verdict::failed);
        Deviation infinite = good_;
        infinite.nonfinite = 1;
        infinite.rows = 1;
        EXPECT_EQ(judge(infinite, good_, only_attention), Verdict::failed);
        EXPECT_EQ(judge(good_, infinite, only_attention), Verdict::failed);
    }
}

TEST(Gate, BitsThatDifferAreAFindingAndUnstable) {
    EXPECT_EQ(judge_repeatability(1000, 0).verdict, Verdict::passed);
    const Judgement differs = judge_repeatability(1000, 64);
    EXPECT_EQ(differs.verdict, Verdict::unstable);
    ASSERT_EQ(differs.findings.size(), 1U);
    EXPECT_EQ(differs.findings.front().quantity, Quantity::repeatability);
    EXPECT_EQ(differs.reason, "64 of 1000 elements lie in blocks that differ after A, B, A");
}

}  // namespace
}  // namespace harness
