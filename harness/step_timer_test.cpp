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

// A device with a clock: run n of two steps of one and two launches takes n ms in each of four kinds of call.
class ClockedLayer final : public datasets::PreparedLayer {
public:
    explicit ClockedLayer(datasets::Clock clock) : clock_(clock) {}

    std::vector<Part> compute(datasets::Work work, const datasets::Source&, datasets::Sink& sink) override {
        ++runs;
        EXPECT_FALSE(sink.looks());
        for (const datasets::OpInfo& info : datasets::ops_in(work.ops)) {
            EXPECT_EQ(sink.wants(info.op), info.op == work.ops.last) << info.name;
        }
        return {part(Op::fc1, 1), part(Op::gelu, 2)};
    }
    std::vector<Part> planned(datasets::Work) const override { return {}; }
    std::optional<datasets::Site> locate(Op, int, std::int64_t, std::int64_t) const override { return {}; }

    int runs = 0;

private:
    Part part(Op op, std::int64_t launches) const {
        const double seconds = 1e-3 * runs * double(launches);
        Part out;
        out.ops = {op, op};
        out.launches = launches;
        out.clock = clock_;
        out.device = {seconds, seconds, seconds, seconds, launches, 1};
        out.seconds = out.device.total_seconds();
        return out;
    }

    datasets::Clock clock_;
};

std::vector<Part> modelled_parts() {
    Part fc1;
    fc1.ops = {Op::fc1, Op::fc1};
    fc1.seconds = 0.5;
    fc1.clock = datasets::Clock::modelled;
    return {fc1};
}

TEST(LaunchTimer, LeavesTheWarmUpOutAndAddsUp) {
    ClockedLayer candidate(datasets::Clock::device_wall);
    const LaunchTimer timer(candidate, {{Op::fc1, Op::gelu}}, NoSource(), 3);
    EXPECT_EQ(candidate.runs, 4);
    const auto fc1 = timer.of({Op::fc1, Op::fc1});
    ASSERT_TRUE(fc1);
    EXPECT_EQ(fc1->warm_ups, 1);
    EXPECT_EQ(fc1->launches, 1);
    EXPECT_EQ(fc1->total.clock, datasets::Clock::device_wall);
    ASSERT_EQ(fc1->total.samples_seconds.size(), 3U);
    EXPECT_DOUBLE_EQ(fc1->total.seconds, 4 * 3e-3);
    EXPECT_DOUBLE_EQ(fc1->split.wait_seconds, 3e-3);
    EXPECT_DOUBLE_EQ(fc1->split.total_seconds(), fc1->total.seconds);
    const auto both = timer.of({Op::fc1, Op::gelu});
    EXPECT_DOUBLE_EQ(both->total.seconds, 4 * 9e-3);
    EXPECT_EQ(both->launches, 3);
    EXPECT_EQ(both->split.submissions, 3);
    EXPECT_EQ(both->split.switches, 2);
    EXPECT_FALSE(timer.of({Op::query, Op::query}));
}

// Of four runs of 2, 3, 4 and 5 ms the median lies between two.
TEST(LaunchTimer, ThePartsAddUpToTheMedianOfAnEvenNumberOfRuns) {
    ClockedLayer candidate(datasets::Clock::device_wall);
    const LaunchTimer timer(candidate, {{Op::fc1, Op::gelu}}, NoSource(), 4);
    const auto both = timer.of({Op::fc1, Op::gelu});
    ASSERT_TRUE(both);
    EXPECT_DOUBLE_EQ(both->total.seconds, 4 * 3 * 3.5e-3);
    EXPECT_DOUBLE_EQ(both->split.total_seconds(), both->total.seconds);
    EXPECT_DOUBLE_EQ(both->split.from_device_seconds, 3 * 3.5e-3);
    EXPECT_EQ(both->split.submissions, 3);
    EXPECT_EQ(both->split.switches, 2);
}

TEST(LaunchTimer, OnlyADeviceWithAClockIsTimed) {
    ClockedLayer candidate(datasets::Clock::none);
    EXPECT_FALSE(is_clocked({}));
    EXPECT_FALSE(is_clocked(modelled_parts()));
    EXPECT_FALSE(LaunchTimer(candidate, {{Op::fc1, Op::gelu}}, NoSource(), 1).of({Op::fc1, Op::fc1}));
    Part part;
    part.clock = datasets::Clock::emulation_wall;
    EXPECT_TRUE(is_clocked({Part{}, part}));
}

// Measured is the NPU's time on hardware only; on an emulation it stands beside the modelled one.
TEST(StepTimer, TheNpusTimeIsMeasuredOnHardwareOnly) {
    for (const auto clock : {datasets::Clock::device_wall, datasets::Clock::emulation_wall}) {
        SlowingLayer golden;
        ClockedLayer candidate(clock);
        const StepTimer timer(golden, {{Op::fc1, Op::gelu}}, NoSource(), {3, 3}, modelled_parts(), {},
                              LaunchTimer(candidate, {{Op::fc1, Op::gelu}}, NoSource(), 3));
        const StepTime fc1 = timer.of({Op::fc1, Op::fc1});
        const bool hardware = clock == datasets::Clock::device_wall;
        EXPECT_EQ(fc1.npu.clock, hardware ? clock : datasets::Clock::modelled);
        EXPECT_DOUBLE_EQ(fc1.npu.seconds, hardware ? 12e-3 : 0.5);
        EXPECT_DOUBLE_EQ(fc1.speedup, 3e-3 / (hardware ? 12e-3 : 0.5));
        EXPECT_DOUBLE_EQ(fc1.npu_modelled.seconds, 0.5);
        EXPECT_EQ(fc1.npu_modelled.clock, datasets::Clock::modelled);
        ASSERT_TRUE(fc1.launch_times);
        EXPECT_EQ(fc1.launch_times->total.clock, clock);
    }
}

}  // namespace
}  // namespace harness
