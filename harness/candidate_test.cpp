// Numbers from a file are judged as those of a device are: the same verdicts, statistics and places; what a
// file cannot show is not claimed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "datasets/candidate.hpp"
#include "datasets/candidate_example.hpp"
#include "datasets/case_name_test.hpp"
#include "datasets/recording_example.hpp"
#include "datasets/synthetic.hpp"
#include "harness/candidate_experiment.hpp"
#include "harness/candidate_path.hpp"
#include "harness/index.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;
using testing::HasSubstr;

using Tensors = std::map<Op, std::vector<float>>;

std::vector<std::int64_t> dims_of(Op op, const datasets::LayerShape& shape) {
    if (is_square(op)) {
        return {shape.heads, shape.context, shape.context};
    }
    return {shape.context, datasets::has_heads(op) ? shape.width() : datasets::row_width(op, shape)};
}

// Keeps everything that a path emits, as a candidate holds it.
class Dump final : public datasets::Sink {
public:
    explicit Dump(datasets::LayerShape shape) : shape_(shape) {}

    [[nodiscard]] bool wants(Op) const override { return true; }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        const std::scoped_lock lock(mutex_);
        const auto dims = dims_of(op, shape_);
        std::vector<float>& tensor = tensors[op];
        tensor.resize(index(dims[0] * dims[1] * (is_square(op) ? dims[2] : 1)));
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::int64_t to = is_square(op)
                                        ? (rows.head * shape_.context + rows.begin + row) * shape_.context
                                        : (rows.begin + row) * dims[1] + std::max(rows.head, 0) * 64;
            std::ranges::copy(values.row(row), tensor.begin() + to);
        }
    }

    Tensors tensors;

private:
    datasets::LayerShape shape_;
    std::mutex mutex_;
};

datasets::SyntheticModel hard_model(std::int64_t context) {
    datasets::SyntheticModel model;
    model.shape.context = context;
    return model;
}

// What enters the first layer.
std::vector<float> residual(std::int64_t context) {
    return datasets::synthetic_embedding(hard_model(context));
}

// A hard layer, of which a recording holds the input and all weights.
datasets::LayerCase hard_layer(std::int64_t context) {
    const datasets::SyntheticModel model = hard_model(context);
    auto layer =
        reference::make_case(datasets::synthetic_block(model, 0), model.shape, residual(context), "a", 0);
    layer.recorded.clear();
    return layer;
}

// A recording of that layer, and candidates of it.
class Dumped {
public:
    explicit Dumped(datasets::LayerCase layer) : recording_(write(layer)), layer_(recording_.layer("a", 0)) {}

    [[nodiscard]] const datasets::LayerCase& layer() const { return layer_; }
    [[nodiscard]] const datasets::Recording& recording() const { return recording_; }

    // What a device of this program computes, with each step fed by `source`, or chained.
    [[nodiscard]] Tensors compute(const char* design, Input input, const datasets::Source& source) const {
        const auto device = npu_impl::open_device("emulated", datasets::Emulation::exact);
        npu_impl::NpuPath path(*device, *npu_impl::find_design(design));
        const auto prepared = path.prepare(layer_);
        Dump dump(layer_.shape);
        if (input == Input::chained) {
            prepared->compute({datasets::attention_ops, -1}, source, dump);
            return dump.tensors;
        }
        for (const datasets::OpRange step : path.steps()) {
            if (datasets::attention_ops.contains(step.first) && datasets::attention_ops.contains(step.last)) {
                prepared->compute({step, -1}, source, dump);
            }
        }
        return dump.tensors;
    }
    [[nodiscard]] Tensors compute(const char* design, Input input) const {
        return compute(design, input, reference::GoldenSource(layer_));
    }

    // Where that device would have made an element.
    [[nodiscard]] std::optional<datasets::Site> site(const char* design, Op op,
                                                     const Element& element) const {
        const auto device = npu_impl::open_device("emulated");
        npu_impl::NpuPath path(*device, *npu_impl::find_design(design));
        return path.prepare(layer_)->locate(op, element.head, element.row, element.column);
    }

    [[nodiscard]] datasets::Candidate store(const Tensors& tensors, Input input) const {
        datasets::ExampleCandidate example(folder_.file("candidate.h5"), recording_.content_sha256(),
                                           name(input), "");
        for (const auto& [op, values] : tensors) {
            example.add("/clips/a/layer_0/" + std::string(datasets::name(op)), dims_of(op, layer_.shape),
                        values);
        }
        example.close();
        return {example.name(), recording_};
    }

