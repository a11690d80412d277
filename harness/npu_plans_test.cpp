#include "harness/npu_plans.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/note_figures.hpp"

namespace harness {
namespace {

using npu_impl::Contexts;
using npu_impl::Dispatch;
using testing::HasSubstr;

PlanQuestion question_of(std::int64_t context, const char* device = "hawk_point") {
    PlanQuestion question;
    question.context = context;
    question.spec = *npu_impl::find_device_spec(device);
    return question;
}

// At its own context the note's CPU adds up to the note's own total.
TEST(NpuPlans, TheNotesCpuAddsUp) {
    EXPECT_NEAR(remaining_cpu("cpu", 3001), note::total, 1e-9);
    EXPECT_NEAR(remaining_cpu("attention", 3001), note::total - 6 * note::attention, 1e-9);
    for (const std::int64_t context : {250, 1500, 3001}) {
        EXPECT_GT(remaining_cpu("cpu", context), remaining_cpu("attention", context));
        EXPECT_GT(remaining_cpu("attention", context), remaining_cpu("attention,mlp", context));
        EXPECT_GT(remaining_cpu("all", context), note::total - note::encoder) << "the mel spectrogram stays";
    }
}

// Of every way: fastest first, bounds hold, a target is met exactly where its seconds are, and what does not
// meet it says what would have to change.
TEST(NpuPlans, RanksAndJudgesEveryWay) {
    PlanQuestion question = question_of(500);
    for (const TimeScope scope : {TimeScope::attention, TimeScope::encoder}) {
        question.scope = scope;
        question.target_rtfx = scope == TimeScope::attention ? 300 : 12;
        const std::vector<PlannedWay> ways = plan_ways(question);
        ASSERT_GT(ways.size(), 20U);
        int met = 0;
        double before = 0;
        for (const PlannedWay& way : ways) {
            EXPECT_GE(way.seconds(), before);
            before = way.seconds();
            EXPECT_GE(way.npu.total() * (1 + 1e-9),
                      way.npu.bounds.launch_floor + way.npu.bounds.kernel_floor);
            EXPECT_GE(way.seconds(), scope == TimeScope::attention ? least_seconds(question) : 0);
            EXPECT_EQ(way.meets_target, way.seconds() <= question.audio_seconds / question.target_rtfx);
            EXPECT_EQ(what_would_have_to_change(question, way).empty(), way.meets_target);
            EXPECT_EQ(way.cpu_seconds > 0, scope == TimeScope::encoder);
            met += way.meets_target ? 1 : 0;
        }
        EXPECT_GT(met, 0) << ways.front().rtfx;
        EXPECT_LT(met, std::ssize(ways));
    }
}

TEST(NpuPlans, SharedContextsAndRunListsNeverCostMore) {
    const PlanQuestion question = question_of(1500);
    for (const char* design : {"tile64_batch", "unfused", "fused"}) {
        const auto seconds = [&](Dispatch dispatch, Contexts contexts) {
            return plan_way(question, {design, "attention", dispatch, contexts, "peano"}).npu.total();
        };
        EXPECT_LE(seconds(Dispatch::run_lists, Contexts::per_kernel),
                  seconds(Dispatch::calls, Contexts::per_kernel));
        EXPECT_LT(seconds(Dispatch::calls, Contexts::shared), seconds(Dispatch::calls, Contexts::per_kernel));
    }
}

// The worst plan there is: 47,376 launches a layer.
TEST(NpuPlans, CountsTheLaunchesOfOneTileEach) {
    const PlannedWay way =
        plan_way(question_of(3001), {"tile64", "attention", Dispatch::calls, Contexts::shared, "peano"});
    std::int64_t launches = 0;
    for (const npu_impl::StepCost& step : way.steps) {
        launches += datasets::name(step.ops.last) == "probabilities" ? 0 : step.launches;
    }
    EXPECT_EQ(launches, 4 * 3008 + 2 * 8 * 47 * 47);
    EXPECT_EQ(way.npu.bounds.limiting(), "launches");
}

// 5 s of speech at T = 3001: 22.7 ms are allowed for 220x, the products alone need 34 ms at 1.6 GHz.
TEST(NpuPlans, SaysWhatPhysicsForbids) {
    PlanQuestion question = question_of(3001);
    question.audio_seconds = 5;
    question.target_rtfx = 220;
    EXPECT_NEAR(least_seconds(question), 6 * (24.738e9 + 12.587e9) / (16 * 256 * 1.6e9), 1e-4);
    const PlannedWay way = plan_ways(question).front();
    EXPECT_FALSE(way.meets_target);
    EXPECT_THAT(what_would_have_to_change(question, way), HasSubstr("out of reach: 22.7 ms are allowed"));
    question.audio_seconds = 30;
    EXPECT_THAT(what_would_have_to_change(question, way), HasSubstr("the CPU's part alone"));
}

TEST(NpuPlans, TakesAMeasuredCpuInThePlaceOfTheNotes) {
    PlanQuestion question = question_of(1500);
    const WayToRun way{"fused", "attention", Dispatch::run_lists, Contexts::shared, "chess"};
    const PlannedWay noted = plan_way(question, way);
    EXPECT_EQ(noted.cpu_seconds, remaining_cpu("attention", 1500));
    question.cpu = EncoderCpu{"encode.json", "some CPU", 2, 1500, 8, 6, {{"attention", 0.25}}};
    const PlannedWay measured = plan_way(question, way);
    EXPECT_EQ(measured.cpu_seconds, 0.25);
    EXPECT_EQ(measured.npu.total(), noted.npu.total());
    EXPECT_DOUBLE_EQ(measured.rtfx, question.audio_seconds / (measured.npu.total() + 0.25));
    EXPECT_THROW(plan_way(question, {"fused", "all", Dispatch::run_lists, Contexts::shared, "chess"}),
                 std::invalid_argument);
    EXPECT_DOUBLE_EQ(note_road_map(question, way).front().rtfx,
                     note_road_map(question_of(1500), way).front().rtfx)
        << "its claims are of its own laptop";
}

TEST(NpuPlans, FollowsTheNotesRoadMap) {
    const std::vector<RoadMapPhase> phases =
        note_road_map(question_of(3001), {"fused", "all", Dispatch::run_lists, Contexts::shared, "chess"});
    ASSERT_EQ(phases.size(), 8U);
    EXPECT_NEAR(phases.front().rtfx, 0.75, 0.001);
    EXPECT_LT(phases[1].rtfx, 0.01) << "49 ms a tile";
    EXPECT_LT(phases[2].rtfx, 0.75) << "one launch per tile makes it slower than the CPU";
    for (const RoadMapPhase& phase : phases) {
        EXPECT_GT(phase.rtfx, 0);
        EXPECT_LE(phase.rtfx, phases.back().rtfx + 1e-12);
    }
    EXPECT_LT(phases.back().rtfx, 220);
}

}  // namespace
}  // namespace harness
