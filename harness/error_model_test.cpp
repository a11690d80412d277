// The error model: what it predicts against what honest devices do, closed forms, plain Monte Carlo, and
// planted faults that only it can see.
#include "harness/error_model.hpp"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "datasets/case_name_test.hpp"
#include "datasets/synthetic.hpp"
#include "harness/gate_accuracy.hpp"
#include "harness/index.hpp"
#include "harness/judge.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::DType;
using datasets::Op;
using datasets::OpRange;
using datasets::Rounding;
using datasets::Rows;

constexpr OpRange mlp{Op::mlp_norm, Op::fc2};

// One layer of hard or benign data and its golden.
struct Layer {
    explicit Layer(datasets::LayerShape shape, std::uint64_t seed = datasets::frozen_seed,
                   datasets::Profile profile = datasets::Profile::hard)
        : one(layer_of({profile, seed, shape, 1})), golden(one) {}

    explicit Layer(datasets::LayerCase made) : one(std::move(made)), golden(one) {}

    static datasets::LayerCase layer_of(const datasets::SyntheticModel& model) {
        datasets::LayerCase out;
        out.shape = model.shape;
        out.weights = datasets::synthetic_block(model, 0);
        out.stream = datasets::synthetic_embedding(model);
        return out;
    }

    datasets::LayerCase one;
    reference::GoldenSource golden;
};

Declared declared_by_design(const std::string& name) {
    Declared out;
    const npu_impl::Design& design = *npu_impl::find_design(name);
    out.arithmetic = design.arithmetic;
    for (const npu_impl::StepDesign& step : design.steps) {
        out.steps.push_back(step.ops);
    }
    return out;
}

// Every product exact in fp32, softmax and functions too.
Declared exact_unfused() {
    Declared out = declared_by_design("unfused");
    for (datasets::Arithmetic& arithmetic : out.arithmetic) {
        arithmetic = {};
    }
    out.of(Op::probabilities).key_tile = 64;
    return out;
}

// What a design's device does over `range`, judged by what `declared` says.
std::map<Op, OpStatistics> judged(const Layer& layer, const std::string& design, const Declared& declared,
                                  OpRange range, Input input) {
    const auto device = npu_impl::open_device("emulated", datasets::Emulation::fast);
    npu_impl::NpuPath path(*device, *npu_impl::find_design(design), {});
    const datasets::LayerCase rounded = rounded_weights(layer.one, path);
    const auto prepared = path.prepare(layer.one);
    const auto errors = std::make_shared<ErrorModel>(layer.one, layer.golden, declared, range);
    Judge judge(rounded, range, path, layer.golden, input, -1, errors);
    std::map<Op, OpStatistics> out;
    if (input == Input::chained) {
        prepared->compute({range, -1}, layer.golden, judge);
    }
    for (const OpRange step : path.steps()) {
        if (!range.contains(step.first) || !range.contains(step.last)) {
            continue;
        }
        if (input == Input::isolated) {
            prepared->compute({step, -1}, layer.golden, judge);
        }
        out[step.last] = judge.statistics(step.last);
    }
    return out;
}

std::map<Op, OpStatistics> judged(const Layer& layer, const std::string& design, OpRange range, Input input) {
    return judged(layer, design, declared_by_design(design), range, input);
}

// A context's errors fall out of its probabilities' softmax, or are computed alone: the same bits.
TEST(ErrorModel, PredictsAContextAlikeInEveryOrder) {
    const Layer layer({130, 2}, 5);
    const Declared declared = declared_by_design("unfused");
    const ErrorModel after(layer.one, layer.golden, declared, datasets::attention_ops);
    const ErrorModel alone(layer.one, layer.golden, declared, datasets::attention_ops);
    Predicted probabilities, behind, first;
    for (const int head : {1, 0}) {
        for (const Rows rows : {Rows{head, 128, 2}, Rows{head, 64, 64}, Rows{head, 0, 64}}) {
            after.of(Op::probabilities, rows, Input::chained, probabilities);
            after.of(Op::context, rows, Input::chained, behind);
            alone.of(Op::context, rows, Input::chained, first);
            EXPECT_EQ(behind.sigma, first.sigma);
            EXPECT_EQ(behind.mean, first.mean);
            EXPECT_GT(*std::ranges::min_element(behind.sigma), 0);
        }
    }
    EXPECT_EQ(after.total(Op::output, Input::chained).relative_error,
              alone.total(Op::output, Input::chained).relative_error);
}

// Bands of measured over predicted rms.
struct Band {
    double lowest;
    double highest;
};