    [[nodiscard]] CaseResult judge(const Tensors& tensors, Input input, const char* design,
                                   Selection selection = {}) const {
        const datasets::Candidate candidate = store(tensors, input);
        auto expected = held_ops(candidate, recording_.info());
        expected.insert(expected.end(), selection.ops.begin(), selection.ops.end());
        return judge_candidate(layer_, candidate, *npu_impl::find_design(design), expected, selection,
                               "harness judge", [](std::string_view) {});
    }

private:
    std::string write(const datasets::LayerCase& layer) {
        const auto file = folder_.file("recording.h5");
        datasets::RecordingWriter writer(file, datasets::example_info(layer.shape, 1, 1), {});
        writer.write(layer);
        writer.finish();
        return file;
    }

    datasets::TemporaryFolder folder_;
    datasets::Recording recording_;
    datasets::LayerCase layer_;
};

const Dumped& ragged() {
    static const Dumped dumped(hard_layer(130));
    return dumped;
}

Verdict verdict_of(const CaseResult& result) {
    RunRecord record;
    record.rows = result.rows;
    record.layers = {result.layer};
    return overall_verdict(record);
}

const OpRow& row_of(const CaseResult& result, Op op) {
    const auto found = std::ranges::find(result.rows, op, &OpRow::op);
    if (found == result.rows.end()) {
        throw std::logic_error("no such row");
    }
    return *found;
}

std::string explain(const CaseResult& result) {
    std::string out = result.layer.headline.reason;
    for (const OpRow& row : result.rows) {
        out += "\n  " + std::string(datasets::name(row.op)) + " " + std::string(name(row.judgement.verdict)) +
               ": " + row.judgement.reason;
    }
    return out;
}

void expect_equal(const OpStatistics& a, const OpStatistics& b) {
    EXPECT_EQ(a.elements, b.elements);
    EXPECT_EQ(a.blocks_seen, b.blocks_seen);
    EXPECT_EQ(a.rho, b.rho) << "bit for bit";
    EXPECT_EQ(a.outside, b.outside);
    EXPECT_EQ(a.misrounded, b.misrounded);
    EXPECT_EQ(a.match_percent, b.match_percent);
    EXPECT_EQ(a.worst_row, b.worst_row);
    EXPECT_EQ(a.worst_tile, b.worst_tile);
    EXPECT_EQ(a.cosine, b.cosine);
    EXPECT_EQ(a.damage.has_value(), b.damage.has_value());
}

class RoundTrip : public testing::TestWithParam<std::tuple<std::string, Input>> {};

TEST_P(RoundTrip, GivesTheVerdictAndStatisticsOfTheDirectRun) {
    const auto& [design, input] = GetParam();
    const Dumped& dumped = ragged();
    const auto device = npu_impl::open_device("emulated", datasets::Emulation::exact);
    npu_impl::NpuPath path(*device, *npu_impl::find_design(design));
    reference::GoldenPath golden;
    Selection selection;
    selection.timing = {1, 1};
    selection.inputs = {input};
    const CaseResult direct =
        run_case(dumped.layer(), golden, path, selection, "harness --compare", [](std::string_view) {});
    const CaseResult file = dumped.judge(dumped.compute(design.c_str(), input), input, design.c_str());
    ASSERT_EQ(file.rows.size(), direct.rows.size());
    for (std::size_t i = 0; i < direct.rows.size(); ++i) {
        SCOPED_TRACE(datasets::name(direct.rows[i].op));
        EXPECT_EQ(file.rows[i].op, direct.rows[i].op);
        EXPECT_EQ(file.rows[i].input, direct.rows[i].input);
        EXPECT_EQ(file.rows[i].judgement.verdict, direct.rows[i].judgement.verdict);
        EXPECT_EQ(file.rows[i].judgement.reason, direct.rows[i].judgement.reason);
        ASSERT_EQ(file.rows[i].headroom.size(), direct.rows[i].headroom.size());
        for (std::size_t h = 0; h < direct.rows[i].headroom.size(); ++h) {
            EXPECT_EQ(file.rows[i].headroom[h].quantity, direct.rows[i].headroom[h].quantity);
            EXPECT_EQ(file.rows[i].headroom[h].value, direct.rows[i].headroom[h].value);
        }
        ASSERT_EQ(file.rows[i].statistics.has_value(), direct.rows[i].statistics.has_value());
        if (direct.rows[i].statistics) {
            expect_equal(*file.rows[i].statistics, *direct.rows[i].statistics);
        }
    }
    EXPECT_EQ(file.layer.headline.verdict, direct.layer.headline.verdict);
    ASSERT_EQ(file.layer.output.has_value(), direct.layer.output.has_value());
    EXPECT_EQ(file.layer.output.has_value(), input == Input::chained);
    if (direct.layer.output) {
        expect_equal(*file.layer.output, *direct.layer.output);
    }
    EXPECT_EQ(file.layer.certificate.oracle_error, direct.layer.certificate.oracle_error);
    EXPECT_EQ(verdict_of(file), verdict_of(direct));
    // What a file cannot show.
    EXPECT_TRUE(file.layer.steps.empty());
    EXPECT_FALSE(file.layer.total.has_value());
    EXPECT_EQ(file.layer.repeated_elements, 0);
}

