#include "npu_impl/tile_plan.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <stdexcept>
#include <tuple>

namespace npu_impl {
namespace {

using datasets::Op;

constexpr std::array ragged{std::int64_t{1},   std::int64_t{63},   std::int64_t{64},   std::int64_t{65},
                            std::int64_t{127}, std::int64_t{1499}, std::int64_t{1500}, std::int64_t{3001}};

Design design_with(int cores, std::int64_t tiles_per_launch) {
    Design design = *find_design("unfused");
    design.cores = cores;
    design.tiles_per_launch = tiles_per_launch;
    return design;
}

// Every tile of every head exactly once, cores in range and no core twice in a round, whole rounds per
// launch.
void expect_covers(const TilePlan& plan, const Design& design) {
    std::vector<int> times(static_cast<std::size_t>(plan.heads * plan.rows.tiles() * plan.columns.tiles()));
    for (const TileLaunch& launch : plan.launches) {
        const auto slots = static_cast<std::int64_t>(launch.slots.size());
        ASSERT_EQ(slots + launch.idle, launch.rounds * design.cores);
        ASSERT_GT(slots, 0);
        ASSERT_TRUE(design.tiles_per_launch == 0 || slots + launch.idle <= design.tiles_per_launch);
        std::vector<std::int64_t> load(static_cast<std::size_t>(design.cores));
        for (const Slot& slot : launch.slots) {
            ASSERT_TRUE(slot.core >= 0 && slot.core < design.cores);
            ASSERT_LE(++load[static_cast<std::size_t>(slot.core)], launch.rounds);
            for (std::int64_t i = 0; i < plan.tiles_per_slot; ++i) {
                const std::int64_t row = slot.head * plan.rows.tiles() + slot.row;
                ++times[static_cast<std::size_t>(row * plan.columns.tiles() + slot.column + i)];
            }
        }
    }
    for (const int count : times) {
        ASSERT_EQ(count, 1);
    }
    ASSERT_EQ(plan.tiles(), static_cast<std::int64_t>(times.size()));
    ASSERT_LE(plan.core_bytes, design.l1_bytes);
}

TEST(TilePlan, CoversRandomProductsExactlyOnceAndFitsTheCore) {
    std::mt19937 random(1);
    const auto pick = [&](std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(1, high)(random);
    };
    for (int i = 0; i < 3000; ++i) {
        const int cores = std::array{16, 16, 8, 4, 1, 3}[static_cast<std::size_t>(pick(6) - 1)];
        const Design design = design_with(cores, pick(2) == 1 ? 0 : cores * pick(4));
        const MatmulShape shape{pick(2000), pick(2000), pick(2000)};
        const KernelDesign& kernel = design.step_of(pick(2) == 1 ? Op::query : Op::scores).kernel;
        const TilePlan plan = plan_matmul(design, kernel, shape, kernels::Store::f32);
        expect_covers(plan, design);
        ASSERT_LT(plan.rows.padded() - shape.rows, 64);
        ASSERT_EQ(plan.rows.padded() % 64, 0);
        ASSERT_EQ(plan.macs_per_core(), plan.rounds() * plan.reduction.tiles() * 64 * 64 * 64);
        ASSERT_EQ(plan.buffer("left").bytes, plan.rows.padded() * plan.reduction.padded() * 2);
        ASSERT_EQ(plan.buffer("out").bytes, plan.rows.padded() * plan.columns.padded() * 4 + guard_bytes);
        // Every output leaves once; every operand comes in at least once, at most once per tile and k tile.
        ASSERT_EQ(plan.traffic.out, plan.tiles() * 64 * 64 * 4);
        ASSERT_GE(plan.traffic.in, plan.buffer("left").bytes);
        ASSERT_LE(plan.traffic.in, plan.tiles() * (plan.reduction.tiles() * 2 * 8192 + 128));
    }
}

TEST(TilePlan, CoversRaggedProductsExactlyOnce) {
    const Design design = design_with(16, 0);
    for (const std::int64_t rows : ragged) {
        for (const std::int64_t columns : ragged) {
            for (const std::int64_t reduction : {1, 65, 3001}) {
                const MatmulShape shape{rows, reduction, columns};
                expect_covers(
                    plan_matmul(design, design.step_of(Op::output).kernel, shape, kernels::Store::f32),
                    design);
            }
        }
    }
}

TEST(TilePlan, CoversTheSquarePartExactlyOnce) {
    std::mt19937 random(2);
    const Design& fused = *find_design("fused");
    for (const std::int64_t context : ragged) {
        for (const int heads : {1, 6, 8, 20}) {
            for (const std::int64_t tiles_per_launch : {0, 16}) {
                const Design design = design_with(16, tiles_per_launch);
                for (const Op op : {Op::scores, Op::probabilities, Op::context}) {
                    const TilePlan plan = plan_square(design, design.step_of(op).kernel, op, {context, heads},
                                                      kernels::Store::bf16_nearest_even);
                    expect_covers(plan, design);
                    ASSERT_EQ(plan.waves(), (heads * plan.rows.tiles() + 15) / 16);
                }
                const TilePlan plan = plan_square(fused, fused.step_of(Op::context).kernel, Op::context,
                                                  {context, heads}, kernels::Store::bf16_nearest_even);
                expect_covers(plan, fused);
                ASSERT_EQ(std::int64_t(plan.launches.size()), plan.waves());
            }
        }
    }
}

TEST(TilePlan, AWaveHoldsOnePairPerCoreRowBlocksMajor) {
    const auto waves = pair_waves({3001, 8}, 16);
    ASSERT_EQ(waves.size(), 24U);
    EXPECT_EQ(waves.front().size(), 16U);
    EXPECT_EQ(waves.back().size(), 8U);
    EXPECT_EQ(waves[0][7], (Pair{0, 7}));
    EXPECT_EQ(waves[0][8], (Pair{1, 0}));
    EXPECT_EQ(waves.back().back(), (Pair{46, 7}));
    const TilePlan plan =
        plan_square(*find_design("fused"), find_design("fused")->step_of(Op::context).kernel, Op::context,
                    {3001, 8}, kernels::Store::bf16_nearest_even);
    EXPECT_EQ(plan.idle_slots(), 8);
}

TEST(TilePlan, TheNoteOfEightTilesPerLaunchIsExpressible) {
    // "Can batch 8 output tiles together: 3,008 tile operations of 3001 x 512 x 512 in 376 launches of 8
    // products"; with accumulation on the core a launch of 8 output tiles does all 64 products behind them.
    const Design& design = *find_design("tile_batch8");
    const TilePlan plan = plan_matmul(design, design.step_of(Op::query).kernel, {3001, 512, 512},
                                      kernels::Store::bf16_nearest_even);
    EXPECT_EQ(plan.tiles(), 376);
    EXPECT_EQ(plan.tiles() * plan.reduction.tiles(), 3008);
    EXPECT_EQ(plan.launches.size(), 47U);
    for (const TileLaunch& launch : plan.launches) {
        EXPECT_EQ(launch.slots.size(), 8U);
    }
}

TEST(TilePlan, AProductOfWhisperBaseSharesOperandTiles) {
    const Design& design = *find_design("unfused");
    const TilePlan plan = plan_matmul(design, design.step_of(Op::query).kernel, {1500, 512, 512},
                                      kernels::Store::bf16_nearest_even);
    EXPECT_EQ(plan.rounds(), 12);
    EXPECT_EQ(plan.idle_slots(), 0);
    // 4 x 4 tiles per round: four row and four column tiles of all eight k tiles, and four tiles of bias.
    EXPECT_EQ(plan.traffic.in, 12 * ((4 + 4) * 8 * 8192 + 4 * 128));
    EXPECT_EQ(plan.traffic.out, 24 * 8 * 64 * 64 * 2);
}

TEST(TilePlan, FindNamesTheSlot) {
    const Design design = design_with(16, 16);
    const TilePlan plan =
        plan_matmul(design, design.step_of(Op::output).kernel, {700, 64, 500}, kernels::Store::f32);
    for (std::size_t i = 0; i < plan.launches.size(); ++i) {
        for (const Slot& slot : plan.launches[i].slots) {
            const auto place = plan.find(0, slot.row, slot.column);
            ASSERT_TRUE(place.has_value());
            EXPECT_EQ(place->launch, std::int64_t(i));
            EXPECT_EQ(place->core, slot.core);
        }
    }
    EXPECT_FALSE(plan.find(0, plan.rows.tiles(), 0).has_value());
    EXPECT_FALSE(plan.find(1, 0, 0).has_value());
}

TEST(TilePlan, IsAPureValue) {
    const Design& design = *find_design("unfused");
    const auto plan = [&](std::int64_t rows) {
        return plan_matmul(design, design.step_of(Op::query).kernel, {rows, 64, 64}, kernels::Store::f32);
    };
    EXPECT_EQ(plan(100), plan(100));
    EXPECT_FALSE(plan(100) == plan(200));
}

TEST(TilePlan, RefusesEmptySizesAndKernelsThatDoNotFitTheCore) {
    Design design = *find_design("unfused");
    const KernelDesign kernel = design.step_of(Op::query).kernel;
    EXPECT_THROW(plan_matmul(design, kernel, {0, 1, 1}, kernels::Store::f32), std::invalid_argument);
    EXPECT_THROW(plan_square(design, kernel, Op::scores, {1, 0}, kernels::Store::f32), std::invalid_argument);
    EXPECT_THROW(plan_square(design, kernel, Op::query, {1, 1}, kernels::Store::f32), std::invalid_argument);
    KernelDesign doubled = design.step_of(Op::scores).kernel;
    for (CoreBuffer& buffer : doubled.core_memory) {
        buffer.copies = 2;
    }
    EXPECT_THROW(plan_matmul(design, doubled, {64, 64, 64}, kernels::Store::f32), std::invalid_argument)
        << "A, B and fp32 C all double-buffered do not fit";
    design.tiles_per_launch = 10;
    EXPECT_THROW(plan_matmul(design, kernel, {64, 64, 64}, kernels::Store::f32), std::invalid_argument);
}

}  // namespace
}  // namespace npu_impl
