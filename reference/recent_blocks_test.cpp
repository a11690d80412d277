#include "reference/recent_blocks.hpp"

#include <gtest/gtest.h>
#include <tbb/parallel_for.h>

#include <atomic>
#include <stdexcept>

namespace reference {
namespace {

using datasets::Rows;

constexpr std::size_t elements = 640;

Rows block(std::int64_t at) {
    return {static_cast<int>(at % 3), 64 * at, 64};
}

// Fills a block with its first row, and counts.
class Maker {
public:
    RecentBlocks::Values ask(Rows rows, std::size_t size = elements) {
        return blocks_.get(rows, size, [&](std::span<float> out) {
            ++made_;
            EXPECT_EQ(out.size(), size);
            std::ranges::fill(out, static_cast<float>(rows.begin));
        });
    }
    RecentBlocks& blocks() { return blocks_; }
    int made() const { return made_; }

private:
    RecentBlocks blocks_;
    std::atomic<int> made_ = 0;
};

TEST(RecentBlocks, MakesABlockOfTheLastWaveOnce) {
    Maker maker;
    for (int again = 0; again < 3; ++again) {
        for (std::int64_t i = 0; i < 16; ++i) {
            const RecentBlocks::Values values = maker.ask(block(i));
            EXPECT_EQ(values[0], 64 * i);
            EXPECT_EQ(values[elements - 1], 64 * i);
        }
    }
    EXPECT_EQ(maker.made(), 16);
}

TEST(RecentBlocks, ForgetsTheOldestAndNothingElse) {
    Maker maker;
    for (std::int64_t i = 0; i < 17; ++i) {
        maker.ask(block(i));
    }
    EXPECT_EQ(maker.blocks().find(block(0)), nullptr);
    for (std::int64_t i = 1; i < 17; ++i) {
        EXPECT_NE(maker.blocks().find(block(i)), nullptr) << i;
    }
}

TEST(RecentBlocks, TellsBlocksApartByHeadBeginAndCount) {
    Maker maker;
    maker.ask({1, 64, 64});
    for (const Rows other : {Rows{2, 64, 64}, Rows{1, 128, 64}, Rows{1, 64, 63}, Rows{}}) {
        EXPECT_EQ(maker.blocks().find(other), nullptr);
    }
}

// T = 65536: 16 MiB a block.
TEST(RecentBlocks, KeepsOneBlockWhereItIsLarge) {
    Maker maker;
    const std::size_t large = std::size_t{4} << 20U;
    maker.ask(block(0), large);
    maker.ask(block(1), large);
    EXPECT_EQ(maker.blocks().find(block(0)), nullptr);
    EXPECT_NE(maker.blocks().find(block(1)), nullptr);
}

TEST(RecentBlocks, RemembersNothingThatWasNotMade) {
    RecentBlocks blocks;
    EXPECT_THROW(
        static_cast<void>(blocks.get(block(5), elements, [](auto) { throw std::runtime_error("no BLAS"); })),
        std::runtime_error);
    EXPECT_EQ(blocks.find(block(5)), nullptr);
}

// What a reader holds stays as it is, whatever is asked for meanwhile.
TEST(RecentBlocks, ServesManyThreads) {
    Maker maker;
    tbb::parallel_for(0, 2000, [&](int i) {
        const std::int64_t at = i % 40;
        const RecentBlocks::Values values = maker.ask(block(at));
        maker.ask(block((at + 7) % 40));
        EXPECT_TRUE(std::all_of(values.get(), values.get() + elements,
                                [&](float value) { return value == static_cast<float>(64 * at); }));
    });
    EXPECT_GE(maker.made(), 40);
}

}  // namespace
}  // namespace reference
