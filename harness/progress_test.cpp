#include "harness/progress.hpp"

#include <gtest/gtest.h>

namespace harness {
namespace {

using namespace std::chrono_literals;

TEST(Progress, ALineTellsWhatIsLeftAtTheSpeedSoFar) {
    EXPECT_EQ(progress_line("self-check", 12, 48, 60s), "self-check: 12 of 48, 3 min left");
    EXPECT_EQ(progress_line("self-check", 12, 48, 61s), "self-check: 12 of 48, 4 min left");
    EXPECT_EQ(progress_line("self-check", 48, 48, 60s), "self-check: 48 of 48, 0 min left");
}

TEST(Progress, SaysNothingInTheFirstMinuteNorWhenQuiet) {
    testing::internal::CaptureStderr();
    for (const bool visible : {false, true}) {
        ProgressBar bar("quick", 2, visible);
        bar.step("one");
        bar.step("two");
        bar.step("more than it knew of");
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, SaysALineWhereTheTimeForOneHasPassed) {
    const auto lines_of = [](std::chrono::steady_clock::duration between, bool visible) {
        testing::internal::CaptureStderr();
        ProgressBar bar("slow", 3, visible, between);
        bar.step("one");
        bar.step("two");
        bar.step("three");
        return testing::internal::GetCapturedStderr();
    };
    EXPECT_EQ(lines_of(0s, true), "slow: 1 of 3, 1 min left\nslow: 2 of 3, 1 min left\n");
    EXPECT_EQ(lines_of(0s, false), "");
    EXPECT_EQ(lines_of(1h, true), "");
}

}  // namespace
}  // namespace harness
