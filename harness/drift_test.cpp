// The deviation of streams against closed forms.
#include "harness/drift.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

namespace harness {
namespace {

std::vector<float> noise(std::size_t count, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    std::vector<float> values(count);
    for (float& value : values) {
        value = normal(random);
    }
    return values;
}

TEST(Deviation, OfAStreamFromItselfIsNothing) {
    const auto stream = noise(65 * 8, 1);
    const Deviation none = deviation(stream, stream, 8);
    EXPECT_EQ(none.match_percent, 100);
    EXPECT_EQ(none.relative_error, 0);
    EXPECT_EQ(none.worst_row, 0);
    EXPECT_EQ(none.nonfinite, 0);
}

// A gain of 1 + g errs by exactly g, in every row; the match loses g^2 of all energy over the centred part.
TEST(Deviation, OfAGainIsTheGain) {
    const auto golden = noise(128 * 16, 2);
    std::vector<float> got = golden;
    for (float& value : got) {
        value *= 1.0625F;  // exact
    }
    const Deviation gain = deviation(got, golden, 16);
    EXPECT_NEAR(gain.relative_error, 0.0625, 1e-8);
    EXPECT_LE(gain.worst_row, 0.0625 * 1.5);
    EXPECT_LT(gain.match_percent, 100 * (1 - 0.0625 * 0.0625));
    EXPECT_NEAR(gain.match_percent, 100 * (1 - 0.0625 * 0.0625), 0.05);
}

// Adding a constant to a column is invisible to a centred golden but not to its match.
TEST(Deviation, CountsAShiftedColumnAgainstTheCentredEnergy) {
    std::vector<float> golden(64 * 2);
    for (std::size_t row = 0; row < 64; ++row) {
        golden[row * 2] = 100.0F;  // no variance: takes no part in the centred energy
        golden[row * 2 + 1] = row % 2 == 0 ? 1.0F : -1.0F;
    }
    std::vector<float> got = golden;
    for (std::size_t row = 0; row < 64; ++row) {
        got[row * 2] += 0.5F;
    }
    const Deviation shift = deviation(got, golden, 2);
    EXPECT_NEAR(shift.match_percent, 100 * (1 - 0.25), 1e-9);
    EXPECT_NEAR(shift.relative_error, 0.5 / std::sqrt(10001.0), 1e-12);
}

TEST(Deviation, FindsTheWorstRow) {
    const auto golden = noise(70 * 4, 3);
    std::vector<float> got = golden;
    got[66 * 4 + 1] += 3.0F;
    const Deviation one = deviation(got, golden, 4);
    EXPECT_EQ(one.worst_row_index, 66);
    EXPECT_GT(one.worst_row, 0.5);
}

TEST(Deviation, OfWhatIsNotFiniteIsNotANumber) {
    const auto golden = noise(8 * 4, 4);
    std::vector<float> got = golden;
    got[5] = std::numeric_limits<float>::quiet_NaN();
    got[6] = std::numeric_limits<float>::infinity();
    const Deviation bad = deviation(got, golden, 4);
    EXPECT_EQ(bad.nonfinite, 2);
    EXPECT_TRUE(std::isnan(bad.match_percent));
    EXPECT_TRUE(std::isnan(bad.worst_row));
}

TEST(Deviation, RefusesOtherSizes) {
    const auto golden = noise(8, 5);
    EXPECT_THROW((void)deviation(std::span(golden).first(4), golden, 4), std::invalid_argument);
    EXPECT_THROW((void)deviation(golden, golden, 3), std::invalid_argument);
    EXPECT_THROW((void)deviation({}, {}, 4), std::invalid_argument);
}

}  // namespace
}  // namespace harness
