#include "harness/cpu_baseline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "harness/run_record_example.hpp"
#include "harness/summary.hpp"

namespace harness {
namespace {

using datasets::Op;
using testing::HasSubstr;

CpuBaseline small() {
    CpuBaseline baseline;
    baseline.created_utc = "2026-11-26T00:00:00Z";
    baseline.cpu = "a CPU";
    baseline.threads = 2;
    baseline.context = 64;
    baseline.heads = 2;
    baseline.settled = true;
    for (const datasets::OpInfo& op : datasets::ops_in(datasets::attention_ops)) {
        baseline.ops.push_back({{op.op, op.op}, datasets::Clock::host_wall, {3, 1, 2}});
    }
    return baseline;
}

TEST(Stopwatch, MedianAndItsDeviationIgnoreOutliers) {
    EXPECT_EQ(median_deviation({1, 2, 3, 4, 1000}), 1);
    EXPECT_EQ(median_deviation({5, 5, 5}), 0);
    EXPECT_TRUE(std::isinf(median_half_width({1, 2, 3, 4, 5})));
}

// The ranks are those of printed tables of the sign test at 5%, two-sided.
TEST(Stopwatch, TheIntervalOfTheMedianCovers) {
    std::mt19937 random(2);
    std::exponential_distribution<double> skewed(1);
    const std::vector<std::pair<int, int>> table{{6, 1},  {8, 1},   {9, 2},   {10, 2},  {12, 3},
                                                 {20, 6}, {30, 10}, {50, 18}, {100, 40}};
    for (const auto& [count, rank] : table) {
        int covered = 0;
        for (int trial = 0; trial < 2000; ++trial) {
            std::vector<double> samples(static_cast<std::size_t>(count));
            for (double& sample : samples) {
                sample = skewed(random);
            }
            std::ranges::sort(samples);
            const double low = samples[std::size_t(rank) - 1];
            const double high = samples[samples.size() - std::size_t(rank)];
            ASSERT_DOUBLE_EQ(median_half_width(samples), (high - low) / 2) << count;
            covered += low <= std::log(2.0) && std::log(2.0) <= high ? 1 : 0;
        }
        EXPECT_GE(covered, 1880) << count;
    }
}

TEST(Stopwatch, StopsWhenTheMedianIsKnownOrTimeIsUp) {
    int calls = 0;
    const auto steady = [&] {
        ++calls;
        return std::vector<double>{1.0, 2.0};
    };
    const Measurement known = measure({}, steady);
    EXPECT_EQ(calls, 11) << "one to warm up, ten samples";
    EXPECT_TRUE(known.settled);
    EXPECT_EQ(known.samples.size(), 2U);
    EXPECT_EQ(known.samples.front().size(), 10U);
    const auto noisy = [&] { return std::vector<double>{++calls % 2 == 0 ? 1.0 : 3.0}; };
    EXPECT_FALSE(measure({10, 40, 0.01, 1e9}, noisy).settled);
    EXPECT_EQ(measure({10, 40, 0.01, 1e9}, noisy).samples.front().size(), 40U);
    EXPECT_EQ(measure({10, 1000, 0.01, 30}, noisy).samples.front().size(), 15U) << "30 s of 2 s each";
}

// Of the same work, noise alone decides; a clock that loses a tenth half-way does not pass for noise.
TEST(Stopwatch, ControlTellsDriftFromNoise) {
    std::mt19937_64 random(9);
    std::lognormal_distribution<double> noise(0, 0.02);
    int calm = 0;
    int drifting = 0;
    for (int trial = 0; trial < 1000; ++trial) {
        std::vector<double> samples(60);
        std::ranges::generate(samples, [&] { return noise(random); });
        calm += control_of(samples).within_noise() ? 1 : 0;
        std::for_each(samples.begin() + 30, samples.end(), [](double& sample) { sample *= 1.1; });
        const SampleControl control = control_of(samples);
        EXPECT_NEAR(control.odd_over_even, 1, 0.1);
        EXPECT_GT(control.second_over_first, 1.05);
        drifting += control.within_noise() ? 0 : 1;
    }
    EXPECT_GE(calm, 830);
    EXPECT_LE(calm, 990) << "noise is an interval, not a bound";
    EXPECT_GE(drifting, 990);
    EXPECT_TRUE(control_of({1.0}).within_noise());
}

TEST(CpuTiming, IsOfAllLayersThatWereTimedWhole) {
    const auto layer = [](int number, std::vector<double> samples) {
        LayerRow out;
        out.layer = number;
        out.total.emplace();
        out.total->cpu.samples_seconds = std::move(samples);
        return out;
    };
    const std::vector<LayerRow> layers{layer(0, {1, 1.02, 0.98, 1, 1.01, 0.99, 1}), LayerRow{},
                                       layer(1, {1.1, 1.1, 1.1, 1.1, 1.1, 1.1})};
    const auto timing = sum_cpu_timing(layers);
    ASSERT_TRUE(timing);
    EXPECT_EQ(timing->layers, 2);
    EXPECT_EQ(timing->fewest_samples, 6);
    EXPECT_EQ(timing->most_samples, 7);
    EXPECT_NEAR(timing->half_width, 0.02, 1e-12) << "of the layer whose median is known least";
    EXPECT_DOUBLE_EQ(timing->control.second_over_first, 1.1);
    EXPECT_FALSE(sum_cpu_timing({LayerRow{}}));

    std::vector<ClipRow> clips(1);
    clips.front().speedup = 2;
    add_speedup_intervals(clips, {}, 1.25, 0.1);
    EXPECT_DOUBLE_EQ(clips.front().speedup_low, 2 * 0.9 / 1.25);
    EXPECT_DOUBLE_EQ(clips.front().speedup_high, 2 * 1.1 * 1.25);
}

// The model's interval says nothing of what was measured on an NPU: its own samples do.
TEST(CpuTiming, TheSpeedupOfAnNpuIsAsWideAsItsSamples) {
    std::vector<LayerRow> layers(2);
    for (LayerRow& layer : layers) {
        layer.clip = "clip";
        layer.total.emplace();
    }
    layers[0].total->npu.samples_seconds = {1, 1, 1, 1, 1, 1};
    layers[1].total->npu.samples_seconds = {1, 1.2, 0.8, 1, 1.1, 1};
    std::vector<ClipRow> clips(1);
    clips.front().clip = "clip";
    clips.front().speedup = 2;
    clips.front().npu.processing.clock = datasets::Clock::device_wall;
    for (const double factor : {1.25, 3.0}) {
        add_speedup_intervals(clips, layers, factor, 0.1);
        EXPECT_DOUBLE_EQ(clips.front().speedup_low, 2 * 0.9 / 1.2);
        EXPECT_DOUBLE_EQ(clips.front().speedup_high, 2 * 1.1 / 0.8);
    }
    clips.front().speedup_low = 0;
    layers[1].total->npu.samples_seconds = {1, 1.2};
    add_speedup_intervals(clips, layers, 1.25, 0.1);
    EXPECT_EQ(clips.front().speedup_low, 0) << "two samples tell no interval";
}

TEST(CpuBaseline, ComesBackAsItWasWritten) {
    const CpuBaseline baseline = small();
    const CpuBaseline again = parse_cpu_baseline(to_json(baseline), "mine.json");
    EXPECT_EQ(to_json(again), to_json([&] {
                  CpuBaseline expected = baseline;
                  expected.control = again.control;
                  return expected;
              }()));
    EXPECT_EQ(again.of({Op::scores, Op::context}).seconds, 6);
    EXPECT_EQ(again.of({Op::scores, Op::context}).samples_seconds, (std::vector<double>{9, 3, 6}));
    EXPECT_DOUBLE_EQ(again.control.odd_over_even, 1 / 2.5);
    EXPECT_THROW(static_cast<void>(again.of({Op::context, Op::attention_residual})), std::invalid_argument);
}

TEST(EncoderCpu, IsWhatEachPlacementLeavesOnTheCpu) {
    RunRecord record = example_encoder_record();
    EncoderRow& row = record.encoders.front();
    const EncoderCpu cpu = parse_encoder_cpu(to_json(record), "encode.json");
    EXPECT_EQ(cpu.context, row.context);
    EXPECT_EQ(cpu.layers, row.layers);
    ASSERT_EQ(cpu.seconds.size(), row.placements.size());
    for (const PlacementTime& placement : row.placements) {
        EXPECT_DOUBLE_EQ(cpu.seconds.at(placement.placement), placement.mel.seconds + placement.cpu.seconds);
    }
    const auto refusal = [](const std::string& text) {
        try {
            parse_encoder_cpu(text, "encode.json");
        } catch (const datasets::ReadError& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_THAT(refusal("{"), testing::HasSubstr("encode.json: schema"));
    EXPECT_THAT(refusal(to_json(example_record())), testing::HasSubstr("encoders: holds none"));
    row.placements.front().cpu.seconds = std::nan("");
    EXPECT_THAT(refusal(to_json(record)), testing::HasSubstr("encode.json"));
}

TEST(CpuBaseline, NamesWhatIsWrong) {
    const auto refusal = [](std::string from, const std::string& to) {
        std::string text = to_json(small());
        const std::size_t at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        try {
            parse_cpu_baseline(text.replace(at, from.size(), to), "mine.json");
        } catch (const datasets::ReadError& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_THAT(refusal("npu-cpu-baseline", "other"), HasSubstr("mine.json"));
    EXPECT_THAT(refusal("\"threads\"", "\"treads\""), HasSubstr("threads"));
    EXPECT_THAT(refusal("3.0", "-3.0"), HasSubstr("samples_seconds of query"));
    EXPECT_THAT(refusal("\"query\"", "\"quarry\""), HasSubstr("names no range of ops"));
    EXPECT_THAT(refusal("\"heads\": 2", "\"heads\": \"2\""), HasSubstr("is of another type"));
    EXPECT_THROW(read_cpu_baseline("/no/such/file"), datasets::ReadError);
}

TEST(CpuBaseline, ReplacesTheCpuOfARunOfTheSameDimensions) {
    RunRecord record;
    record.recording.context = 64;
    record.recording.heads = 2;
    LayerRow layer;
    layer.steps.resize(2);
    layer.steps[0].ops = {Op::query, Op::query};
    layer.steps[1].ops = {Op::scores, Op::context};
    for (StepTime& step : layer.steps) {
        step.npu.seconds = 0.5;
    }
    record.layers = {layer};
    use_cpu_baseline(record, small(), "mine.json");
    EXPECT_EQ(record.layers[0].steps[0].speedup, 4);
    EXPECT_EQ(record.layers[0].steps[1].speedup, 12);
    EXPECT_THAT(record.speedup_label, HasSubstr("2 tasks of a CPU (mine.json)"));
    record.recording.context = 65;
    EXPECT_THROW(use_cpu_baseline(record, small(), "mine.json"), datasets::ReadError);
}

}  // namespace
}  // namespace harness
