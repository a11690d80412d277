#include "npu_impl/tile_tuner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace npu_impl {
namespace {

using testing::HasSubstr;

GemmJob job_of(MatmulShape shape, GemmTiling tile) {
    GemmJob job;
    job.shape = shape;
    job.tile = tile;
    return job;
}

// The best breaks nothing, no random tiling that fits is faster in whatever batches, and its bound holds.
TEST(TileTuner, FindsNothingFasterThanItsBest) {
    std::mt19937 random(3);
    for (const char* device : {"hawk_point", "8700g", "strix"}) {
        const CostModel model{*find_device_spec(device)};
        GemmJob job = job_of({1500, 512, 2048}, {});
        job.cores = model.spec.cores();
        const TunedGemm best = tune(job, model);
        EXPECT_FALSE(find_breach(best.job, model.spec).has_value()) << device;
        EXPECT_GE(best.cost.total(), best.cost.bounds.launch_floor + best.cost.bounds.dram_roof);
        EXPECT_GT(best.refused, 0);
        for (int i = 0; i < 60; ++i) {
            const auto sixteens = [&] {
                return 16 * std::uniform_int_distribution<std::int64_t>(1, 16)(random);
            };
            GemmJob other = job;
            other.tile = {sixteens(), std::int64_t{32} << std::uniform_int_distribution<>(0, 4)(random),
                          sixteens()};
            other.blocks_per_launch = std::uniform_int_distribution<std::int64_t>(0, 12)(random);
            if (!find_breach(other, model.spec)) {
                EXPECT_GE(model.cost(gemm_work(other, model.spec)).total(), best.cost.total() * (1 - 1e-12));
            }
        }
        GemmJob stock = job;
        stock.tile = {64, 64, 32};
        EXPECT_LT(best.cost.total(), model.cost(gemm_work(stock, model.spec)).total());
    }
}

TEST(TileTuner, RefusesWithTheLimitAndTheNearestThatFits) {
    const DeviceSpec& spec = device_specs().front();
    const auto refusal = [&](const GemmJob& job) {
        const auto breach = find_breach(job, spec);
        return breach ? describe(*breach) : std::string();
    };
    EXPECT_EQ(refusal(job_of({512, 512, 512}, {64, 64, 64})), "");
    EXPECT_EQ(refusal(job_of({512, 512, 512}, {60, 64, 64})), "m is 60: not a multiple of 16");
    EXPECT_EQ(refusal(job_of({512, 512, 512}, {64, 60, 64})), "k is 60: not a multiple of 8");
    EXPECT_EQ(refusal(job_of({512, 512, 512}, {64, 64, 8})), "n is 8: not a multiple of 16");
    EXPECT_THAT(refusal(job_of({512, 512, 512}, {256, 64, 256})), HasSubstr("of 65536 bytes of L1"));
    EXPECT_THAT(refusal(job_of({512, 4096, 512}, {64, 2048, 64})),
                HasSubstr("of 524288 bytes of a memory tile"));
    EXPECT_EQ(refusal(job_of({65536, 512, 512}, {32, 64, 64})),
              "needs 2048 of 1023 steps of one dimension of a descriptor");
    DeviceSpec few = spec;
    few.memtile_descriptors = 7;
    EXPECT_EQ(describe(find_breach(job_of({512, 512, 512}, {64, 64, 64}), few).value()),
              "needs 8 of 7 descriptors of a channel of a memory tile");
    GemmJob many = job_of({512, 512, 512}, {64, 64, 64});
    many.cores = 32;
    EXPECT_EQ(refusal(many), "needs 32 of 16 cores of the array");
    const auto near = nearest_fit(job_of({512, 512, 512}, {60, 64, 64}), spec);
    EXPECT_EQ(near, (GemmTiling{64, 64, 64}));
    EXPECT_EQ(nearest_fit(job_of({10000000, 512, 512}, {64, 64, 64}), spec), std::nullopt);
}

}  // namespace
}  // namespace npu_impl