INSTANTIATE_TEST_SUITE_P(Designs, RoundTrip,
                         testing::Combine(testing::Values("unfused", "fused", "gemm_array_floor"),
                                          testing::Values(Input::isolated, Input::chained)),
                         datasets::testing::CaseName{});

// A fault in the file, and the op whose row must fail.
struct FileFault {
    const char* name;
    Op op;
    Pattern pattern;  // that its diagnosis names
    std::function<void(Tensors&)> plant;
};

std::vector<FileFault> file_faults() {
    const auto width = [] { return ragged().layer().shape.width(); };
    return {
        {"zero tile", Op::context, Pattern::zeros,
         [=](Tensors& t) {
             for (std::int64_t row = 64; row < 128; ++row) {
                 std::fill_n(t[Op::context].begin() + row * width() + 128, 64, 0.0F);
             }
         }},
        {"swapped heads", Op::value, Pattern::head_swapped,
         [=](Tensors& t) {
             for (std::int64_t row = 0; row < 130; ++row) {
                 const auto begin = t[Op::value].begin() + row * width();
                 std::swap_ranges(begin, begin + 64, begin + 64);
             }
         }},
        {"NaN", Op::output, Pattern::nonfinite,
         [=](Tensors& t) {
             t[Op::output][index(77 * width() + 3)] = std::numeric_limits<float>::quiet_NaN();
         }},
        {"half the rows", Op::query, Pattern::zeros,
         [](Tensors& t) {
             std::fill(t[Op::query].begin() + std::ssize(t[Op::query]) / 2, t[Op::query].end(), 0.0F);
         }},
        {"duplicated probabilities", Op::probabilities, Pattern::misplaced_tile,
         [](Tensors& t) {
             auto& p = t[Op::probabilities];
             std::copy_n(p.begin(), 130 * 64, p.begin() + 130 * 64);
         }},
        {"one core 0.5% off", Op::scores, Pattern::gain,
         [](Tensors& t) {
             for (int i = 0; i < 130 * 64; ++i) {
                 t[Op::scores][index(3 * 130 * 130 + i)] *= 1.005F;
             }
         }},
    };
}

TEST(CandidateFaults, AreFoundWhereTheyAre) {
    const Dumped& dumped = ragged();
    for (const Input input : {Input::isolated, Input::chained}) {
        const Tensors healthy = dumped.compute("unfused", input);
        for (const FileFault& fault : file_faults()) {
            SCOPED_TRACE(std::string(fault.name) + ", " + std::string(name(input)));
            Tensors tensors = healthy;
            fault.plant(tensors);
            const CaseResult result = dumped.judge(tensors, input, "unfused");
            EXPECT_EQ(verdict_of(result), Verdict::failed) << explain(result);
            const OpRow& row = row_of(result, fault.op);
            EXPECT_EQ(row.judgement.verdict, Verdict::failed) << explain(result);
            EXPECT_FALSE(row.judgement.findings.empty());
            ASSERT_TRUE(row.statistics && row.statistics->damage);
            EXPECT_THAT(row.reproduce, HasSubstr("harness judge --clip a --layer 0 --op " +
                                                 std::string(datasets::name(fault.op))));
            EXPECT_THAT(row.reproduce, testing::Not(HasSubstr("--input")));
            ASSERT_TRUE(row.site.has_value());
            EXPECT_FALSE(row.site->ran) << "no launch of the runner is known";
            const Element& worst = row.statistics->damage->worst;
            const auto site = dumped.site("unfused", fault.op, worst);
            ASSERT_TRUE(site.has_value());
            EXPECT_TRUE(site->ran);
            EXPECT_EQ(row.site->tile, site->tile);
            EXPECT_EQ(row.site->core, site->core);
            EXPECT_EQ(row.site->launch, site->launch);
            ASSERT_TRUE(row.diagnosis.has_value());
            EXPECT_EQ(name(row.diagnosis->pattern), name(fault.pattern)) << row.diagnosis->evidence;
        }
        Tensors tensors = healthy;
        file_faults()[0].plant(tensors);
        const CaseResult result = dumped.judge(tensors, input, "unfused");
        const Damage& damage = *row_of(result, Op::context).statistics->damage;
        EXPECT_EQ(damage.heads, std::vector{2});
        EXPECT_EQ(damage.blocks, 1);
        EXPECT_EQ(damage.row_begin, 64);
        EXPECT_EQ(damage.row_end, 127);
    }
}