Band band_of(AccuracyRow row) {
    const bool behind_softmax = row.input == Input::chained && row.op >= Op::scores && row.op <= Op::output;
    if (behind_softmax) {
        return row.op == Op::output ? Band{0.5, 3.3} : Band{0.8, 2.0};
    }
    return row.op == Op::probabilities || row.coherent ? Band{0.85, 1.4} : Band{0.93, 1.07};
}

class HonestDesign : public testing::TestWithParam<std::string> {};

TEST_P(HonestDesign, ErrsAsItsDeclarationPredicts) {
    const Declared declared = declared_by_design(GetParam());
    for (const std::int64_t context : {130}) {
        const Layer layer({context, 8}, 11);
        for (const OpRange& range : {datasets::attention_ops, mlp}) {
            for (const Input input : {Input::isolated, Input::chained}) {
                for (const auto& [op, statistics] : judged(layer, GetParam(), range, input)) {
                    const AccuracyRow row =
                        accuracy_row(declared.step_of(op), input, [&](Op of) { return declared.of(of); });
                    const Band band = band_of(row);
                    const std::string what = std::string(datasets::name(op)) + " " + std::string(name(input));
                    ASSERT_TRUE(statistics.z) << what;
                    EXPECT_GT(statistics.z->rms, band.lowest) << what;
                    EXPECT_LT(statistics.z->rms, band.highest) << what;
                    const auto headroom = accuracy_of(row, layer.one.shape, statistics);
                    EXPECT_FALSE(headroom.empty()) << what;
                    for (const Finding& finding : accuracy_findings(headroom, statistics.z)) {
                        ADD_FAILURE() << what << ": " << finding.text;
                    }
                }
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Designs, HonestDesign,
                         testing::Values("unfused", "fused", "tile64", "legacy_tile64",
                                         "gemm_array_rerounded",
                                         "gemm_array_floor,softmax_rows_floor,gelu_tiles_floor,"
                                         "norm_rows_floor",
                                         "gemm_array_floor,attention_fused_floor"),
                         datasets::testing::CaseName{});

// eta = 0.425 2^-8 of one rounding. Of normal numbers a product of two rounded factors errs by sqrt 2 eta,
// and by sqrt 3 eta where it is stored as bf16, whatever the length of the sum.
TEST(ErrorModel, KnowsTheClosedFormsOfProductsOfNormalNumbers) {
    constexpr double eta = 1.659e-3;
    const Layer layer({250, 8}, 5, datasets::Profile::benign);
    const ErrorModel stored(layer.one, layer.golden, declared_by_design("unfused"), datasets::attention_ops);
    const ErrorModel wide(layer.one, layer.golden, declared_by_design("tile64"), datasets::attention_ops);
    for (const Op op : {Op::query, Op::key, Op::value}) {
        EXPECT_NEAR(stored.total(op, Input::isolated).relative_error / eta, std::sqrt(3.0), 0.04);
        EXPECT_NEAR(wide.total(op, Input::isolated).relative_error / eta, std::sqrt(2.0), 0.04);
        EXPECT_EQ(stored.total(op, Input::isolated).relative_mean, 0);
    }
}

// The gain of a massive channel may round by half a spacing of bf16, or a whole one, in every row alike: that
// is no undeclared gain.
TEST(ErrorModel, KnowsWhatTheRoundedGainOfAMassiveChannelCosts) {
    const std::string floor = "gemm_array_floor,softmax_rows_floor,gelu_tiles_floor,norm_rows_floor";
    for (const auto& [design, gain] : {std::pair{std::string("unfused"), 0x1.00FEp5F},
                                       {std::string("unfused"), 0x1.007Fp5F},
                                       {floor, 0x1.00FEp5F},
                                       {floor, 0x1.0001p5F}}) {
        datasets::LayerCase massive = Layer::layer_of({datasets::Profile::benign, 3, {250, 8}, 1});
        massive.weights.attention_norm.gain[7] = gain;
        const Layer layer(massive);
        const OpRange norm{Op::attention_norm, Op::attention_norm};
        const auto statistics = judged(layer, design, norm, Input::isolated);
        const OpStatistics& s = statistics.at(Op::attention_norm);
        ASSERT_TRUE(s.z) << design;
        EXPECT_LT(std::abs(s.z->gain), 5e-4) << design << " " << gain;
        EXPECT_NEAR(s.z->rms, 1, 0.15) << design << " " << gain;
    }
}

// Beside a massive channel the fp32 mean errs by more than a value that lies next to it, which no rounding of
// the value itself would predict.
TEST(ErrorModel, KnowsWhatTheMeanBesideAMassiveChannelCosts) {
    for (const int heads : {6, 20}) {
        datasets::LayerCase massive = Layer::layer_of({datasets::Profile::benign, 3, {130, heads}, 1});
        const auto width = index(massive.shape.width());
        for (std::int64_t row = 0; row < massive.shape.context; ++row) {
            const auto x = std::span(massive.stream).subspan(index(row) * width, width);
            x[index(row % 50)] = 800;
            double mean = 0;  // of one half, and so of both
            for (std::size_t c = 0; c < width / 2; ++c) {
                mean += 2 * double{x[c]} / double(width);
            }
            for (std::size_t c = 0; c < width / 2; ++c) {
                const double apart = std::ldexp(c % 2 == 0 ? 1 : -1, -static_cast<int>(c / 2 % 24));
                x[width / 2 + c] = static_cast<float>(mean + apart);
            }
        }
        std::ranges::fill(massive.weights.attention_norm.bias, 0.0F);
        const Layer layer(massive);
        const OpRange norm{Op::attention_norm, Op::attention_norm};
        const auto statistics = judged(layer, "unfused", norm, Input::isolated);
        const OpStatistics& s = statistics.at(Op::attention_norm);
        ASSERT_TRUE(s.z);
        EXPECT_GT(s.z->rms, 0.7) << heads;
        EXPECT_LT(s.z->rms, 1.1) << heads;
        EXPECT_LT(s.z->largest, 4) << heads;
    }
}

TEST(ErrorModel, PredictsNothingButFp32SumsOfExactArithmetic) {
    const Layer layer({130, 8});
    const ErrorModel model(layer.one, layer.golden, exact_unfused(), datasets::attention_ops);
    for (const Input input : {Input::isolated, Input::chained}) {
        for (const Op op : {Op::query, Op::key, Op::value, Op::context, Op::output}) {
            EXPECT_LT(model.total(op, input).relative_error, 0x1p-16)
                << datasets::name(op) << " " << name(input);
            EXPECT_EQ(model.total(op, input).relative_mean, 0);
        }
    }
}

// Operands that bf16 holds are not rounded, so that nothing but the stores errs.
TEST(ErrorModel, ChargesNoOperandThatItsFormatHolds) {
    datasets::LayerCase rounded = Layer::layer_of({datasets::Profile::hard, 3, {130, 8}, 1});
    rounded.stream.clear();
    const datasets::SyntheticModel model{datasets::Profile::benign, 3, {130, 8}, 1};
    rounded.input = datasets::synthetic_embedding(model);
    for (std::vector<float>* values :
         {&rounded.input, &rounded.weights.attention.query.weight, &rounded.weights.attention.query.bias}) {
        for (float& value : *values) {
            value = datasets::round_to_bf16(value, Rounding::nearest_even);
        }
    }
    const reference::GoldenSource golden(rounded);
    const ErrorModel wide(rounded, golden, declared_by_design("tile64"), datasets::attention_ops);
    EXPECT_LT(wide.total(Op::query, Input::isolated).relative_error, 0x1p-18);
    EXPECT_GT(wide.total(Op::key, Input::isolated).relative_error, 1e-3);
}

// One row of one product, rounded over and over with its operands moved within a spacing or two, in plain
// code: mean and variance of the error of each element.
TEST(ErrorModel, AgreesWithMonteCarloOfOneProduct) {
    constexpr std::int64_t width = 512;
    constexpr int draws = 3000;
    const Layer layer({64, 8}, 9, datasets::Profile::benign);
    for (const std::string design : {"gemm_array", "gemm_array_floor"}) {
        const datasets::Arithmetic arithmetic = declared_by_design(design).of(Op::query);
        const ErrorModel model(layer.one, layer.golden, declared_by_design(design), datasets::attention_ops);
        Predicted predicted;
        model.of(Op::query, {0, 0, 64}, Input::isolated, predicted);
        std::vector<float> x(width);
        layer.golden.rows(Op::attention_norm, {-1, 0, 1}, x);
        std::mt19937 random(1);
        std::uniform_real_distribution<float> moved(0.98F, 1.02F);
        const auto rounded = [&](double value, Rounding rounding) {
            return double{datasets::round_to_bf16(static_cast<float>(value), rounding)};
        };
        for (int column = 0; column < 3; ++column) {
            const float* weight = layer.one.weights.attention.query.weight.data() + column * width;
            double sum = 0;
            double squares = 0;
            for (int draw = 0; draw < draws; ++draw) {
                double exact = double{layer.one.weights.attention.query.bias[index(column)]};
                double got = rounded(exact, arithmetic.operand_rounding);
                for (std::int64_t k = 0; k < width; ++k) {
                    const double a = double{x[index(k)] * moved(random)};
                    const double b = double{weight[k] * moved(random)};
                    exact += a * b;
                    got += rounded(a, arithmetic.operand_rounding) * rounded(b, arithmetic.operand_rounding);
                }
                const double error = rounded(got, arithmetic.store_rounding) - exact;
                sum += error;
                squares += error * error;
            }
            const double mean = sum / draws;
            const double deviation = std::sqrt(squares / draws - mean * mean);
            const double sigma{predicted.sigma[index(column)]};
            EXPECT_NEAR(deviation / sigma, 1, 0.2) << design << " column " << column;
            EXPECT_NEAR(mean, double{predicted.mean[index(column)]}, 0.25 * sigma) << design;
        }
    }
}

TEST(ErrorModel, PredictsAFloorAsAMeanBelow) {
    const Layer layer({130, 8});
    const ErrorModel model(layer.one, layer.golden, declared_by_design("gemm_array_floor"),
                           datasets::attention_ops);
    Predicted predicted;
    model.of(Op::value, {2, 64, 64}, Input::isolated, predicted);
    std::vector<float> values(predicted.mean.size());
    layer.golden.rows(Op::value, {2, 64, 64}, values);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float spacing = 0x1p-7F * std::exp2(std::floor(std::log2(std::abs(values[i]))));
        EXPECT_EQ(predicted.mean[i], -spacing / 2) << values[i];
    }
}

TEST(ErrorModel, IsTheSameForOneHeadAloneAndOnAnyNumberOfThreads) {
    const Layer layer({130, 8});
    for (const std::string design : {"unfused", "fused", "gemm_array_floor,attention_fused_floor"}) {
        const Declared declared = declared_by_design(design);
        const ErrorModel all(layer.one, layer.golden, declared, datasets::attention_ops);
        const tbb::global_control one_task(tbb::global_control::max_allowed_parallelism, 1);
        const ErrorModel single(layer.one, layer.golden, declared, {Op::query, Op::context}, 3);
        for (const Input input : {Input::isolated, Input::chained}) {
            Predicted from_all;
            Predicted from_single;
            all.of(Op::context, {3, 64, 64}, input, from_all);
            single.of(Op::context, {3, 64, 64}, input, from_single);
            EXPECT_EQ(from_all.sigma, from_single.sigma) << design << " " << name(input);
            EXPECT_EQ(from_all.mean, from_single.mean) << design << " " << name(input);
        }
    }
}

TEST(ErrorModel, ChainedErrorsAreNoSmallerThanIsolatedOnes) {
    const Layer layer({250, 8});
    const ErrorModel model(layer.one, layer.golden, declared_by_design("unfused"), datasets::attention_ops);
    for (const Op op : {Op::context, Op::output}) {
        EXPECT_GT(model.total(op, Input::chained).relative_error,
                  1.5 * model.total(op, Input::isolated).relative_error);
    }
    EXPECT_EQ(model.total(Op::query, Input::chained).relative_error,
              model.total(Op::query, Input::isolated).relative_error);
}

TEST(ErrorModel, RefusesAnOpThatNeverLeavesItsStep) {
    const Layer layer({64, 8});
    const ErrorModel model(layer.one, layer.golden, declared_by_design("fused"), datasets::attention_ops);
    Predicted predicted;
    EXPECT_THROW(model.of(Op::scores, {0, 0, 64}, Input::isolated, predicted), std::invalid_argument);
}

std::vector<Quantity> quantities(const std::vector<Finding>& findings) {
    std::vector<Quantity> out;
    for (const Finding& finding : findings) {
        out.push_back(finding.quantity);
    }
    return out;
}

// A device that computes otherwise than declared: `design` runs, `declared` is believed.
struct Misdeclared {
    std::string design;
    std::string declared;
    Op op;
    Quantity seen;
};

class MisdeclaredDesign : public testing::TestWithParam<Misdeclared> {};

TEST_P(MisdeclaredDesign, IsSeenByZ) {
    const Misdeclared& fault = GetParam();
    const Layer layer({250, 8});
    const Declared declared = declared_by_design(fault.declared);
    const auto statistics =
        judged(layer, fault.design, declared, datasets::attention_ops, Input::isolated).at(fault.op);
    const AccuracyRow row =
        accuracy_row(declared.step_of(fault.op), Input::isolated, [&](Op op) { return declared.of(op); });
    const auto found =
        quantities(accuracy_findings(accuracy_of(row, layer.one.shape, statistics), statistics.z));
    EXPECT_TRUE(std::ranges::find(found, fault.seen) != found.end());
}

INSTANTIATE_TEST_SUITE_P(
    Faults, MisdeclaredDesign,
    testing::Values(Misdeclared{"gemm_array_floor", "unfused", Op::key, Quantity::plain_variance},
                    Misdeclared{"unfused", "gemm_array_floor", Op::key, Quantity::plain_variance},
                    Misdeclared{"gemm_array_rerounded", "unfused", Op::value, Quantity::plain_variance},
                    Misdeclared{"legacy_tile64", "tile64", Op::output, Quantity::plain_gain}),
    [](const auto& one) { return one.param.design + "_as_" + one.param.declared; });

// Fused attention of 64 rows of one head in plain loops, operands and weights bf16; `stored`: of the running
// sums between key tiles.
std::vector<float> plain_attention(const reference::GoldenSource& golden, Rows rows, std::int64_t keys,
                                   DType stored) {
    const auto kept = [&](float value) {
        return stored == DType::bf16 ? datasets::round_to_bf16(value, Rounding::nearest_even) : value;
    };
    const auto operand = [&](Op op, Rows which) {
        std::vector<float> out(index(which.count * 64));
        golden.rows(op, which, out);
        for (float& value : out) {
            value = datasets::round_to_bf16(value, Rounding::nearest_even);
        }
        return out;
    };
    const std::vector<float> q = operand(Op::query, rows);
    const std::vector<float> k = operand(Op::key, {rows.head, 0, keys});
    const std::vector<float> v = operand(Op::value, {rows.head, 0, keys});
    std::vector<float> out(q.size());
    for (std::int64_t row = 0; row < rows.count; ++row) {
        float top = -1e30F;
        float total = 0;
        std::array<float, 64> context{};
        for (std::int64_t begin = 0; begin < keys; begin += 64) {
            const std::int64_t end = std::min(keys, begin + 64);
            std::vector<float> weights;
            float highest = top;
            for (std::int64_t j = begin; j < end; ++j) {
                float score = 0;
                for (std::int64_t c = 0; c < 64; ++c) {
                    score += q[index(row * 64 + c)] * k[index(j * 64 + c)] / 8;
                }
                weights.push_back(score);
                highest = std::max(highest, score);
            }
            const float rescale = std::exp(top - highest);
            top = highest;
            total *= rescale;
            std::ranges::for_each(context, [&](float& value) { value *= rescale; });
            for (std::int64_t j = begin; j < end; ++j) {
                const float weight = datasets::round_to_bf16(std::exp(weights[index(j - begin)] - top),
                                                             Rounding::nearest_even);
                total += weight;
                for (std::int64_t c = 0; c < 64; ++c) {
                    context[index(c)] += weight * v[index(j * 64 + c)];
                }
            }
            total = kept(total);
            std::ranges::for_each(context, [&](float& value) { value = kept(value); });
        }
        for (std::int64_t c = 0; c < 64; ++c) {
            out[index(row * 64 + c)] =
                datasets::round_to_bf16(context[index(c)] / total, Rounding::nearest_even);
        }
    }
    return out;
}

// Level 1 is blind to running sums in bf16 at T = 1500 (rho 0.83); z is not.
TEST(ErrorModel, SeesRunningSumsInBf16) {
    const Layer layer({1500, 8});
    const ErrorModel model(layer.one, layer.golden, declared_by_design("fused"), datasets::attention_ops, 4);
    const Rows rows{4, 704, 64};
    Predicted predicted;
    model.of(Op::context, rows, Input::isolated, predicted);
    std::vector<float> golden(index(rows.count * 64));
    layer.golden.rows(Op::context, rows, golden);
    const auto rms = [&](DType stored) {
        const std::vector<float> got = plain_attention(layer.golden, rows, 1500, stored);
        ZBlock block;
        block.add({got.data(), rows.count, 64, 64}, golden, predicted);
        return std::sqrt(block.squares / double(block.elements));
    };
    EXPECT_LT(rms(DType::f32), limit(Quantity::fused_rms).limit / 2);
    EXPECT_GT(rms(DType::bf16), limit(Quantity::fused_rms).limit);
}

}  // namespace
}  // namespace harness
