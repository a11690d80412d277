// The experiment on small layers: healthy designs pass, faults fail, and the verdict says where. The whole
// library of faults is tried in self_check/self_check_test.cpp.
#include "harness/experiment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <limits>
#include <memory>

#include "datasets/case_name_test.hpp"
#include "datasets/synthetic.hpp"
#include "harness/self_check/declared_path.hpp"
#include "harness/self_check/decorated_device.hpp"
#include "harness/self_check/faults.hpp"
#include "harness/summary.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden.hpp"

namespace harness {
namespace {

using datasets::Op;

datasets::LayerCase hard_layer(std::int64_t context, std::uint64_t seed = datasets::frozen_seed) {
    datasets::SyntheticModel model;
    model.shape.context = context;
    model.seed = seed;
    const auto residual = datasets::synthetic_embedding(model);
    return reference::make_case(datasets::synthetic_block(model, 0), model.shape, residual, "clip", 0);
}

CaseResult run(const datasets::LayerCase& layer, datasets::Path& candidate, Selection selection = {}) {
    selection.timing = {1, 1};
    reference::GoldenPath golden;
    return run_case(layer, golden, candidate, selection, "harness --compare", [](std::string_view) {});
}

Verdict verdict_of(const CaseResult& result) {
    RunRecord record;
    record.rows = result.rows;
    record.layers = {result.layer};
    return overall_verdict(record);
}

std::string explain(const CaseResult& result) {
    std::string out = std::string(name(result.layer.headline.verdict)) + " " + result.layer.headline.reason;
    for (const OpRow& row : result.rows) {
        if (row.judgement.verdict != Verdict::passed && row.judgement.verdict != Verdict::covered) {
            out += "\n  " + std::string(datasets::name(row.op)) + " " + std::string(name(row.input)) + ": " +
                   row.judgement.reason;
        }
    }
    return out;
}

class Healthy : public testing::TestWithParam<std::tuple<std::string, std::int64_t>> {};

TEST_P(Healthy, PassesAtThisContext) {
    const auto& [design, context] = GetParam();
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath candidate(*device, *npu_impl::find_design(design));
    Selection selection;
    selection.head = context > 500 ? 6 : -1;
    const CaseResult result = run(hard_layer(context), candidate, selection);
    EXPECT_EQ(verdict_of(result), Verdict::passed) << explain(result);
    EXPECT_FALSE(result.layer.steps.empty());
    EXPECT_GT(result.layer.repeated_elements, 0);
    for (const OpRow& row : result.rows) {
        if (row.statistics) {
            EXPECT_LE(row.statistics->rho, 1.0);
            EXPECT_EQ(row.statistics->blocks_seen, row.statistics->blocks_expected);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Designs, Healthy,
                         testing::Combine(testing::Values("unfused", "fused", "tile64_batch"),
                                          testing::Values<std::int64_t>(1, 2, 63, 64, 65, 127, 250, 1499,
                                                                        1500, 3001)),
                         datasets::testing::CaseName{});

constexpr std::array emulations{datasets::Emulation::fast, datasets::Emulation::exact};

// An honest kernel is judged by its own law: whatever a design declares (floor stores, C rounded per k tile,
// host sums, truncated operands), each of its ops lies within the bounds of just that. What the declaration
// costs shows in the match.
TEST(EveryDesign, LiesWithinTheBoundsOfWhatItDeclares) {
    const datasets::LayerCase layer = hard_layer(130);
    for (const datasets::Emulation emulation : emulations) {
        const auto device = npu_impl::open_device("emulated", emulation);
        for (const npu_impl::Design& design : npu_impl::designs()) {
            npu_impl::NpuPath candidate(*device, design);
            Selection selection;
            selection.probes = false;  // probes_test.cpp takes every design through them
            const CaseResult result = run(layer, candidate, selection);
            for (const OpRow& row : result.rows) {
                EXPECT_THAT(row.judgement.verdict, testing::AnyOf(Verdict::passed, Verdict::covered))
                    << design.name << " " << datasets::name(emulation) << explain(result);
            }
        }
    }
}

TEST(ExactEmulation, PassesHealthyDesignsAtRaggedSizes) {
    const auto device = npu_impl::open_device("emulated", datasets::Emulation::exact);
    for (const char* design : {"unfused", "fused"}) {
        npu_impl::NpuPath candidate(*device, *npu_impl::find_design(design));
        for (const std::int64_t context : {1, 63, 64, 65, 127, 1500}) {
            Selection selection;
            selection.head = context > 500 ? 6 : -1;
            const CaseResult result = run(hard_layer(context), candidate, selection);
            EXPECT_EQ(verdict_of(result), Verdict::passed) << design << " " << context << explain(result);
        }
    }
}

// The fault of the library by this name.
Fault fault_named(std::string_view name) {
    for (Fault& fault : planted_faults()) {
        if (fault.name == name) {
            return std::move(fault);
        }
    }
    throw std::invalid_argument("no such fault");
}

TEST(Experiment, FindsUnmaskedPaddingAtT3001) {
    for (const char* design : {"unfused", "fused"}) {
        const auto healthy = npu_impl::open_device("emulated");
        const auto device = fault_named("padded_keys_unmasked").plant.device(*healthy);
        npu_impl::NpuPath path(*device, *npu_impl::find_design(design));
        Selection selection;
        selection.head = 6;  // all logits negative: the padding takes nearly all of the probability
        const CaseResult result = run(hard_layer(3001), path, selection);
        EXPECT_EQ(verdict_of(result), Verdict::failed) << design << explain(result);
    }
}

TEST(Experiment, NamesTheCoreThatIsWrong) {
    const auto healthy = npu_impl::open_device("emulated");
    const auto device = fault_named("core_half_a_percent_off").plant.device(*healthy);
    npu_impl::NpuPath path(*device, *npu_impl::find_design("unfused"));
    const CaseResult result = run(hard_layer(250), path);
    int located = 0;
    for (const OpRow& row : result.rows) {
        if (row.op == Op::query) {
            ASSERT_EQ(row.judgement.verdict, Verdict::failed);
            ASSERT_TRUE(row.site.has_value());
            EXPECT_EQ(row.site->core, 1);
            EXPECT_THAT(row.reproduce, testing::HasSubstr("--layer 0 --op query --input"));
            ++located;
        }
    }
    EXPECT_EQ(located, 2);
}

TEST(Experiment, ReportsUnwrittenOutputAsSuch) {
    const auto healthy = npu_impl::open_device("emulated");
    const auto device = fault_named("core_silent").plant.device(*healthy);
    npu_impl::NpuPath path(*device, *npu_impl::find_design("unfused"));
    const CaseResult result = run(hard_layer(250), path);
    EXPECT_THAT(result.rows.front().judgement.reason, testing::HasSubstr("never written by the device"));
}

TEST(Experiment, MistrustsEverythingWhenTheRecordingDisagreesWithTheGolden) {
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath path(*device, *npu_impl::find_design("fused"));
    datasets::LayerCase layer = hard_layer(130);
    layer.recorded[Op::key] = layer.recorded[Op::query];
    const CaseResult result = run(layer, path);
    EXPECT_EQ(verdict_of(result), Verdict::mistrusted);
    for (const OpRow& row : result.rows) {
        EXPECT_EQ(row.judgement.verdict, Verdict::mistrusted);
        EXPECT_THAT(row.judgement.reason, testing::HasSubstr("golden key differs from the recording"));
    }
    EXPECT_TRUE(result.layer.steps.empty());
}

// A device that breaks a guard only in the runs that are to confirm the first one: rows fail, none is lost.
TEST(Experiment, FailsTheRowsWhoseRepetitionBreaksAGuard) {
    const datasets::LayerCase layer = hard_layer(130);
    const auto healthy = npu_impl::open_device("emulated");
    Selection selection;
    selection.inputs = {Input::chained};
    selection.probes = false;
    const auto run_broken_from = [&](int first_broken, int& launches) {
        EditedLaunches device(*healthy, [&](npu_impl::Launch& launch) {
            const bool broken = launches++ >= first_broken;
            for (npu_impl::Job& job : launch.jobs) {
                auto* matmul = std::get_if<npu_impl::MatmulJob>(&job.work);
                if (broken && matmul != nullptr && job.tile == 2 && job.head == 7) {
                    matmul->out.offset += 512;
                }
            }
        });
        npu_impl::NpuPath path(device, *npu_impl::find_design("unfused"));
        return run(layer, path, selection);
    };
    int launches = 0;
    const CaseResult whole = run_broken_from(std::numeric_limits<int>::max(), launches);
    ASSERT_EQ(verdict_of(whole), Verdict::passed) << explain(whole);
    ASSERT_EQ(launches % 3, 0) << "A, B, A";
    for (const int run_before : {1, 2}) {
        int counted = 0;
        const CaseResult result = run_broken_from(run_before * launches / 3, counted);
        EXPECT_EQ(verdict_of(result), Verdict::failed);
        ASSERT_EQ(result.rows.size(), whole.rows.size());
        for (const OpRow& row : result.rows) {
            EXPECT_EQ(row.judgement.verdict, Verdict::failed);
            EXPECT_THAT(row.judgement.reason,
                        testing::StartsWith("when repeated (A, B, A): design unfused: query: launches "));
            EXPECT_THAT(row.reproduce, testing::HasSubstr("--layer 0 --op"));
        }
        EXPECT_TRUE(result.layer.steps.empty()) << "only what passed may be timed";
    }
}

// A device with a clock, so that its launches are timed, which calls `before` with the number of each launch.
class ClockedDevice final : public DeviceDecorator {
public:
    ClockedDevice(npu_impl::Device& inner, std::function<void(int)> before)
        : DeviceDecorator(inner), before_(std::move(before)) {}
    [[nodiscard]] datasets::Clock clock() const override { return datasets::Clock::emulation_wall; }
    void submit(std::span<const npu_impl::Launch> launches) override {
        for (const npu_impl::Launch& launch : launches) {
            before_(launched++);
            DeviceDecorator::submit({&launch, 1});
        }
    }

    int launched = 0;

private:
    std::function<void(int)> before_;
};

// What happens while a layer is timed takes nothing back of what was judged, and leaves no times.
class WhileTimed : public testing::Test {
protected:
    WhileTimed() {
        selection_.inputs = {Input::chained};
        selection_.probes = false;
    }

    CaseResult run_on(npu_impl::Device& device) {
        npu_impl::NpuPath path(device, *npu_impl::find_design("unfused"));
        return run(layer_, path, selection_);
    }

    // Launches of one run, of five: A, B, A, the warm-up, and the one that is timed.
    int launches_of_a_run() {
        ClockedDevice device(*healthy_, [](int) {});
        whole_ = run_on(device);
        EXPECT_EQ(verdict_of(whole_), Verdict::passed) << explain(whole_);
        EXPECT_EQ(device.launched % 5, 0);
        EXPECT_TRUE(whole_.layer.total);
        return device.launched / 5;
    }

    datasets::LayerCase layer_ = hard_layer(130);
    std::unique_ptr<npu_impl::Device> healthy_ = npu_impl::open_device("emulated");
    Selection selection_;
    CaseResult whole_;
};

TEST_F(WhileTimed, ADeviceThatFailsLeavesTheVerdictsAndIsNamed) {
    const int launches = launches_of_a_run();
    for (const int first_lost : {3 * launches, 4 * launches + 1}) {
        ClockedDevice device(*healthy_, [&](int launch) {
            if (launch >= first_lost) {
                throw npu_impl::DeviceError("the NPU is gone");
            }
        });
        const CaseResult result = run_on(device);
        ASSERT_EQ(result.rows.size(), whole_.rows.size());
        for (const OpRow& row : result.rows) {
            EXPECT_EQ(row.judgement.verdict, Verdict::passed);
        }
        EXPECT_EQ(result.layer.headline.verdict, Verdict::passed);
        EXPECT_EQ(result.layer.untimed, "the NPU is gone");
        EXPECT_TRUE(result.layer.steps.empty());
        EXPECT_FALSE(result.layer.total);
        EXPECT_EQ(verdict_of(result), Verdict::not_run) << "times were asked for";
    }
}

TEST_F(WhileTimed, ABrokenGuardFailsTheRows) {
    const int launches = launches_of_a_run();
    int launched = 0;
    EditedLaunches broken(*healthy_, [&](npu_impl::Launch& launch) {
        for (npu_impl::Job& job : launch.jobs) {
            auto* matmul = std::get_if<npu_impl::MatmulJob>(&job.work);
            if (launched >= 3 * launches && matmul != nullptr && job.tile == 2 && job.head == 7) {
                matmul->out.offset += 512;
            }
        }
    });
    ClockedDevice device(broken, [&](int launch) { launched = launch; });
    const CaseResult result = run_on(device);
    EXPECT_EQ(verdict_of(result), Verdict::failed);
    for (const OpRow& row : result.rows) {
        EXPECT_THAT(row.judgement.reason,
                    testing::StartsWith("when timed: design unfused: query: launches "));
        EXPECT_THAT(row.reproduce, testing::HasSubstr("--layer 0 --op"));
    }
    EXPECT_TRUE(result.layer.steps.empty());
}

// The golden itself as the candidate: it never reaches a device, and that must show.
TEST(Experiment, RefusesAPathThatLaunchesNothing) {
    reference::GoldenPath pretender;
    const CaseResult result = run(hard_layer(65), pretender);
    EXPECT_EQ(verdict_of(result), Verdict::failed);
    EXPECT_THAT(result.rows.front().judgement.reason, testing::HasSubstr("counted 0 launches"));
}

TEST(Experiment, CoversOpsInsideAFusedStep) {
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath path(*device, *npu_impl::find_design("fused"));
    const CaseResult result = run(hard_layer(65), path);
    int covered = 0;
    for (const OpRow& row : result.rows) {
        if (row.judgement.verdict == Verdict::covered) {
            EXPECT_THAT(row.op, testing::AnyOf(Op::scores, Op::probabilities));
            EXPECT_EQ(row.judgement.reason, "covered by scores..context");
            EXPECT_FALSE(row.statistics.has_value());
            ++covered;
        }
    }
    EXPECT_EQ(covered, 4);
}

TEST(Experiment, JudgesOnlyWhatIsSelected) {
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath path(*device, *npu_impl::find_design("unfused"));
    Selection selection;
    selection.ops = {Op::scores, Op::context};
    selection.inputs = {Input::isolated};
    selection.head = 2;
    const CaseResult result = run(hard_layer(100), path, selection);
    ASSERT_EQ(result.rows.size(), 2U);
    EXPECT_EQ(result.rows[0].op, Op::scores);
    EXPECT_EQ(result.rows[0].statistics->elements, 100 * 100);
    EXPECT_EQ(result.rows[1].op, Op::context);
    EXPECT_EQ(verdict_of(result), Verdict::passed) << explain(result);
}

// An op that nobody computes must not vanish from the report.
TEST(Experiment, RefusesAPathThatLacksAnOpOfThePlacement) {
    DeclaredPath norms_and_mlp;
    try {
        run(hard_layer(65), norms_and_mlp);
        FAIL();
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "path declared has no query, which placement attention asks of it");
    }
}

TEST(Experiment, RunsOnlyOpsWithHeadsOfASingleHead) {
    Selection selection;
    selection.placement = parse_placement("all");
    EXPECT_EQ(selection.works().size(), 2U);
    selection.head = 3;
    const auto works = selection.works();
    ASSERT_EQ(works.size(), 1U);
    EXPECT_EQ(works[0].ops, (datasets::OpRange{Op::query, Op::context}));
    EXPECT_EQ(works[0].head, 3);
}

TEST(Experiment, LeavesOutRangesWithoutASelectedOp) {
    Selection selection;
    selection.placement = parse_placement("all");
    selection.ops = {Op::fc1};
    ASSERT_EQ(selection.works().size(), 1U);
    EXPECT_EQ(selection.works()[0].ops, (datasets::OpRange{Op::mlp_norm, Op::fc2}));
    selection.ops = {Op::key, Op::encoder};
    ASSERT_EQ(selection.works().size(), 1U);
    EXPECT_EQ(selection.works()[0].ops, (datasets::OpRange{Op::attention_norm, Op::output}));
    selection.ops = {Op::encoder};
    EXPECT_TRUE(selection.works().empty());
}

TEST(Experiment, SumsUpEveryOpThatHasARow) {
    const auto row = [](Op op, Verdict verdict, double rho) {
        OpStatistics statistics;
        statistics.rho = rho;
        statistics.centred_energy = 1;
        return OpRow{"clip", 0, op, Input::chained, {verdict, ""}, statistics, {}, ""};
    };
    const auto ops = sum_ops({row(Op::fc1, Verdict::passed, 0.5), row(Op::encoder, Verdict::failed, 7),
                              row(Op::fc1, Verdict::passed, 0.7)},
                             {});
    ASSERT_EQ(ops.size(), 2U);
    EXPECT_EQ(ops[0].op, Op::fc1);
    EXPECT_EQ(ops[0].chained->rho, 0.7);
    EXPECT_EQ(ops[1].op, Op::encoder);
    EXPECT_EQ(ops[1].verdict, Verdict::failed);
}

TEST(Experiment, SumsLayersIntoRealTimeFactors) {
    datasets::RecordingInfo recording;
    recording.layers = 2;
    recording.clips = {{"clip", 30.0, 1500}};
    LayerRow layer;
    layer.clip = "clip";
    layer.total = StepTime{datasets::attention_ops,
                           {0.06, datasets::Clock::host_wall, {}},
                           {0.03, datasets::Clock::modelled, {}},
                           10,
                           20,
                           30,
                           2.0};
    const auto clips = sum_clips({layer, layer}, recording);
    ASSERT_EQ(clips.size(), 1U);
    EXPECT_DOUBLE_EQ(clips[0].cpu.rtf, 0.12 / 30);
    EXPECT_DOUBLE_EQ(clips[0].npu.rtfx, 30 / 0.06);
    EXPECT_DOUBLE_EQ(clips[0].speedup, 2.0);
    EXPECT_EQ(clips[0].scope, "attention, 2 of 2 layers");
    EXPECT_EQ(clips[0].npu.processing.clock, datasets::Clock::modelled);
}

}  // namespace
}  // namespace harness
