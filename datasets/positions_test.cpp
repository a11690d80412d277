#include "datasets/positions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <stdexcept>

#include "datasets/bf16.hpp"
#include "datasets/checkpoint_example.hpp"
#include "datasets/half.hpp"

namespace datasets {
namespace {

using testing::HasSubstr;

float at(const std::vector<float>& table, std::size_t width, std::size_t row, std::size_t channel) {
    return table.at(row * width + channel);
}

// Each pair of sine and cosine lies on the unit circle, and turns by the same angle from row to row.
TEST(Positions, EveryFrequencyTurnsUniformly) {
    constexpr std::size_t width = 384;
    const std::vector<float> table = sinusoid_positions(200, width);
    for (std::size_t index = 0; index < width / 2; ++index) {
        for (std::size_t row = 0; row < 200; ++row) {
            const double sine = static_cast<double>(at(table, width, row, index));
            const double cosine = static_cast<double>(at(table, width, row, index + width / 2));
            EXPECT_NEAR(sine * sine + cosine * cosine, 1, 1e-6);
            const double turn = std::pow(10000.0, -static_cast<double>(index) / (width / 2 - 1));
            const double angle = static_cast<double>(row) * turn;
            EXPECT_NEAR(sine, std::sin(angle), 1e-6) << row << " " << index;
            EXPECT_NEAR(cosine, std::cos(angle), 1e-6) << row << " " << index;
        }
    }
}

// Published values for Whisper base: halves, not interleaved.
TEST(Positions, KnownValues) {
    constexpr std::size_t width = 512;
    const std::vector<float> table = sinusoid_positions(published_context, width);
    EXPECT_EQ(at(table, width, 0, 0), 0.0F);
    EXPECT_EQ(at(table, width, 0, 256), 1.0F);
    EXPECT_NEAR(at(table, width, 1, 0), 0.841470985, 1e-7);
    EXPECT_NEAR(at(table, width, 1, 1), 0.821778650, 1e-7);
    EXPECT_NEAR(at(table, width, 1499, 0), -0.444220699, 1e-6);
    EXPECT_NEAR(at(table, width, 1499, 255), 0.149339255, 1e-7);
    EXPECT_NEAR(at(table, width, 1499, 511), 0.988786017, 1e-7);
    EXPECT_NEAR(at(table, width, 750, 128), 0.883172880, 1e-6);
    EXPECT_NEAR(std::accumulate(table.begin(), table.end(), 0.0), 159468.0341, 0.02);
}

TEST(Positions, OnlyEvenWidthsHaveATable) {
    EXPECT_TRUE(sinusoid_positions(0, 64).empty());
    EXPECT_THROW((void)sinusoid_positions(-1, 64), std::invalid_argument);
    EXPECT_THROW((void)sinusoid_positions(1, 63), std::invalid_argument);
    EXPECT_THROW((void)sinusoid_positions(1, 2), std::invalid_argument);
}

// A context within the table takes the stored rows, whatever they hold; beyond, the stored rows stay.
TEST(Positions, StoredRowsComeFirst) {
    EncoderWeights weights = example_encoder(1, 0, 8, 5);
    for (float& value : weights.stem.positions) {
        value = to_float(Half{half_bits(value)});
    }
    const std::vector<float> stored = weights.stem.positions;
    for (const std::int64_t context : {1, 4, 5}) {
        const std::vector<float> table = positions_for(weights, context);
        EXPECT_EQ(table, std::vector<float>(stored.begin(), stored.begin() + context * 64)) << context;
    }
    const std::vector<float> longer = positions_for(weights, 9);
    const std::vector<float> closed = sinusoid_positions(9, 64);
    EXPECT_TRUE(std::equal(stored.begin(), stored.end(), longer.begin()));
    EXPECT_TRUE(std::equal(longer.begin() + 5 * 64, longer.end(), closed.begin() + 5 * 64));
    EXPECT_THROW((void)positions_for(weights, 0), std::invalid_argument);
}

TEST(Positions, TablesInBfloat16CanBeContinued) {
    EncoderWeights weights = example_encoder(2, 0, 8, 700);
    for (float& value : weights.stem.positions) {
        value = round_to_bf16(value, Rounding::nearest_even);
    }
    EXPECT_EQ(std::ssize(positions_for(weights, 701)), 701 * 128);
}

TEST(Positions, ALearnedTableEndsWhereItEnds) {
    EncoderWeights weights = example_encoder(1, 0, 8, 5);
    weights.model_id = "mine";
    weights.stem.positions[64 * 4 + 3] += 0.003F;
    EXPECT_EQ(std::ssize(positions_for(weights, 5)), 5 * 64);
    try {
        (void)positions_for(weights, 6);
        FAIL() << "continued";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("positions of mine has 5 rows"));
        EXPECT_THAT(error.what(), HasSubstr("0.003 away"));
        EXPECT_THAT(error.what(), HasSubstr("6 rows"));
    }
}

}  // namespace
}  // namespace datasets
