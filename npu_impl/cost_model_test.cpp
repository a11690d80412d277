#include "npu_impl/cost_model.hpp"

#include <gtest/gtest.h>

#include <map>

#include "npu_impl/layer_time.hpp"

namespace npu_impl {
namespace {

using datasets::Op;

TilePlan product(MatmulShape shape, kernels::Store store) {
    const Design& design = *find_design("unfused");
    return plan_matmul(design, design.step_of(Op::output), shape, {store});
}

// Every plan of every design, its launches in any way: bounds hold, parts add up, nothing is lost on the way
// from tiles to passes.
TEST(CostModel, KeepsTheBoundsAndBytesOfEveryDesign) {
    for (const Design& design : designs()) {
        for (const std::int64_t context : {1, 63, 250, 1000}) {
            const LayerPlan layer = plan_layer(design, {context, 6}, {0, 6});
            for (const StepPlan& step : layer.steps) {
                for (const Dispatch dispatch : {Dispatch::calls, Dispatch::run_lists}) {
                    CostModel model;
                    model.dispatch = dispatch;
                    const ArrayWork work = array_work(step.tiles, model.spec, model.kernel);
                    Traffic traffic;
                    for (const LaunchSpan& span : work.sequence) {
                        for (const TaskGroup& group : work.launches[span.launch].groups) {
                            for (const PassRun& run : group.passes) {
                                traffic.in += span.count * run.count * run.pass.read_bytes;
                                traffic.out += span.count * run.count * run.pass.write_bytes;
                            }
                        }
                    }
                    const std::string what = design.name + " " + std::string(name(step.ops.last));
                    ASSERT_EQ(traffic, step.tiles.traffic) << what << " " << context;
                    ASSERT_EQ(work.launch_count(), std::ssize(step.tiles.launches)) << what;
                    const Cost cost = model.cost(work);
                    const double total = cost.total() * (1 + 1e-9);
                    ASSERT_GE(total, cost.bounds.launch_floor + cost.bounds.kernel_floor) << what;
                    ASSERT_GE(total, cost.bounds.launch_floor + cost.bounds.dram_roof) << what;
                    ASSERT_GE(total, cost.bounds.launch_floor + cost.bounds.stream_roof) << what;
                    ASSERT_GE(total, cost.bounds.launch_floor + cost.bounds.compute_roof) << what;
                    ASSERT_NEAR(cost.compute, cost.bounds.kernel_floor, 1e-9) << what;
                }
            }
        }
    }
}

// A product worked out by hand: 12 blocks of 4 x 4 tiles, each over 8 k tiles of 16 blocks of sums.
TEST(CostModel, OverlapsTransfersAndProducts) {
    const CostModel model;
    const TilePlan plan = product({1500, 512, 512}, kernels::Store::bf16_nearest_even);
    const Cost cost = model.cost(plan);
    EXPECT_EQ(cost.launches, 1);
    EXPECT_DOUBLE_EQ(cost.launch, model.spec.call_seconds);
    EXPECT_NEAR(cost.compute, 12.0 * 8 * (64 * 64 * 64 / 64 + 16 * 48) / model.spec.clock_hz, 1e-12);
    const double reading = 12.0 * (8 * 8 * 8192 + 4 * 128) / model.spec.dram_read_bytes_per_second;
    EXPECT_NEAR(cost.bounds.dram_roof, reading, 1e-12);
    EXPECT_EQ(cost.bounds.limiting(), "kernel");
    EXPECT_LT(cost.compute + cost.transfer + cost.idle, 0.6 * (cost.compute + reading))
        << "not the sum of both";
    EXPECT_NEAR(cost.idle, 10 * model.spec.task_seconds, 1e-9) << "12 tasks, two of them part of the call";
}

TEST(CostModel, RunListsPayTheCallOnceAList) {
    CostModel model;
    EXPECT_DOUBLE_EQ(model.launches_seconds(0, 100), 100 * model.spec.call_seconds);
    model.dispatch = Dispatch::run_lists;
    EXPECT_NEAR(model.launches_seconds(0, 24), 24 * model.spec.run_list_run_seconds, 1e-12);
    EXPECT_NEAR(model.launches_seconds(0, 48), 48 * model.spec.run_list_run_seconds, 1e-12);
    EXPECT_DOUBLE_EQ(model.launches_seconds(0, 1), model.spec.call_seconds);
    double sum = 0;
    for (std::int64_t i = 0; i < 61; ++i) {
        sum += model.launch_seconds(i);
    }
    EXPECT_NEAR(model.launches_seconds(0, 61), sum, 1e-12);
    EXPECT_NEAR(model.launches_seconds(0, 10) + model.launches_seconds(10, 51), sum, 1e-12);
    model.caller = Caller::python;
    EXPECT_NEAR(model.launches_seconds(0, 25) - 25 * model.spec.run_list_run_seconds,
                2 * model.spec.python_call_seconds + model.launch_seconds(0) -
                    model.spec.python_call_seconds - model.spec.run_list_run_seconds,
                1e-12);
}

std::map<Op, StepCost> by_op(std::string_view design, const CostModel& model) {
    std::map<Op, StepCost> out;
    for (const StepCost& step : step_costs(*find_design(design), {1500, 8}, model)) {
        out[step.ops.last] = step;
    }
    return out;
}

// Scores, probabilities and context take turns in 12 waves; a projection follows one of the same kernel.
TEST(CostModel, CountsChangesOfKernel) {
    const auto unfused = by_op("unfused", {});
    EXPECT_EQ(unfused.at(Op::query).switches, 1);
    EXPECT_EQ(unfused.at(Op::key).switches, 0);
    EXPECT_EQ(unfused.at(Op::value).switches, 0);
    EXPECT_EQ(unfused.at(Op::scores).switches, 12);
    EXPECT_EQ(unfused.at(Op::probabilities).switches, 12);
    EXPECT_EQ(unfused.at(Op::context).switches, 12);
    const auto fused = by_op("fused", {});
    EXPECT_EQ(fused.at(Op::context).switches, 1);
    CostModel shared;
    shared.contexts = Contexts::shared;
    const auto one = by_op("unfused", shared);
    for (const auto& [op, step] : one) {
        EXPECT_EQ(step.switches, 0);
        EXPECT_NEAR(unfused.at(op).seconds.total() - step.seconds.total(),
                    double(unfused.at(op).switches) * shared.spec.context_switch_seconds, 1e-12);
    }
}

// A run list holds runs of one context: where kernels take turns in contexts of their own, each wave's single
// launch pays a call; in one context the lists go on.
TEST(CostModel, ASwitchEndsARunList) {
    CostModel model;
    model.dispatch = Dispatch::run_lists;
    const auto apart = by_op("unfused", model).at(Op::scores);
    EXPECT_NEAR(apart.seconds.launch, 12 * (model.spec.context_switch_seconds + model.spec.call_seconds),
                1e-9);
    model.contexts = Contexts::shared;
    const auto shared = by_op("unfused", model).at(Op::scores);
    EXPECT_LT(shared.seconds.launch, 12 * 0.5 * model.spec.call_seconds);
    // Between partial tiles the host adds up, so that every wave begins a list.
    const auto partial = by_op("tile64", model).at(Op::output);
    const double wave = model.launches_seconds(0, 64) + model.spec.buffer_sync_seconds;
    EXPECT_NEAR(partial.seconds.launch, 24 * wave + model.spec.buffer_sync_seconds, 1e-9);
}

TEST(CostModel, LaunchesDominateSmallBatches) {
    const auto attention = [&](std::string_view design) {
        CostModel model;
        model.contexts = Contexts::shared;
        Cost sum;
        for (const auto& [op, step] : by_op(design, model)) {
            if (datasets::attention_ops.contains(op)) {
                sum += step.seconds;
            }
        }
        return sum;
    };
    EXPECT_EQ(attention("tile64").launches, 15360 + 12);
    EXPECT_EQ(attention("tile64").bounds.limiting(), "launches");
    EXPECT_GT(attention("tile64_batch").launch, 10 * attention("unfused").launch);
    EXPECT_LT(attention("fused").bounds.dram_roof, attention("unfused").bounds.dram_roof / 2)
        << "scores stay on the core";
    EXPECT_GT(attention("tile64").compute, 14 * attention("unfused").compute) << "one core instead of 16";
}

// Events of a plan's timeline lie behind each other as the launches do, and end with the last.
TEST(CostModel, GivesATimelineOfAllLaunches) {
    const Design& design = *find_design("tile64_batch");
    const TilePlan plan =
        plan_matmul(design, design.step_of(Op::output), {500, 128, 256}, {kernels::Store::f32});
    std::vector<TimelineEvent> events;
    const Cost cost = CostModel{}.cost(array_work(plan, device_specs().front(), "peano"), &events);
    double end = 0;
    std::int64_t launches = 0;
    double host = 0;
    for (const TimelineEvent& event : events) {
        end = std::max(end, event.end);
        if (event.lane == Lane::host) {
            EXPECT_EQ(event.pass, launches++);
            host += event.end - event.begin;
        }
    }
    EXPECT_EQ(launches, cost.launches);
    EXPECT_NEAR(host, cost.launch, 1e-12);
    EXPECT_NEAR(end, cost.total(), 1e-12);
}

// A layer's timeline ends when its costs are spent, and its lanes do one thing at a time.
TEST(CostModel, TheTimelineOfALayerAddsUpToItsCosts) {
    for (const char* design : {"tile64_batch", "tile64", "unfused", "fused"}) {
        for (const Contexts contexts : {Contexts::per_kernel, Contexts::shared}) {
            CostModel model;
            model.contexts = contexts;
            model.dispatch = contexts == Contexts::shared ? Dispatch::run_lists : Dispatch::calls;
            const LayerPlan plan = plan_layer(*find_design(design), {300, 6}, {0, 6}, pieces[0]);
            Cost sum;
            for (const StepCost& step : layer_costs(plan, datasets::attention_ops, model)) {
                sum += step.seconds;
            }
            double end = 0;
            double cores = 0;
            double host = 0;
            std::map<Lane, double> last;
            for (const LayerEvent& event : layer_timeline(plan, datasets::attention_ops, model)) {
                ASSERT_GE(event.event.begin, last[event.event.lane] - 1e-12);
                last[event.event.lane] = event.event.end;
                end = std::max(end, event.event.end);
                const double seconds = event.event.end - event.event.begin;
                cores += event.event.lane == Lane::cores ? seconds : 0;
                host += event.event.lane == Lane::host ? seconds : 0;
            }
            EXPECT_NEAR(end, sum.total(), 1e-9) << design;
            EXPECT_NEAR(cores, sum.compute, 1e-9) << design;
            EXPECT_NEAR(host, sum.launch, 1e-9) << design;
        }
    }
}

TEST(CostModel, TheScalarKernelOfTheNoteTakes49Milliseconds) {
    const Design& design = *find_design("legacy_tile64");
    const TilePlan plan =
        plan_matmul(design, design.step_of(Op::output), {64, 64, 64}, {kernels::Store::bf16_floor, true});
    EXPECT_NEAR(CostModel{}.cost(plan).compute, 49e-3, 1e-4);
}

}  // namespace
}  // namespace npu_impl
