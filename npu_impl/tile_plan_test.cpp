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

constexpr TileOutput bf16{kernels::Store::bf16_nearest_even};

Design design_with(int cores, std::int64_t tiles_per_launch) {
    Design design = *find_design("unfused");
    for (StepDesign& step : design.steps) {
        step.cores = cores;
        step.tiles_per_launch = tiles_per_launch;
    }
    return design;
}

// Every tile (partial: every k tile behind it) of every head exactly once, cores in range and no core twice
// in a round, whole rounds per launch.
void expect_covers(const TilePlan& plan, const StepDesign& step) {
    const std::int64_t depth = plan.partial ? plan.reduction.tiles() : 1;
    std::vector<int> times(
        static_cast<std::size_t>(plan.heads * plan.rows.tiles() * plan.columns.tiles() * depth));
    for (const TileLaunch& launch : plan.launches) {
        const auto slots = static_cast<std::int64_t>(launch.slots.size());
        ASSERT_EQ(slots + launch.idle, launch.rounds * step.cores);
        ASSERT_GT(slots, 0);
        ASSERT_TRUE(step.tiles_per_launch == 0 || slots + launch.idle <= step.tiles_per_launch);
        std::vector<std::int64_t> load(static_cast<std::size_t>(step.cores));
        for (const Slot& slot : launch.slots) {
            ASSERT_TRUE(slot.core >= 0 && slot.core < step.cores);
            ASSERT_LE(++load[static_cast<std::size_t>(slot.core)], launch.rounds);
            for (std::int64_t i = 0; i < plan.tiles_per_slot; ++i) {
                const std::int64_t row = slot.head * plan.rows.tiles() + slot.row;
                const std::int64_t tile = row * plan.columns.tiles() + slot.column + i;
                ++times[static_cast<std::size_t>(tile * depth + slot.k)];
            }
        }
    }
    for (const int count : times) {
        ASSERT_EQ(count, 1);
    }
    ASSERT_EQ(plan.tiles(), static_cast<std::int64_t>(times.size()));
    ASSERT_LE(plan.core_bytes, 65536);
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
        const StepDesign& step = design.step_of(pick(2) == 1 ? Op::query : Op::scores);
        const TilePlan plan = plan_matmul(design, step, shape, {kernels::Store::f32});
        expect_covers(plan, step);
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
                const StepDesign& step = design.step_of(Op::output);
                expect_covers(plan_matmul(design, step, shape, {kernels::Store::f32}), step);
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
                    const StepDesign& step = design.step_of(op);
                    const TilePlan plan = plan_square(design, step, {context, heads}, bf16);
                    expect_covers(plan, step);
                    ASSERT_EQ(plan.waves(), (heads * plan.rows.tiles() + 15) / 16);
                }
                const StepDesign& step = fused.step_of(Op::context);
                const TilePlan plan = plan_square(fused, step, {context, heads}, bf16);
                expect_covers(plan, step);
                ASSERT_EQ(std::int64_t(plan.launches.size()), plan.waves());
            }
        }
    }
}

TEST(TilePlan, AWaveHoldsSixteenPairsRowBlocksMajor) {
    const auto waves = pair_waves({3001, 8});
    ASSERT_EQ(waves.size(), 24U);
    EXPECT_EQ(waves.front().size(), 16U);
    EXPECT_EQ(waves.back().size(), 8U);
    EXPECT_EQ(waves[0][7], (Pair{0, 7}));
    EXPECT_EQ(waves[0][8], (Pair{1, 0}));
    EXPECT_EQ(waves.back().back(), (Pair{46, 7}));
    const Design& fused = *find_design("fused");
    const TilePlan plan = plan_square(fused, fused.step_of(Op::context), {3001, 8}, bf16);
    EXPECT_EQ(plan.idle_slots(), 8);
}

TEST(TilePlan, TheNoteOfEightTilesPerLaunchIsExpressible) {
    // "Can batch 8 output tiles together: 3,008 tile operations of 3001 x 512 x 512 in 376 launches of 8
    // products"; with accumulation on the core a launch of 8 output tiles does all 64 products behind them.
    const Design& design = *find_design("tile64_batch");
    const TilePlan plan = plan_matmul(design, design.step_of(Op::query), {3001, 512, 512}, bf16);
    EXPECT_EQ(plan.tiles(), 376);
    EXPECT_EQ(plan.tiles() * plan.reduction.tiles(), 3008);
    EXPECT_EQ(plan.launches.size(), 47U);
    for (const TileLaunch& launch : plan.launches) {
        EXPECT_EQ(launch.slots.size(), 8U);
    }
}

