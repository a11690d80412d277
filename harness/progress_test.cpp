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

}  // namespace
}  // namespace harness