TEST(CandidateArithmetic, OtherThanDeclaredFails) {
    const Dumped& dumped = ragged();
    const Tensors nearest = dumped.compute("unfused", Input::chained);
    const CaseResult as_floor = dumped.judge(nearest, Input::chained, "gemm_array_floor");
    EXPECT_EQ(row_of(as_floor, Op::query).judgement.verdict, Verdict::failed);
    EXPECT_THAT(row_of(as_floor, Op::query).judgement.reason,
                HasSubstr("stores are not what floor rounding gives"));
    const Tensors floor = dumped.compute("gemm_array_floor", Input::chained);
    const CaseResult as_nearest = dumped.judge(floor, Input::chained, "unfused");
    EXPECT_EQ(row_of(as_nearest, Op::query).judgement.verdict, Verdict::failed);
    EXPECT_GT(row_of(as_nearest, Op::query).statistics->rho, 1.5);
}

// A chain without an op says nothing of the level 1 of those that read it; the headline decides, if it can.
TEST(CandidateChain, WithoutAnOpIsDecidedByTheHeadline) {
    const Dumped& dumped = ragged();
    Tensors tensors = dumped.compute("unfused", Input::chained);
    tensors.erase(Op::probabilities);
    const CaseResult result = dumped.judge(tensors, Input::chained, "unfused");
    EXPECT_EQ(result.rows.size(), 6U);
    const OpRow& context = row_of(result, Op::context);
    EXPECT_EQ(context.judgement.verdict, Verdict::covered);
    EXPECT_EQ(context.judgement.reason,
              "level 1 is not judged: context reads probabilities, which is not there in the file; within "
              "the limits of level 2; the headline decides");
    EXPECT_FALSE(context.statistics.has_value());
    EXPECT_EQ(row_of(result, Op::output).judgement.verdict, Verdict::passed) << "it reads the context";
    EXPECT_EQ(result.layer.headline.verdict, Verdict::passed) << result.layer.headline.reason;
    EXPECT_EQ(verdict_of(result), Verdict::passed);

    Tensors broken = tensors;
    broken[Op::context][5] = std::numeric_limits<float>::infinity();
    const CaseResult seen = dumped.judge(broken, Input::chained, "unfused");
    EXPECT_EQ(row_of(seen, Op::context).judgement.verdict, Verdict::failed)
        << "level 0 is judged all the same";
    EXPECT_FALSE(row_of(seen, Op::context).diagnosis.has_value()) << "what is due is not known";

    Selection selection;
    selection.ops = {Op::context};
    const CaseResult alone = dumped.judge(tensors, Input::chained, "unfused", selection);
    EXPECT_EQ(verdict_of(alone), Verdict::not_run) << explain(alone);

    tensors.erase(Op::output);
    const CaseResult open = dumped.judge(tensors, Input::chained, "unfused");
    EXPECT_EQ(row_of(open, Op::context).judgement.verdict, Verdict::not_run);
    EXPECT_THAT(row_of(open, Op::context).judgement.reason, HasSubstr("dump it too"));
    EXPECT_EQ(verdict_of(open), Verdict::not_run);
}

// Whatever is not there: T = 127, so that a block of 64 rows is judged behind one of 63.
TEST(CandidateChain, WithoutAnyOneOpIsHealthyAllTheSame) {
    const Dumped& dumped = ragged();
    const Tensors whole = dumped.compute("unfused", Input::chained);
    for (const auto& [op, values] : whole) {
        Tensors tensors = whole;
        tensors.erase(op);
        const CaseResult result = dumped.judge(tensors, Input::chained, "unfused");
        for (const OpRow& row : result.rows) {
            EXPECT_NE(row.judgement.verdict, Verdict::failed)
                << "without " << datasets::name(op) << ": " << row.judgement.reason;
        }
    }
}

