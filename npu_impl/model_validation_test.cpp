#include "npu_impl/model_validation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace npu_impl {
namespace {

using testing::HasSubstr;

constexpr const char* header =
    "device,clock_ghz,cores,dtype_in,dtype_out,m,k,n,tile_mkn,gflops,time_us,conditions,source\n";

std::string refusal(const std::string& text) {
    try {
        parse_timings(text, "mine.csv");
    } catch (const TimingError& error) {
        return error.what();
    }
    return "";
}

TEST(PublishedTiming, NamesLineAndFieldOfWhatItRefuses) {
    const std::string good = "8700G,1.8,16,bf16,bf16,512,512,512,64x64x32,,299.9,,here\n";
    EXPECT_EQ(refusal(header + good), "");
    const auto second = [&](const std::string& row) { return refusal(header + good + row); };
    EXPECT_EQ(second(",1.8,16,bf16,bf16,512,512,512,,,299.9,,here\n"),
              "mine.csv:3: field 'device' is missing");
    EXPECT_EQ(second("8700G,1.8,16,bf16,bf16,512,512,512,,,299.9,,\n"),
              "mine.csv:3: field 'source' is missing");
    EXPECT_EQ(second("8700G,1.8,16,bf16,bf16,512,512,512,,,,,here\n"),
              "mine.csv:3: field 'time_us' is missing, and so is gflops");
    EXPECT_EQ(second("8700G,-1.8,16,bf16,bf16,512,512,512,,,299.9,,here\n"),
              "mine.csv:3: field 'clock_ghz' is -1.8; it must be greater than 0");
    EXPECT_EQ(second("8700G,1.8,16,bf16,bf16,512,512,512,,,inf,,here\n"),
              "mine.csv:3: field 'time_us' is 'inf'; it must be finite");
    EXPECT_EQ(second("8700G,1.8,16,bf16,bf16,512,512,512,,,1e999,,here\n"),
              "mine.csv:3: field 'time_us' is '1e999'; it must be finite");
    EXPECT_EQ(second("8700G,1.8,16,bf16,bf16,512,512,512,,,299.9us,,here\n"),
              "mine.csv:3: field 'time_us' is '299.9us', not a number");
    EXPECT_EQ(second("8700G,1.8,16,bf16,bf16,512,,512,,,299.9,,here\n"),
              "mine.csv:3: field 'k' is missing beside the other two");
    EXPECT_EQ(second("8700G,1.8,16,bf16,bf16,512,512,512,64x64,,299.9,,here\n"),
              "mine.csv:3: field 'tile_mkn' is '64x64', not MxKxN");
    EXPECT_EQ(second("8700G,1.8\n"), "mine.csv:3: 2 fields, the header has 13");
    EXPECT_EQ(refusal("device,clock,cores\n"), "mine.csv:1: field 'clock' has no unit; valid: clock_ghz");
    EXPECT_EQ(refusal("device,time,cores\n"), "mine.csv:1: field 'time' has no unit; valid: time_us");
    EXPECT_THAT(refusal("device,colour\n"), HasSubstr("mine.csv:1: field 'colour' is unknown"));
    EXPECT_THAT(refusal("device\n"), HasSubstr("mine.csv:1: field 'clock_ghz' is missing"));
    EXPECT_THAT(refusal(""), HasSubstr("the file is empty"));
    EXPECT_THAT(refusal(header), HasSubstr("the table has no rows"));
    EXPECT_THROW(read_timings("/no/such/file.csv"), TimingError);
}

TEST(PublishedTiming, AQuotedFieldMayHoldCommas) {
    const auto rows = parse_timings(
        std::string(header) + "8700G,,,bf16,f32,64,64,64,,2.5,,\"Python, \"\"twice\"\"\",a\n", "mine.csv");
    ASSERT_EQ(rows.size(), 1);
    EXPECT_EQ(rows.front().conditions, "Python, \"twice\"");
    EXPECT_NEAR(*rows.front().measured_seconds(), 2.0 * 64 * 64 * 64 / 2.5e9, 1e-12);
}

// What the model does not know it does not predict, and says so.
TEST(ModelValidation, PredictsOnlyWhatItKnows) {
    const auto read_as = [](const std::string& row) {
        const auto rows = parse_timings(header + row + "\n", "mine.csv");
        const TimingPrediction prediction = predict(rows.front(), {});
        EXPECT_FALSE(prediction.seconds.has_value());
        EXPECT_FALSE(prediction.counts);
        return prediction.read_as;
    };
    EXPECT_EQ(read_as("TPU,1,16,bf16,f32,64,64,64,,,1,,a"), "no specification of device TPU");
    EXPECT_EQ(read_as("8700G,1,16,int8,int32,64,64,64,,,1,,a"), "operands of int8");
    EXPECT_EQ(read_as("8700G,1,16,bf16,,64,64,64,,,1,,a"), "output of an unknown type");
    EXPECT_EQ(read_as("8700G,1,17,bf16,f32,64,64,64,,,1,,a"), "more cores than the device has");
    EXPECT_EQ(read_as("8700G,1,16,bf16,f32,,,,,,1,softmax,a"), "not a product");
    EXPECT_EQ(read_as("HX370,1,32,bf16,f32,64,64,64,,,1,broadcast,a"),
              "no rate of a broadcast kernel on strix");
    EXPECT_THAT(read_as("8700G,1,16,bf16,f32,999,999,999,512x512x512,,1,,a"), HasSubstr("bytes of L1"));
    EXPECT_THAT(read_as("8700G,1,1,bf16,f32,512,512,512,64x64x64,,1,7 launches,a"),
                HasSubstr("would be 512"));
}

// The target of the model: every row that counts within 20%, the median within 10%.
TEST(ModelValidation, AgreesWithPublishedSilicon) {
    const ModelValidation& validation = published_validation();
    EXPECT_EQ(validation.rows.size(), 13);
    EXPECT_EQ(validation.counted, 8);
    for (const ValidatedTiming& row : validation.rows) {
        if (row.prediction.counts) {
            EXPECT_NEAR(*row.ratio, 1, 0.20) << row.timing.device << " line " << row.timing.line;
        }
        EXPECT_EQ(row.prediction.counts, row.timing.equals_parameter.empty());
    }
    EXPECT_LE(validation.median_error, 0.10);
    EXPECT_LE(validation.worst_error, 0.20);
    EXPECT_GT(validation.interval_factor(), 1 + validation.median_error);
    EXPECT_LT(validation.interval_factor(), 1.4);
}

// Rows that the model itself made, with DRAM at 80% and calls at 130%: a fit finds both again.
TEST(ModelValidation, AFitRecoversWhatTheRowsWereMadeWith) {
    const ModelScales truth{0.8, 1.3, 1, 1};
    std::vector<PublishedTiming> rows;
    for (const PublishedTiming& row : published_timings()) {
        if (const TimingPrediction made = predict(row, truth); made.counts) {
            rows.push_back(row);
            rows.back().gflops.reset();
            rows.back().seconds = made.seconds;
        }
    }
    const ModelFit fit = fit_model(rows);
    EXPECT_NEAR(fit.scales.dram, 0.8, 0.02);
    EXPECT_NEAR(fit.scales.launch, 1.3, 0.03);
    EXPECT_LT(fit.validation.worst_error, 0.01);
    EXPECT_LT(fit.left_out_worst_error, 0.05);
    for (const FittedScale& factor : fit.factors) {
        EXPECT_EQ(factor.low.has_value(), factor.high.has_value());
        if (factor.low) {
            EXPECT_LE(*factor.low, factor.factor);
            EXPECT_GE(*factor.high, factor.factor);
        }
    }
}

TEST(ModelValidation, AFitNeedsMoreRowsThanParameters) {
    const auto& all = published_timings();
    const std::vector<PublishedTiming> two(all.begin() + 1, all.begin() + 3);
    EXPECT_THROW(fit_model(two), std::invalid_argument);
    EXPECT_THROW(fit_model({}), std::invalid_argument);
}

// One error of 10% everywhere: the interval is that error, widened for the number of rows.
TEST(ModelValidation, TheIntervalFollowsTheErrors) {
    std::vector<PublishedTiming> rows;
    for (const PublishedTiming& row : published_timings()) {
        if (const TimingPrediction made = predict(row, {}); made.counts) {
            rows.push_back(row);
            rows.back().seconds = *made.seconds * 1.1;
        }
    }
    const ModelValidation validation = validate_model(rows);
    EXPECT_NEAR(validation.rms_log_ratio, std::log(1.1), 1e-9);
    EXPECT_NEAR(std::log(validation.interval_factor()), 1.860 * std::log(1.1) * std::sqrt(1 + 1.0 / 8), 1e-9);
    EXPECT_TRUE(std::isinf(validate_model({}).interval_factor()));
}

}  // namespace
}  // namespace npu_impl
