#include "harness/time_notes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"

namespace harness {
namespace {

using datasets::Op;

// What moves last leaves the whole at the sum of what stayed and what moved, whatever the numbers.
TEST(TimeNotes, AmdahlsLawAddsUp) {
    std::mt19937 random(4);
    std::uniform_real_distribution<double> seconds(0.01, 1);
    for (int i = 0; i < 200; ++i) {
        std::vector<MovedStep> steps;
        double cpu = seconds(random);
        double npu = cpu;
        for (const Op op : {Op::query, Op::scores, Op::output}) {
            steps.push_back({{op, op}, seconds(random), seconds(random)});
            cpu += steps.back().cpu_seconds;
            npu += steps.back().npu_seconds;
        }
        const std::vector<AmdahlLine> lines = amdahl(steps, cpu);
        ASSERT_EQ(lines.size(), 3U);
        EXPECT_NEAR(lines.back().with_those_before, cpu / npu, 1e-9);
        EXPECT_DOUBLE_EQ(lines.front().alone, lines.front().with_those_before);
        for (const AmdahlLine& line : lines) {
            EXPECT_LT(line.alone, 1 / (1 - line.share)) << "no step can give more than its share";
            EXPECT_EQ(line.alone > 1, line.speedup > 1);
        }
    }
    EXPECT_THROW(amdahl({{{Op::query, Op::query}, 2, 1}}, 1), std::invalid_argument);
    EXPECT_THROW(amdahl({}, 0), std::invalid_argument);
}

// The notes are the model's own costs, and those that the path plans with.
TEST(TimeNotes, AreWhatThePathPlans) {
    for (const char* name : {"unfused", "fused", "tile64_batch"}) {
        const npu_impl::Design& design = *npu_impl::find_design(name);
        const npu_impl::CostModel model;
        const auto device = npu_impl::open_device("emulated", datasets::Emulation::fast);
        npu_impl::NpuPath path(*device, design, model);
        datasets::LayerCase layer;
        layer.shape = {70, 2};
        layer.input.resize(70 * 128);
        for (datasets::Linear* linear : {&layer.weights.attention.query, &layer.weights.attention.key,
                                         &layer.weights.attention.value, &layer.weights.attention.output}) {
            linear->weight.resize(128 * 128);
        }
        const TimeModelNotes notes = time_notes(design, layer.shape, parse_placement("attention"), model);
        const std::vector<datasets::Part> planned =
            path.prepare(layer)->planned({datasets::attention_ops, -1});
        ASSERT_EQ(notes.steps.size(), planned.size()) << name;
        for (std::size_t i = 0; i < planned.size(); ++i) {
            const ModelledStep& step = notes.steps[i];
            EXPECT_EQ(step.ops, planned[i].ops);
            EXPECT_EQ(step.launches, planned[i].launches);
            EXPECT_DOUBLE_EQ(step.seconds, planned[i].seconds);
            EXPECT_NEAR(
                step.seconds,
                step.launch_seconds + step.transfer_seconds + step.compute_seconds + step.idle_seconds,
                1e-12);
        }
    }
}

TEST(TimeNotes, RowsOfLayersGiveShares) {
    TimeModelNotes notes;
    notes.interval_factor = 1.2;
    add_amdahl(notes, {});
    EXPECT_TRUE(notes.amdahl.empty());
    LayerRow row;
    row.steps.resize(2);
    row.steps[0].ops = {Op::query, Op::query};
    row.steps[0].cpu.seconds = 3;
    row.steps[0].npu.seconds = 1;
    row.steps[1].ops = {Op::scores, Op::context};
    row.steps[1].cpu.seconds = 1;
    row.steps[1].npu.seconds = 2;
    LayerRow end = row;
    end.layer = -1;
    add_amdahl(notes, {row, row, end});
    ASSERT_EQ(notes.amdahl.size(), 2U);
    EXPECT_DOUBLE_EQ(notes.amdahl[0].share, 0.75);
    EXPECT_DOUBLE_EQ(notes.amdahl[0].alone, 2);
    EXPECT_DOUBLE_EQ(notes.amdahl[1].with_those_before, 4.0 / 3);
    RunRecord record;
    record.time_model = notes;
    const auto json = nlohmann::json::parse(to_json(record));
    EXPECT_EQ(json["time_model"]["amdahl"].size(), 2U);
    EXPECT_EQ(json["time_model"]["interval_factor_90"], 1.2);
    EXPECT_TRUE(nlohmann::json::parse(to_json(RunRecord{}))["time_model"].is_null());
}

}  // namespace
}  // namespace harness
