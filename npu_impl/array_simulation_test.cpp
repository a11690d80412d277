#include "npu_impl/array_simulation.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "npu_impl/cost_model.hpp"

namespace npu_impl {
namespace {

// A device whose numbers make times easy: 1 byte a cycle and stream, 1 GHz, DRAM and software free.
DeviceSpec plain_device() {
    DeviceSpec spec = *find_device_spec("8700g");
    spec.clock_hz = 1e9;
    spec.stream_bytes_per_cycle = 1;
    spec.dram_read_bytes_per_second = spec.dram_write_bytes_per_second = spec.dram_total_bytes_per_second =
        1e15;
    spec.call_seconds = spec.task_seconds = 0;
    spec.first_task_start_cycles = spec.task_start_cycles = 0;
    return spec;
}

ArrayLaunch one_group(std::vector<PassRun> passes) {
    ArrayLaunch launch;
    launch.groups.push_back({3, std::move(passes)});
    return launch;
}

constexpr double cycle = 1e-9;

// Any pass, any number of groups, any number of buffers.
ArrayLaunch random_launch(std::mt19937& random) {
    const auto number = [&](std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(low, high)(random);
    };
    ArrayLaunch launch;
    launch.input_copies = number(1, 2);
    launch.output_copies = number(1, 2);
    launch.output_in_accumulator = number(0, 1) == 1;
    for (std::int64_t group = number(1, 9); group > 0; --group) {
        TaskGroup& tasks = launch.groups.emplace_back();
        tasks.tasks = number(1, 24);
        for (std::int64_t run = number(1, 4); run > 0; --run) {
            ArrayPass pass;
            pass.read_bytes = number(0, 100000);
            pass.read_channel_bytes = number(0, 1) * pass.read_bytes / number(1, 8);
            pass.feed_bytes = number(0, 20000);
            pass.cycles = double(number(0, 9000));
            pass.drain_bytes = number(0, 1) * number(1, 16384);
            pass.write_bytes = pass.drain_bytes * number(1, 16);
            pass.write_channel_bytes = pass.write_bytes / number(1, 8);
            tasks.passes.push_back({pass, number(1, 6)});
        }
    }
    return launch;
}

// No schedule beats a bound: of 4,000 random plans on every device, in every way to launch them.
TEST(ArraySimulation, NeverBeatsABound) {
    std::mt19937 random(7);
    for (int i = 0; i < 4000; ++i) {
        ArrayWork work;
        for (int launch = std::uniform_int_distribution<>(1, 4)(random); launch > 0; --launch) {
            work.append(random_launch(random));
        }
        CostModel model;
        model.spec = device_specs()[std::size_t(i) % device_specs().size()];
        model.dispatch = i % 2 == 0 ? Dispatch::calls : Dispatch::run_lists;
        model.caller = i % 3 == 0 ? Caller::python : Caller::cpp;
        const Cost cost = model.cost(work);
        const TimeBounds bounds = time_bounds(work, model);
        const double total = cost.total() * (1 + 1e-9);
        ASSERT_GE(total, bounds.launch_floor + bounds.kernel_floor) << i;
        ASSERT_GE(total, bounds.launch_floor + bounds.dram_roof) << i;
        ASSERT_GE(total, bounds.launch_floor + bounds.stream_roof) << i;
        ASSERT_NEAR(cost.compute, bounds.kernel_floor, 1e-9 * total) << i;
        ASSERT_GE(cost.transfer, 0) << i;
        ASSERT_GE(cost.idle, 0) << i;
    }
}

// The same of products of random size and tiling, and no core does more than its peak.
TEST(ArraySimulation, NeverBeatsABoundOfAProduct) {
    std::mt19937 random(8);
    const auto number = [&](std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(low, high)(random);
    };
    int simulated = 0;
    for (int i = 0; i < 1000; ++i) {
        CostModel model;
        model.spec = device_specs()[std::size_t(i) % device_specs().size()];
        GemmJob job;
        job.shape = {number(1, 1200), number(1, 1200), number(1, 1200)};
        job.tile = {16 * number(1, 8), 16 * number(1, 8), 16 * number(1, 8)};
        job.cores = number(0, 1) == 0 ? 1 : model.spec.cores();
        job.out_bytes = 2 * number(1, 2);
        job.blocks_per_launch = number(0, 3);
        job.accumulates_on_core = number(0, 3) > 0;
        job.kernel = number(0, 1) == 0 ? "peano" : "assembly";
        if (core_depth(job, model.spec) == 0) {
            EXPECT_THROW(gemm_work(job, model.spec), std::invalid_argument);
            continue;
        }
        ++simulated;
        const ArrayWork work = gemm_work(job, model.spec);
        const Cost cost = model.cost(work);
        const double total = cost.total() * (1 + 1e-9);
        ASSERT_GE(total, cost.bounds.largest()) << i;
        ASSERT_GE(total, cost.bounds.launch_floor + cost.bounds.kernel_floor) << i;
        ASSERT_GE(total, cost.bounds.launch_floor + cost.bounds.dram_roof) << i;
        ASSERT_GE(total, cost.bounds.launch_floor + cost.bounds.stream_roof) << i;
        ASSERT_GE(total, cost.bounds.launch_floor + cost.bounds.compute_roof) << i;
        const double products = double(job.shape.rows * job.shape.reduction * job.shape.columns);
        ASSERT_GE(work.macs, products) << i;
        ASSERT_LE(cost.share_of_peak(), 1) << i;
    }
    EXPECT_GT(simulated, 700);
}

// Slower parts never make a launch faster, nor fewer buffers.
TEST(ArraySimulation, IsMonotonous) {
    std::mt19937 random(9);
    for (int i = 0; i < 500; ++i) {
        const ArrayLaunch launch = random_launch(random);
        const DeviceSpec spec = device_specs()[std::size_t(i) % device_specs().size()];
        const double before = simulate(launch, spec, nullptr).total();
        for (double DeviceSpec::*rate :
             {&DeviceSpec::stream_bytes_per_cycle, &DeviceSpec::dram_read_bytes_per_second}) {
            DeviceSpec slower = spec;
            slower.*rate /= 1.5;
            // First come, first served at DRAM may let a slower stream make way for another transfer.
            ASSERT_GE(simulate(launch, slower, nullptr).total(), before * 0.97) << i;
        }
        ArrayLaunch doubled = launch;
        for (TaskGroup& group : doubled.groups) {
            for (PassRun& run : group.passes) {
                run.pass.cycles *= 2;
            }
        }
        ASSERT_GE(simulate(doubled, spec, nullptr).total(), before * 0.97) << i;
    }
}

TEST(ArraySimulation, DoubleBuffersHideTransfersAndSingleOnesDoNot) {
    ArrayPass pass;
    pass.feed_bytes = 1000;
    pass.cycles = 1000;
    ArrayLaunch launch = one_group({{pass, 10}});
    // Fill of one transfer, then ten products back to back.
    EXPECT_NEAR(simulate(launch, plain_device(), nullptr).total(), 11000 * cycle, 1e-12);
    launch.input_copies = 1;
    EXPECT_NEAR(simulate(launch, plain_device(), nullptr).total(), 20000 * cycle, 1e-12);
}

TEST(ArraySimulation, AnOutputThatLeavesTheAccumulatorHoldsUpTheNextProduct) {
    ArrayPass pass;
    pass.cycles = 1000;
    pass.drain_bytes = 400;
    ArrayLaunch launch = one_group({{pass, 10}});
    launch.output_in_accumulator = true;
    EXPECT_NEAR(simulate(launch, plain_device(), nullptr).total(), 14000 * cycle, 1e-12);
    launch.output_in_accumulator = false;  // a buffer of its own: one drain while the next product runs
    launch.output_copies = 2;
    EXPECT_NEAR(simulate(launch, plain_device(), nullptr).total(), 10400 * cycle, 1e-12);
}

TEST(ArraySimulation, ReadsAndWritesShareDram) {
    DeviceSpec spec = plain_device();
    spec.dram_read_bytes_per_second = spec.dram_write_bytes_per_second = 1e9;
    ArrayPass pass;
    pass.read_bytes = 1000;
    pass.drain_bytes = 1;
    pass.write_bytes = 1000;
    const ArrayLaunch launch = one_group({{pass, 50}});
    spec.dram_total_bytes_per_second = 2e9;
    const double apart = simulate(launch, spec, nullptr).total();
    EXPECT_NEAR(apart, 51 * 1000 * cycle, 10 * cycle);
    spec.dram_total_bytes_per_second = 1e9;
    EXPECT_NEAR(simulate(launch, spec, nullptr).total(), 100 * 1000 * cycle, 2000 * cycle);
}

TEST(ArraySimulation, TheControllerSetsUpTasksWhileDescriptorsLast) {
    DeviceSpec spec = plain_device();
    spec.task_seconds = 1e-6;
    ArrayPass pass;
    pass.cycles = 100000;  // 100 us
    pass.drain_bytes = 1;
    ArrayLaunch launch;
    for (int i = 0; i < 4; ++i) {
        launch.groups.push_back({10, {{pass, 1}}});
    }
    // 8 us before the first (two tasks belong to the call), the others while the cores work.
    EXPECT_NEAR(simulate(launch, spec, nullptr).idle, 8e-6, 1e-8);
    spec.shim_descriptors = descriptors_per_group;  // one group at a time
    EXPECT_NEAR(simulate(launch, spec, nullptr).idle, 38e-6, 1e-7);
}

// Every event lies in the launch, lanes do one thing at a time, and what the cores did is their time.
TEST(ArraySimulation, ATimelineIsConsistent) {
    std::mt19937 random(10);
    for (int i = 0; i < 100; ++i) {
        const ArrayLaunch launch = random_launch(random);
        std::vector<TimelineEvent> events;
        const ArrayTime time = simulate(launch, device_specs().front(), &events);
        std::map<Lane, double> last;
        double cores = 0;
        for (const TimelineEvent& event : events) {
            ASSERT_LE(last[event.lane], event.begin + 1e-15);
            ASSERT_LE(event.begin, event.end);
            ASSERT_LE(event.end, time.total() * (1 + 1e-12));
            last[event.lane] = event.end;
            cores += event.lane == Lane::cores ? event.end - event.begin : 0;
        }
        EXPECT_NEAR(cores, time.compute, 1e-12);
    }
}

TEST(ArraySimulation, NothingTakesNoTime) {
    EXPECT_EQ(simulate({}, device_specs().front(), nullptr).total(), 0);
}

}  // namespace
}  // namespace npu_impl