// Level 2 needs no operands: the declaration says how far a chained result may be from the golden, gaps or
// not.
TEST(CandidateChain, WithAGapIsStillJudgedAgainstTheGolden) {
    const Dumped& dumped = ragged();
    Tensors tensors = dumped.compute("unfused", Input::chained);
    tensors.erase(Op::probabilities);
    Tensors broken = tensors;
    // A tile of head 1 that never came.
    for (std::int64_t row = 0; row < 64; ++row) {
        const auto begin = broken[Op::context].begin() + row * dumped.layer().shape.width() + 64;
        std::fill_n(begin, 64, 0.0F);
    }
    const CaseResult result = dumped.judge(broken, Input::chained, "unfused");
    const OpRow& context = row_of(result, Op::context);
    EXPECT_EQ(context.judgement.verdict, Verdict::failed) << context.judgement.reason;
    ASSERT_FALSE(context.judgement.findings.empty());
    for (const Finding& finding : context.judgement.findings) {
        EXPECT_EQ(limit(finding.quantity).level, "L2") << finding.text;
    }
    Selection unpredicted;
    unpredicted.predict_errors = false;
    const CaseResult blind = dumped.judge(broken, Input::chained, "unfused", unpredicted);
    EXPECT_EQ(row_of(blind, Op::context).judgement.verdict, Verdict::covered)
        << "nothing but level 2 can see it there";
}

// Where the headline says nothing, it decides nothing.
TEST(CandidateChain, WithoutAnOpOfAShortClipIsNotRun) {
    const Dumped dumped(hard_layer(63));
    Tensors tensors = dumped.compute("unfused", Input::chained);
    EXPECT_EQ(verdict_of(dumped.judge(tensors, Input::chained, "unfused")), Verdict::passed);
    tensors.erase(Op::key);
    const CaseResult result = dumped.judge(tensors, Input::chained, "unfused");
    EXPECT_EQ(row_of(result, Op::scores).judgement.verdict, Verdict::not_run);
    EXPECT_EQ(row_of(result, Op::probabilities).judgement.verdict, Verdict::passed);
    EXPECT_EQ(verdict_of(result), Verdict::not_run);
}

TEST(CandidateSelection, TellsWhatWasAskedForAndIsNotThere) {
    const Dumped& dumped = ragged();
    Tensors tensors = dumped.compute("fused", Input::isolated);
    tensors.erase(Op::value);
    EXPECT_EQ(verdict_of(dumped.judge(tensors, Input::isolated, "fused")), Verdict::passed)
        << "steps in isolation do not need each other";
    Selection selection;
    selection.ops = {Op::value};
    const CaseResult result = dumped.judge(tensors, Input::isolated, "fused", selection);
    ASSERT_EQ(result.rows.size(), 1U);
    EXPECT_EQ(result.rows[0].judgement.verdict, Verdict::not_run);
    EXPECT_EQ(result.rows[0].judgement.reason, "is not in the file for this clip and layer");

    Selection head;
    head.head = 3;
    const CaseResult one = dumped.judge(tensors, Input::isolated, "fused", head);
    EXPECT_EQ(verdict_of(one), Verdict::passed) << explain(one);
    EXPECT_EQ(row_of(one, Op::query).statistics->elements, 130 * 64);
}

TEST(CandidateDesign, RefusesAnOpThatNeverLeavesTheCore) {
    const Dumped& dumped = ragged();
    const Tensors tensors = dumped.compute("unfused", Input::chained);
    try {
        (void)dumped.judge(tensors, Input::chained, "fused");
        FAIL();
    } catch (const datasets::ReadError& error) {
        EXPECT_EQ(error.object, "/clips/a/layer_0/scores");
        EXPECT_THAT(error.reason, HasSubstr("never leaves the core in design fused"));
    }
}

