// The stopwatch of one range: how often the golden runs, and which of its runs count.
#include "harness/step_timer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace harness {
namespace {

using datasets::Op;
using datasets::Part;

// Two parts of 1 and 10 ms in the first run, 2 and 20 ms in the second, and so on.
class SlowingLayer final : public datasets::PreparedLayer {
public:
    std::vector<Part> compute(datasets::Work, const datasets::Source&, datasets::Sink&) override {
        ++runs;
        return {part({Op::fc1, Op::fc1}, 1e-3 * runs), part({Op::gelu, Op::gelu}, 1e-2 * runs)};
    }
    std::vector<Part> planned(datasets::Work) const override { return {}; }
    std::optional<datasets::Site> locate(Op, int, std::int64_t, std::int64_t) const override { return {}; }

    int runs = 0;

private:
    static Part part(datasets::OpRange ops, double seconds) {
        Part out;
        out.ops = ops;
        out.seconds = seconds;
        out.clock = datasets::Clock::host_wall;
        return out;
    }
};

class NoSource final : public datasets::Source {
public:
    void rows(Op, datasets::Rows, std::span<float>) const override { FAIL() << "nobody reads"; }
};

TEST(StepTimer, WarmsUpOnceAndTimesEveryRunBehindIt) {
    SlowingLayer golden;
    const StepTimer timer(golden, {{Op::fc1, Op::gelu}}, NoSource(), {3, 3}, {}, {});
    EXPECT_EQ(golden.runs, 4) << "every run costs a whole pass over the range";
    const StepTime fc1 = timer.of({Op::fc1, Op::fc1});
    EXPECT_THAT(fc1.cpu.samples_seconds, testing::ElementsAre(2e-3, 3e-3, 4e-3));
    EXPECT_EQ(fc1.cpu.seconds, 3e-3);
    EXPECT_EQ(fc1.cpu.clock, datasets::Clock::host_wall);
    EXPECT_DOUBLE_EQ(timer.of({Op::fc1, Op::gelu}).cpu.seconds, 33e-3);
}

}  // namespace
}  // namespace harness
