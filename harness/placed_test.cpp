// The experiment beyond the attention: norms and MLP of a layer on the device, and the end of the encoder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "datasets/case_name_test.hpp"
#include "datasets/synthetic.hpp"
#include "harness/experiment.hpp"
#include "harness/self_check/faults.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden.hpp"
#include "reference/golden_source.hpp"
#include "reference/wide.hpp"

namespace harness {
namespace {

using datasets::Op;

// A hard layer with the stream that enters it.
datasets::LayerCase whole_layer(std::int64_t context) {
    datasets::SyntheticModel model;
    model.shape.context = context;
    const auto residual = datasets::synthetic_embedding(model);
    auto layer = reference::make_case(datasets::synthetic_block(model, 0), model.shape, residual, "clip", 0);
    layer.stream = residual;
    return layer;
}

CaseResult run(const datasets::LayerCase& layer, datasets::Path& candidate, const std::string& placement,
               std::vector<Input> inputs = {Input::isolated, Input::chained}, std::set<Op> ops = {}) {
    Selection selection;
    selection.ops = std::move(ops);
    selection.placement = parse_placement(placement);
    selection.timing = {1, 1};
    selection.inputs = std::move(inputs);
    reference::GoldenPath golden;
    return run_case(layer, golden, candidate, selection, "harness --compare", [](std::string_view) {});
}

std::string explain(const CaseResult& result) {
    std::string out = result.layer.certificate.fault;
    for (const OpRow& row : result.rows) {
        if (row.judgement.verdict != Verdict::passed && row.judgement.verdict != Verdict::covered) {
            out += "\n  " + std::string(datasets::name(row.op)) + " " + std::string(name(row.input)) + ": " +
                   row.judgement.reason;
        }
    }
    return out;
}

class Placed : public testing::TestWithParam<std::tuple<std::string, datasets::Emulation, std::int64_t>> {};

TEST_P(Placed, HealthyDesignsPassOnEveryOpOfThePlacement) {
    const auto& [placement, emulation, context] = GetParam();
    const auto device = npu_impl::open_device("emulated", emulation);
    npu_impl::NpuPath candidate(*device, *npu_impl::find_design("fused"));
    const CaseResult result = run(whole_layer(context), candidate, placement);
    std::map<Op, int> rows;
    for (const OpRow& row : result.rows) {
        ++rows[row.op];
        EXPECT_THAT(row.judgement.verdict, testing::AnyOf(Verdict::passed, Verdict::covered))
            << explain(result);
        if (row.statistics) {
            RecordProperty(std::string(datasets::name(row.op)) + "_" + std::string(name(row.input)),
                           std::to_string(row.statistics->rho));
        }
    }
    for (const datasets::OpInfo& info : datasets::op_table()) {
        const bool placed =
            parse_placement(placement).contains(info.op) && datasets::layer_ops.contains(info.op);
        EXPECT_EQ(rows[info.op], placed ? 2 : 0) << info.name;
    }
    EXPECT_GT(result.layer.repeated_elements, 0);
    EXPECT_TRUE(result.layer.total.has_value());
    EXPECT_EQ(result.layer.steps.back().ops.last, placement == "attention" ? Op::output : Op::fc2);
    EXPECT_GT(result.layer.steps.back().npu.seconds, 0);
    EXPECT_TRUE(result.layer.certificate.oracle_error.contains(
        placement == "attention" ? Op::output : Op::attention_residual));
}

INSTANTIATE_TEST_SUITE_P(Placements, Placed,
                         testing::Combine(testing::Values("attention", "attention,mlp", "all"),
                                          testing::Values(datasets::Emulation::fast,
                                                          datasets::Emulation::exact),
                                          testing::Values<std::int64_t>(65, 130)),
                         datasets::testing::CaseName{});

TEST(PlacedDesigns, LieWithinTheBoundsOfWhatTheyDeclare) {
    const datasets::LayerCase layer = whole_layer(64);
    const auto device = npu_impl::open_device("emulated");
    for (const char* designs :
         {"gemm_array_floor,gelu_tiles_floor,norm_rows_floor", "gemm_array_rerounded", "tile64_batch"}) {
        npu_impl::NpuPath candidate(*device, npu_impl::compose(designs));
        const CaseResult result = run(layer, candidate, "all", {Input::isolated});
        for (const OpRow& row : result.rows) {
            EXPECT_THAT(row.judgement.verdict, testing::AnyOf(Verdict::passed, Verdict::covered))
                << designs << explain(result);
        }
    }
}

TEST(PlacedFaults, OnTheDeviceAreFoundInTheMlp) {
    const datasets::LayerCase layer = whole_layer(130);
    for (const char* fault_name : {"core_half_a_percent_off", "core_silent"}) {
        const auto faults = planted_faults();
        const auto fault = std::ranges::find(faults, fault_name, &Fault::name);
        const auto healthy = npu_impl::open_device("emulated");
        const auto device = fault->plant.device(*healthy);
        npu_impl::NpuPath candidate(*device, *npu_impl::find_design("fused"));
        const CaseResult result = run(layer, candidate, "all");
        for (const OpRow& row : result.rows) {
            if (row.op == Op::fc1 || row.op == Op::fc2) {
                EXPECT_EQ(row.judgement.verdict, Verdict::failed) << fault_name << datasets::name(row.op);
            }
        }
    }
}

TEST(PlacedEnd, PassesOnTheDevice) {
    const datasets::LayerCase layer = whole_layer(130);
    class Last final : public datasets::Source {
    public:
        explicit Last(const datasets::LayerCase& of) : golden_(of), layer_(of) {}
        void rows(Op op, datasets::Rows rows, std::span<float> out) const override {
            if (op != Op::encoder) {
                golden_.rows(op, rows, out);
                return;
            }
            std::vector<double> value(out.size());
            const datasets::EndCase end{layer_.shape, layer_.weights.mlp_norm};
            reference::WideReference(end, golden_).rows(op, rows, value, {});
            std::ranges::transform(value, out.begin(), [](double v) { return static_cast<float>(v); });
        }

    private:
        reference::GoldenSource golden_;
        const datasets::LayerCase& layer_;
    };
    const Last source(layer);
    const datasets::EndCase end{layer.shape, layer.weights.mlp_norm};
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath candidate(*device, *npu_impl::find_design("fused"));
    reference::GoldenPath golden;
    Selection selection;
    selection.placement = parse_placement("all");
    selection.timing = {1, 1};
    const CaseResult result =
        run_end(end, "clip", source, golden, candidate, selection, "harness", [](std::string_view) {});
    ASSERT_EQ(result.rows.size(), 2U);
    for (const OpRow& row : result.rows) {
        EXPECT_EQ(row.judgement.verdict, Verdict::passed) << explain(result);
        RecordProperty(std::string(name(row.input)), std::to_string(row.statistics->rho));
    }
    EXPECT_EQ(result.layer.steps.size(), 1U);
}

// A range that nobody asked for is neither repeated nor timed: its speedup would stand beside no verdict.
TEST(PlacedSelection, RunsNoRangeWithoutASelectedOp) {
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath candidate(*device, *npu_impl::find_design("fused"));
    const CaseResult result =
        run(whole_layer(65), candidate, "attention,mlp", {Input::isolated, Input::chained}, {Op::fc1});
    ASSERT_EQ(result.rows.size(), 2U);
    for (const OpRow& row : result.rows) {
        EXPECT_EQ(row.op, Op::fc1);
        EXPECT_EQ(row.judgement.verdict, Verdict::passed) << explain(result);
    }
    EXPECT_FALSE(result.layer.total.has_value()) << "no attention was judged";
    EXPECT_FALSE(result.layer.steps.empty());
    for (const StepTime& step : result.layer.steps) {
        EXPECT_TRUE(datasets::mlp_ops.contains(step.ops.first)) << datasets::name(step.ops.first);
    }
    const std::int64_t mlp_elements = 65 * (4 * 64 * 8 * 2 + 64 * 8);
    EXPECT_LE(result.layer.repeated_elements, mlp_elements + 65 * 64 * 8) << "fc1, gelu, fc2 and the norm";
}

// The headline is a statement about the attention's output: without it there is none to mistrust.
TEST(PlacedSelection, MistrustsAHeadlineOnlyWhereTheOutputIsJudged) {
    datasets::LayerCase layer = whole_layer(65);
    layer.recorded[Op::key] = layer.recorded[Op::query];
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath candidate(*device, *npu_impl::find_design("fused"));
    const std::vector<Input> both{Input::isolated, Input::chained};
    const CaseResult without = run(layer, candidate, "attention", both, {Op::query});
    ASSERT_EQ(without.rows.size(), 2U);
    EXPECT_EQ(without.rows[0].judgement.verdict, Verdict::mistrusted);
    EXPECT_EQ(without.layer.headline.verdict, Verdict::not_run);
    const CaseResult with = run(layer, candidate, "attention", both, {Op::output});
    EXPECT_EQ(with.layer.headline.verdict, Verdict::mistrusted);
}

TEST(PlacedMlp, NeedsALayerThatHoldsIt) {
    datasets::LayerCase layer = whole_layer(65);
    layer.weights.fc1 = layer.weights.fc2 = {};
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath candidate(*device, *npu_impl::find_design("fused"));
    try {
        run(layer, candidate, "attention,mlp");
        FAIL();
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "clip clip, layer 0 lacks the weights of fc1 for placement attention,mlp");
    }
}

}  // namespace
}  // namespace harness