// Another program in isolation reads what is recorded. The golden of this machine differs from that in its
// last bits, and so, after rounding to bf16, in more than any bound.
TEST(CandidateUpstream, IsWhatWasRecorded) {
    datasets::LayerCase layer = hard_layer(130);
    const reference::GoldenSource golden(layer);
    for (const Op op : {Op::query, Op::key, Op::value, Op::context}) {
        std::vector<float>& tensor = layer.recorded[op];
        tensor.assign(golden.tensor(op).begin(), golden.tensor(op).end());
        for (std::size_t i = 0; i < tensor.size(); ++i) {
            tensor[i] *= i % 2 == 0 ? 1 + 2e-6F : 1 - 2e-6F;
        }
    }
    const Dumped dumped(layer);
    const reference::GoldenSource own(dumped.layer());
    const RecordedSource recorded(dumped.layer(), own);
    const Tensors theirs = dumped.compute("fused", Input::isolated, recorded);
    const CaseResult result = dumped.judge(theirs, Input::isolated, "fused");
    EXPECT_EQ(verdict_of(result), Verdict::passed) << result.layer.certificate.fault << explain(result);
    const Tensors ours = dumped.compute("fused", Input::isolated, own);
    const CaseResult other = dumped.judge(ours, Input::isolated, "fused");
    EXPECT_EQ(row_of(other, Op::output).judgement.verdict, Verdict::failed)
        << "so small a difference of what is read shows: rho " << row_of(other, Op::output).statistics->rho;
}

// Norms and MLP: the attention begins at its norm, the MLP behind the recording's residual.
TEST(CandidateWholeLayer, PassesAsTheDirectRunDoes) {
    const datasets::LayerCase whole = hard_layer(65);
    const datasets::TemporaryFolder folder;
    const auto info = datasets::example_info(whole.shape, 1, 1);
    datasets::RecordingWriter writer(folder.file("recording.h5"), info, {.whole_weights = true});
    writer.write(whole);
    datasets::ClipTensors tensors;
    tensors.embedding = residual(65);
    writer.write_clip("a", tensors);
    writer.write_end(datasets::example_end(info));
    writer.finish();
    const datasets::Recording recording(folder.file("recording.h5"));
    const datasets::LayerCase layer = recording.layer("a", 0);
    const npu_impl::Design& design = *npu_impl::find_design("fused");
    const auto device = npu_impl::open_device("emulated", datasets::Emulation::exact);
    npu_impl::NpuPath path(*device, design);
    const auto prepared = path.prepare(layer);
    const reference::GoldenSource golden(layer);
    const RecordedSource recorded(layer, golden);
    const Placement all = parse_placement("all");
    for (const bool with_norms : {true, false}) {
        Dump dump(layer.shape);
        for (datasets::OpRange range : all.layer) {
            range.first = with_norms ? range.first : datasets::ops_in(range)[1].op;
            prepared->compute({range, -1}, recorded, dump);
        }
        datasets::ExampleCandidate example(folder.file("candidate.h5"), recording.content_sha256(), "chained",
                                           "fused");
        for (const auto& [op, values] : dump.tensors) {
            example.add("/clips/a/layer_0/" + std::string(datasets::name(op)), dims_of(op, layer.shape),
                        values, datasets::ExampleStore::checked);
        }
        example.close();
        const datasets::Candidate candidate(example.name(), recording);
        const auto held = held_ops(candidate, info);
        EXPECT_EQ(held.size(), with_norms ? 10U : 8U);
        Selection selection;
        selection.placement = placement_of(held);
        EXPECT_EQ(selection.placement.name, with_norms ? "all" : "attention,mlp");
        const CaseResult result = judge_candidate(layer, candidate, design, held, selection, "harness judge",
                                                  [](std::string_view) {});
        EXPECT_EQ(verdict_of(result), Verdict::passed) << result.layer.certificate.fault << explain(result);
        EXPECT_EQ(row_of(result, Op::fc2).judgement.verdict, Verdict::passed);
        EXPECT_LE(row_of(result, Op::fc1).statistics->rho, 1.0);
    }
}

TEST(CandidateGolden, ThatIsNotCertifiedMakesEveryRowMistrusted) {
    datasets::LayerCase layer = hard_layer(65);
    layer.recorded[Op::key].assign(layer.input.begin(), layer.input.end());
    const Dumped dumped(layer);
    const CaseResult result = dumped.judge(dumped.compute("fused", Input::chained), Input::chained, "fused");
    for (const OpRow& row : result.rows) {
        EXPECT_EQ(row.judgement.verdict, Verdict::mistrusted);
    }
    EXPECT_EQ(result.layer.headline.verdict, Verdict::mistrusted);
}

}  // namespace
}  // namespace harness