TEST(TilePlan, AProductOfWhisperBaseSharesOperandTiles) {
    const Design& design = *find_design("unfused");
    const TilePlan plan = plan_matmul(design, design.step_of(Op::query), {1500, 512, 512}, bf16);
    EXPECT_EQ(plan.rounds(), 12);
    EXPECT_EQ(plan.idle_slots(), 0);
    // 4 x 4 tiles per round: four row and four column tiles of all eight k tiles, and four tiles of bias.
    EXPECT_EQ(plan.traffic.in, 12 * ((4 + 4) * 8 * 8192 + 4 * 128));
    EXPECT_EQ(plan.traffic.out, 24 * 8 * 64 * 64 * 2);
}

TEST(TilePlan, FindNamesTheSlot) {
    const Design design = design_with(16, 16);
    const TilePlan plan =
        plan_matmul(design, design.step_of(Op::output), {700, 64, 500}, {kernels::Store::f32});
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
        return plan_matmul(design, design.step_of(Op::query), {rows, 64, 64}, {kernels::Store::f32});
    };
    EXPECT_EQ(plan(100), plan(100));
    EXPECT_FALSE(plan(100) == plan(200));
}

TEST(TilePlan, RefusesEmptySizesAndKernelsThatDoNotFitTheCore) {
    const Design& design = *find_design("unfused");
    const StepDesign& query = design.step_of(Op::query);
    const StepDesign& scores = design.step_of(Op::scores);
    EXPECT_THROW(plan_matmul(design, query, {0, 1, 1}, bf16), std::invalid_argument);
    EXPECT_THROW(plan_square(design, scores, {1, 0}, bf16), std::invalid_argument);
    EXPECT_THROW(plan_square(design, query, {1, 1}, bf16), std::invalid_argument);
    StepDesign doubled = scores;
    for (CoreBuffer& buffer : doubled.kernel.core_memory) {
        buffer.copies = 2;
    }
    EXPECT_THROW(plan_matmul(design, doubled, {64, 64, 64}, bf16), std::invalid_argument)
        << "A, B and fp32 C all double-buffered do not fit";
    StepDesign uneven = query;
    uneven.tiles_per_launch = 10;
    EXPECT_THROW(plan_matmul(design, uneven, {64, 64, 64}, bf16), std::invalid_argument);
}

// Of a wave, host and device hold one buffer; its tiles are all there and none twice.
void expect_partial_waves_packed(const TilePlan& plan, std::int64_t element_bytes) {
    std::int64_t most = 0;
    for (std::int64_t wave = 0; wave < plan.waves(); ++wave) {
        std::set<std::int64_t> places;
        for (const TileLaunch& launch : plan.launches_of(wave)) {
            for (const Slot& slot : launch.slots) {
                places.insert(plan.partial_index(slot));
            }
        }
        ASSERT_EQ(std::int64_t(places.size()), plan.partial_tiles(wave));
        ASSERT_EQ(*places.rbegin(), plan.partial_tiles(wave) - 1);
        most = std::max(most, plan.partial_tiles(wave));
    }
    ASSERT_GE(plan.buffer("out").bytes, most * 64 * 64 * element_bytes + guard_bytes);
}

TEST(TilePlan, OneTilePerLaunchCoversEveryKTileAndHoldsOneWave) {
    for (const char* name : {"tile64", "legacy_tile64"}) {
        const Design& design = *find_design(name);
        for (const std::int64_t context : {std::int64_t{1}, std::int64_t{65}, std::int64_t{1500}}) {
            for (const Op op : {Op::query, Op::scores, Op::context, Op::output}) {
                const StepDesign& step = design.step_of(op);
                const TileOutput output = tile_output(design.arithmetic_of(op));
                const bool square = op == Op::scores || op == Op::context;
                const TilePlan plan = square ? plan_square(design, step, {context, 3}, output)
                                             : plan_matmul(design, step, {context, 192, 192}, output);
                expect_covers(plan, step);
                expect_partial_waves_packed(plan, bytes_of(output.store));
                for (const TileLaunch& launch : plan.launches) {
                    ASSERT_EQ(launch.slots.size(), 1U);
                }
                EXPECT_EQ(plan.macs_per_slot, 64 * 64 * 64);
                EXPECT_EQ(plan.idle_slots(), 0);
                const std::int64_t in = std::int64_t(plan.launches.size()) * 2 * 8192;
                EXPECT_EQ(plan.traffic.in, in) << "two operand tiles per launch";
            }
        }
    }
}

TEST(TilePlan, FindOfAPartialTileNamesItsFirstKTile) {
    const Design& design = *find_design("tile64");
    const TilePlan plan = plan_matmul(design, design.step_of(Op::output), {130, 192, 128},
                                      tile_output(design.arithmetic_of(Op::output)));
    EXPECT_EQ(plan.find(0, 0, 0)->launch, 0);
    EXPECT_EQ(plan.find(0, 0, 1)->launch, 3);
    EXPECT_EQ(plan.find(0, 2, 1)->launch, 15);
}

}  // namespace
}  // namespace npu_impl
