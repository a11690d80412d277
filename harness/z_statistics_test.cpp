// Level 2 figures: what is summed, what is found worst, and which figures a limit is asked for.
#include "harness/z_statistics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>

#include "harness/gate_accuracy.hpp"
#include "npu_impl/design.hpp"

namespace harness {
namespace {

using datasets::Op;

constexpr std::size_t width = 128;

// Two blocks of 64 rows of an op of 128 columns whose errors are normal: sigma, above mean.
struct Rows {
    explicit Rows(unsigned seed = 1) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (std::size_t block = 0; block < 2; ++block) {
            for (std::size_t i = 0; i < 64 * width; ++i) {
                golden[block].push_back(normal(random));
                predicted[block].mean.push_back(0.01F * normal(random));
                predicted[block].sigma.push_back(0.01F * std::exp2(normal(random)));
                got[block].push_back(golden[block][i] + predicted[block].mean[i] +
                                     predicted[block].sigma[i] * normal(random));
            }
        }
    }

    [[nodiscard]] ZStatistics statistics() const {
        std::array<ZBlock, 2> blocks;
        std::array<const ZBlock*, 2> pointers{};
        for (std::size_t b = 0; b < 2; ++b) {
            blocks[b].add({got[b].data(), 64, width, width}, golden[b], predicted[b]);
            pointers[b] = &blocks[b];
        }
        return sum_blocks(pointers, 2, -1, 0.5);
    }

