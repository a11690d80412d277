#include "npu_impl/cost_model.hpp"

#include <gtest/gtest.h>

#include "npu_impl/layer_plan.hpp"

namespace npu_impl {
namespace {

using datasets::Op;

TilePlan product(MatmulShape shape, kernels::Store store) {
    const Design& design = *find_design("unfused");
    return plan_matmul(design, design.step_of(Op::output), shape, {store});
}

TEST(CostModel, AddsLaunchesTransfersAndProducts) {
    const CostModel model{{"test", "", 1e9, 16, 64, 1e9, 1e-3}};
    const TilePlan plan = product({1500, 512, 512}, kernels::Store::bf16_nearest_even);
    const Cost cost = model.cost(plan);
    EXPECT_DOUBLE_EQ(cost.launch, 1e-3);
    EXPECT_DOUBLE_EQ(cost.transfer, 1e-9 * double(12 * (8 * 8 * 8192 + 4 * 128) + 192 * 8192));
    EXPECT_DOUBLE_EQ(cost.compute, 12.0 * 8 * 64 * 64 * 64 / 64e9);
    EXPECT_DOUBLE_EQ(cost.total(), cost.launch + cost.transfer + cost.compute);
}

TEST(CostModel, DefaultsToTheLaptopOfTheNote) {
    EXPECT_EQ(CostModel{}.spec.name, "hawk_point");
    EXPECT_EQ(CostModel{}.spec.clock_hz, 1.6e9);
    EXPECT_NE(find_device_spec("phoenix"), nullptr);
    EXPECT_NE(find_device_spec("8700g"), nullptr);
    EXPECT_EQ(find_device_spec("none"), nullptr);
    for (const DeviceSpec& spec : device_specs()) {
        EXPECT_EQ(spec.cores, 16);
        EXPECT_LE(spec.mac_per_cycle_per_core, 128) << "the peak of a core: one 4x8x4 product per cycle";
    }
}

// Published whole-array times (data/published_timings.csv) against the sum model: it may be slow, for it
// overlaps nothing, but not by more than two, and not fast by more than a quarter.
TEST(CostModel, AgreesWithPublishedProducts) {
    const auto expect = [](std::string_view spec, std::int64_t n, kernels::Store store, double microseconds) {
        const double modelled =
            CostModel{*find_device_spec(spec)}.cost(product({n, n, n}, store)).total() * 1e6;
        EXPECT_GT(modelled, 0.75 * microseconds) << spec << " " << n;
        EXPECT_LT(modelled, 2 * microseconds) << spec << " " << n;
    };
    expect("8700g", 512, kernels::Store::bf16_nearest_even, 299.9);
    expect("8700g", 1024, kernels::Store::bf16_nearest_even, 1036.2);
    expect("hawk_point", 512, kernels::Store::f32, 267);
}

TEST(CostModel, LaunchesDominateSmallBatches) {
    const datasets::LayerShape base{1500, 8};
    const auto total = [&](std::string_view name) {
        Cost sum;
        for (const StepCost& step : step_costs(*find_design(name), base, {})) {
            if (!datasets::attention_ops.contains(step.ops.last)) {
                continue;
            }
            sum.launch += step.seconds.launch;
            sum.transfer += step.seconds.transfer;
            sum.compute += step.seconds.compute;
        }
        return sum;
    };
    EXPECT_GT(total("tile64_batch").launch, 10 * total("unfused").launch);
    EXPECT_GT(total("tile64_batch").launch, total("tile64_batch").compute);
    EXPECT_LT(total("fused").transfer, total("unfused").transfer) << "scores stay on the core";
    EXPECT_NEAR(total("fused").compute, total("unfused").compute, 1e-12);
    // 15,360 launches of the products, 12 of the softmax; one core instead of 16.
    EXPECT_DOUBLE_EQ(total("tile64").launch, (15360 + 12) * CostModel{}.spec.launch_seconds);
    EXPECT_NEAR(total("tile64").compute, 16 * total("unfused").compute, 1e-9);
}

TEST(CostModel, UsesTheCoresOfTheStep) {
    const Design& mixed = *find_design("tile64_batch");
    const auto steps = step_costs(mixed, {1500, 8}, {});
    const auto whole = step_costs(*find_design("unfused"), {1500, 8}, {});
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const double factor = 16.0 / mixed.steps[i].cores;
        EXPECT_DOUBLE_EQ(steps[i].seconds.compute, factor * whole[i].seconds.compute);
    }
    EXPECT_EQ(mixed.step_of(Op::probabilities).cores, 16);
    EXPECT_EQ(mixed.step_of(Op::context).cores, 8);
}

}  // namespace
}  // namespace npu_impl