    std::array<std::vector<float>, 2> golden, got;
    std::array<Predicted, 2> predicted;
};

TEST(ZStatistics, AreThoseOfAUnitNormalWhereErrorsAreAsPredicted) {
    const ZStatistics z = Rows().statistics();
    EXPECT_NEAR(z.rms, 1, 0.02);
    EXPECT_NEAR(z.mean, 0, 0.03);
    EXPECT_NEAR(z.gain, 0, 1e-3);
    EXPECT_GT(z.largest, 3);
    EXPECT_LT(z.largest, 6);
    EXPECT_LT(z.worst_row, 1.3);
    EXPECT_LT(z.worst_tile, 1.1);
    EXPECT_NEAR(z.measured_error / z.predicted_error, 1, 0.05);
}

TEST(ZStatistics, FindTheWorstElementRowAndTile) {
    Rows rows;
    rows.got[1][7 * width + 100] += 50 * rows.predicted[1].sigma[7 * width + 100];
    const ZStatistics z = rows.statistics();
    EXPECT_NEAR(z.largest, 50, 5);
    EXPECT_EQ(z.largest_row, 64 + 7);
    EXPECT_EQ(z.largest_column, 100);
    EXPECT_EQ(z.worst_row_index, 64 + 7);
    EXPECT_NEAR(z.worst_row, z.largest / std::sqrt(double(width)), 0.5);
    EXPECT_EQ(z.worst_tile_row, 1);
    EXPECT_EQ(z.worst_tile_column, 1);
}

TEST(ZStatistics, SeeAGainAndABiasThatNobodyPredicted) {
    Rows gained;
    Rows biased;
    for (std::size_t b = 0; b < 2; ++b) {
        for (std::size_t i = 0; i < gained.got[b].size(); ++i) {
            gained.got[b][i] += 0.01F * gained.golden[b][i];
            biased.got[b][i] += biased.predicted[b].sigma[i];
        }
    }
    EXPECT_NEAR(gained.statistics().gain, 0.01, 5e-4);
    EXPECT_NEAR(biased.statistics().mean, 1, 0.03);
}

TEST(ZStatistics, LeaveOutWhatIsNotFinite) {
    Rows rows;
    rows.got[0][3] = std::numeric_limits<float>::quiet_NaN();
    rows.got[1][5] = std::numeric_limits<float>::infinity();
    EXPECT_NEAR(rows.statistics().rms, 1, 0.02);
}

OpStatistics with(const ZStatistics& z) {
    OpStatistics out;
    out.elements = 1500 * 512;
    out.z = z;
    return out;
}

ZStatistics honest() {
    ZStatistics z;
    z.rms = z.worst_row = z.worst_tile = 1.01;
    z.largest = 5;
    z.predicted_error = 3e-3;
    return z;
}

std::vector<Quantity> failing(AccuracyRow row, const ZStatistics& z) {
    std::vector<Quantity> out;
    for (const Finding& finding : accuracy_findings(accuracy_of(row, {1500, 8}, with(z)), z)) {
        EXPECT_FALSE(finding.text.empty());
        out.push_back(finding.quantity);
    }
    return out;
}

TEST(GateAccuracy, NamesEachLimitThatIsExceededAndNoOther) {
    const AccuracyRow query{Op::query, Input::isolated, false};
    EXPECT_THAT(failing(query, honest()), testing::IsEmpty());
    const auto broken = [&](auto break_it) {
        ZStatistics z = honest();
        break_it(z);
        return failing(query, z);
    };
    using testing::ElementsAre;
    EXPECT_THAT(broken([](auto& z) { z.rms = 1.3; }), ElementsAre(Quantity::plain_variance));
    EXPECT_THAT(broken([](auto& z) { z.rms = 0.5; }), ElementsAre(Quantity::plain_variance));
    EXPECT_THAT(broken([](auto& z) { z.gain = -2.8e-3; }), ElementsAre(Quantity::plain_gain));
    EXPECT_THAT(broken([](auto& z) { z.largest = 11.1; }), ElementsAre(Quantity::plain_largest));
    EXPECT_THAT(broken([](auto& z) { z.worst_row = 11; }), ElementsAre(Quantity::plain_row));
    EXPECT_THAT(broken([](auto& z) { z.worst_tile = 2; }), ElementsAre(Quantity::plain_tile));
    EXPECT_THAT(broken([](auto& z) { z.rms = std::nan(""); }), ElementsAre(Quantity::plain_variance));
}

// The rows of a sum that is rounded on its way are coherent, and judged.
TEST(GateAccuracy, JudgesRowsAndTilesOfAReroundedContext) {
    datasets::Arithmetic arithmetic;
    arithmetic.tile_sum = datasets::TileSum::rounded;
    for (const Input input : {Input::isolated, Input::chained}) {
        const AccuracyRow row =
            accuracy_row({Op::context, Op::context}, input, [&](Op) { return arithmetic; });
        EXPECT_TRUE(row.coherent);
        ZStatistics z = honest();
        z.worst_row = z.worst_tile = 7;
        EXPECT_THAT(failing(row, z), testing::IsEmpty());
        z.worst_row = z.worst_tile = 20;
        EXPECT_THAT(failing(row, z),
                    testing::UnorderedElementsAre(Quantity::context_row, Quantity::context_tile));
    }
}

// Healthy ones come too near to what a fault does: their figure stays in the report. In the design that
// re-rounds, it is the context that the output reads.
TEST(GateAccuracy, ReportsRowsOfAReroundedOutputOnly) {
    std::map<Op, datasets::Arithmetic> declared;
    ZStatistics z = honest();
    z.worst_row = 13.5;
    const auto row_of = [&](Input input = Input::chained) {
        return accuracy_row({Op::output, Op::output}, input, [&](Op op) { return declared[op]; });
    };
    EXPECT_THAT(failing(row_of(), z), testing::ElementsAre(Quantity::output_row));
    declared[Op::output].tile_sum = datasets::TileSum::rounded;
    EXPECT_THAT(failing(row_of(), z), testing::IsEmpty());
    declared.clear();
    declared[Op::context].tile_sum = datasets::TileSum::rounded;
    EXPECT_FALSE(row_of(Input::isolated).coherent) << "it reads the golden's context";
    const npu_impl::Design rerounded = npu_impl::compose("gemm_array_rerounded");
    for (const auto& arithmetic_of : std::vector<std::function<datasets::Arithmetic(Op)>>{
             [&](Op op) { return declared[op]; }, [&](Op op) { return rerounded.arithmetic_of(op); }}) {
        EXPECT_TRUE(accuracy_row({Op::output, Op::output}, Input::chained, arithmetic_of).coherent);
    }
    EXPECT_THAT(failing(row_of(), z), testing::IsEmpty());
    const std::vector<Headroom> reported = accuracy_of(row_of(), {1500, 8}, with(z));
    EXPECT_THAT(reported, testing::Contains(testing::Field(&Headroom::quantity, Quantity::rerounded_row)));
    z.worst_tile = 20;
    EXPECT_THAT(failing(row_of(), z), testing::ElementsAre(Quantity::output_tile));
}

TEST(GateAccuracy, JudgesCoherentRowsByTheirOwnLimits) {
    ZStatistics z = honest();
    z.rms = 1.2;
    z.worst_tile = 3;
    EXPECT_THAT(failing({Op::context, Input::isolated, true}, z), testing::IsEmpty());
    EXPECT_THAT(failing({Op::context, Input::chained, false}, z), testing::IsEmpty());
    EXPECT_THAT(failing({Op::output, Input::chained, false}, z), testing::IsEmpty());
    EXPECT_THAT(failing({Op::key, Input::isolated, false}, z), testing::Contains(Quantity::plain_tile));
    z.rms = 4;
    EXPECT_THAT(failing({Op::context, Input::isolated, true}, z), testing::Contains(Quantity::fused_rms));
    z.rms = 100;
    EXPECT_THAT(failing({Op::scores, Input::chained, false}, z), testing::IsEmpty());  // printed only
}

// Peaked rows of one head repeat the rounding of one value: layer 3 of the default recording at T = 250 has
// 0.4 times the predicted variance in a single head.
TEST(GateAccuracy, AsksNoVarianceOfASingleHeadNorOfAContext) {
    ZStatistics z = honest();
    z.rms = 0.63;
    OpStatistics single = with(z);
    single.elements = 1500 * 64;
    for (const Headroom& headroom : accuracy_of({Op::query, Input::isolated, false}, {1500, 8}, single)) {
        EXPECT_NE(headroom.quantity, Quantity::plain_variance);
    }
    EXPECT_THAT(failing({Op::context, Input::isolated, false}, z), testing::IsEmpty());
    EXPECT_THAT(failing({Op::query, Input::isolated, false}, z), testing::Contains(Quantity::plain_variance));
}

TEST(GateAccuracy, SaysNothingOfShortContextsExactOperandsOrWithoutAModel) {
    const AccuracyRow query{Op::query, Input::isolated, false};
    EXPECT_TRUE(accuracy_of(query, {63, 8}, with(honest())).empty());
    EXPECT_TRUE(accuracy_of(query, {1500, 8}, OpStatistics()).empty());
    ZStatistics exact = honest();
    exact.predicted_error = 1e-6;
    EXPECT_TRUE(accuracy_of(query, {1500, 8}, with(exact)).empty());
}

TEST(GateAccuracy, GivesTheRoomToTheLimitInDecibel) {
    ZStatistics z = honest();
    z.worst_row = limit(Quantity::plain_row).limit / 2;
    for (const Headroom& headroom : accuracy_of({Op::query, Input::isolated, false}, {1500, 8}, with(z))) {
        if (headroom.quantity == Quantity::plain_row) {
            EXPECT_NEAR(headroom.decibel, 6.02, 0.01);
        }
    }
}

}  // namespace
}  // namespace harness
