// What data can reveal: figures that are known for constructed attention, benign data that is nearly blind,
// hard data that is not, and what a probe covers.
#include "harness/data_trust.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "datasets/synthetic.hpp"
#include "harness/run_record.hpp"
#include "npu_impl/design.hpp"
#include "reference/encoder_block.hpp"

namespace harness {
namespace {

using datasets::Op;

// One head whose value is the input, and whose logits are amplitude^2 / 8 times the products of input rows.
datasets::LayerCase constructed(std::int64_t context, float amplitude,
                                const std::function<float(std::int64_t, std::int64_t)>& input) {
    datasets::LayerCase layer;
    layer.shape = {context, 1};
    for (std::int64_t row = 0; row < context; ++row) {
        for (std::int64_t channel = 0; channel < 64; ++channel) {
            layer.input.push_back(input(row, channel));
        }
    }
    datasets::AttentionWeights& weights = layer.weights.attention;
    for (datasets::Linear* linear : {&weights.query, &weights.key, &weights.value, &weights.output}) {
        const bool scaled = linear == &weights.query || linear == &weights.key;
        linear->weight.assign(64 * 64, 0.0F);
        for (std::size_t i = 0; i < 64; ++i) {
            linear->weight[i * 65] = scaled ? amplitude : 1.0F;
        }
        if (linear != &weights.key) {
            linear->bias.assign(64, 0.0F);
        }
    }
    return layer;
}

LayerStatistics statistics(const datasets::LayerCase& layer) {
    return statistics_of(layer, reference::GoldenSource(layer));
}

TEST(DataStatistics, OfUniformAttention) {
    const auto layer =
        constructed(150, 0, [](std::int64_t row, std::int64_t) { return row == 7 ? 2.0F : 1.0F; });
    const LayerStatistics all = statistics(layer);
    const HeadStatistics& head = all.heads.at(0);
    EXPECT_NEAR(head.effective_keys, 150, 0.01);
    EXPECT_NEAR(head.median_top_probability, 1.0 / 150, 1e-6);
    EXPECT_EQ(head.lowest_logit, 0);
    EXPECT_EQ(head.highest_logit, 0);
    EXPECT_EQ(head.negative_rows, 0);
    EXPECT_NEAR(head.padding_share, 42.0 / 192, 1e-6) << "42 keys of logit 0 beside 150";
    EXPECT_NEAR(head.last_key_share, 1.0 / 150, 1e-6);
    EXPECT_EQ(head.rescaled_share, 0);
    EXPECT_NEAR(head.scale_share, 0, 1e-6);
    EXPECT_NEAR(head.scale_slope, 0, 1e-6);
    EXPECT_EQ(head.widest_row, 0);
    EXPECT_NEAR(head.neighbours, 0, 1e-6) << "every row is the mean";
    EXPECT_NEAR(head.blocks, 0, 1e-6);
    EXPECT_NEAR(all.mirrored_rows, 0.5, 1e-6) << "row 7 of twos against row 142 of ones";
}

// Rows are +-1 codes: the own key has the logit 8 a^2, all others at least a^2 / 4 less.
TEST(DataStatistics, OfPeakedAttention) {
    const auto bits = [](std::int64_t row, std::int64_t channel) {
        return ((row >> (channel % 8)) & 1) != 0 ? 1.0F : -1.0F;
    };
    const HeadStatistics head = statistics(constructed(128, 4, bits)).heads.at(0);
    EXPECT_NEAR(head.effective_keys, 1, 1e-3);
    EXPECT_NEAR(head.median_top_probability, 1, 1e-6);
    EXPECT_NEAR(head.highest_logit, 128, 1e-3);
    EXPECT_NEAR(head.lowest_row_max, 128, 1e-3);
    EXPECT_EQ(head.padding_share, 0) << "128 keys have no padding";
    EXPECT_NEAR(head.widest_row, 128 + 128 - 32, 1e-3) << "bit 7 is the same in all rows";
    EXPECT_NEAR(head.last_key_share, 1, 1e-6);
    EXPECT_NEAR(head.rescaled_share, 1, 1e-3)
        << "the first tile's largest would weigh as much as the own key";
    EXPECT_GT(head.neighbours, 0.1);
    EXPECT_GT(head.blocks, 0.1);
}

// Against the difference of two contexts whose logits are a thousandth apart, in plain loops.
TEST(DataStatistics, KnowWhatAChangeOfTheScaleDoes) {
    const auto layer = constructed(70, 1.5F, [](std::int64_t row, std::int64_t channel) {
        return static_cast<float>((row * 37 + channel * 11) % 23 - 11) / 12;
    });
    const reference::GoldenSource golden(layer);
    std::vector<float> value(70 * 64);
    golden.rows(Op::value, {0, 0, 70}, value);
    double largest = 0;
    for (std::int64_t row = 0; row < 70; row += 8) {
        std::vector<float> scores(70);
        golden.rows(Op::scores, {0, row, 1}, scores);
        const auto context = [&](double scale, std::size_t channel, bool of_terms) {
            double sum = 0;
            double result = 0;
            for (std::size_t k = 0; k < 70; ++k) {
                const double v{value[k * 64 + channel]};
                const double weight = std::exp(scale * double{scores[k]});
                sum += weight;
                result += weight * (of_terms ? std::abs(v) : v);
            }
            return result / sum;
        };
        for (std::size_t c = 0; c < 64; ++c) {
            const double slope = (context(1.0005, c, false) - context(0.9995, c, false)) / 0.001;
            largest = std::max(largest, std::abs(slope) / context(1, c, true));
        }
    }
    EXPECT_GT(largest, 0.1);
    EXPECT_NEAR(statistics(layer).heads.at(0).scale_slope, largest, 1e-3 * largest);
}

TEST(DataStatistics, CountOutlierChannels) {
    const auto layer = constructed(64, 1, [](std::int64_t row, std::int64_t channel) {
        return (channel == 3 || channel == 9 ? 20.0F : 1.0F) * (row % 2 == 0 ? 1.0F : -1.0F);
    });
    const LayerStatistics all = statistics(layer);
    EXPECT_EQ(all.outlier_channels, 2);
    EXPECT_NEAR(all.largest_channel, 20, 1e-5);
}

std::vector<LayerStatistics> synthetic(datasets::Profile profile, std::int64_t context, int layers) {
    datasets::SyntheticModel model;
    model.profile = profile;
    model.shape.context = context;
    std::vector<LayerStatistics> out;
    const auto residual = datasets::synthetic_embedding(model);
    for (int layer = 0; layer < layers; ++layer) {
        const auto one = reference::make_case(datasets::synthetic_block(model, layer), model.shape, residual,
                                              "clip", layer);
        out.push_back(statistics(one));
    }
    return out;
}

datasets::Arithmetic softmax() {
    return npu_impl::find_design("fused")->arithmetic_of(Op::context);
}

std::set<FaultClass> with(const std::vector<TrustRow>& rows, Verdict verdict) {
    std::set<FaultClass> out;
    for (const TrustRow& row : rows) {
        if (row.judgement.verdict == verdict) {
            out.insert(row.fault);
        }
    }
    return out;
}

std::string explain(const std::vector<TrustRow>& rows) {
    std::string out;
    for (const TrustRow& row : rows) {
        out += "\n  " + std::string(name(row.fault)) + " " + std::string(name(row.judgement.verdict)) + " " +
               std::to_string(row.effect) + " of " + std::to_string(row.needed) + " " + row.where;
    }
    return out;
}

// Logits reach from -87 to +91, but no row of layer 0 reaches from end to end.
TEST(DataTrust, HardDataRevealsAllButTheWidestDifferencesAndASlightlyWrongScale) {
    for (const std::int64_t context : {1500, 3001}) {
        const auto rows = judge_trust(synthetic(datasets::Profile::hard, context, 1), softmax(), {});
        EXPECT_THAT(with(rows, Verdict::mistrusted),
                    testing::ElementsAre(FaultClass::exponent_range, FaultClass::scale_off))
            << explain(rows);
    }
}

TEST(DataTrust, BenignDataIsNearlyBlindToTheSoftmax) {
    const auto rows = judge_trust(synthetic(datasets::Profile::benign, 1500, 1), softmax(), {});
    EXPECT_THAT(with(rows, Verdict::mistrusted),
                testing::IsSupersetOf({FaultClass::padding_unmasked, FaultClass::no_maximum,
                                       FaultClass::exponent_range, FaultClass::last_key_dropped}))
        << explain(rows);
    for (const TrustRow& row : rows) {
        EXPECT_EQ(row.judgement.reason.empty(), row.judgement.verdict == Verdict::passed);
        EXPECT_THAT(row.where, testing::StartsWith("clip layer 0"));
    }
}

ProbeRow passed(Probe probe, std::int64_t context, Op op = Op::context) {
    ProbeRow row;
    row.probe = probe;
    row.shape = {context, 2};
    row.op = op;
    row.judgement = {Verdict::passed, "", {}};
    return row;
}

TEST(DataTrust, AProbeCoversWhatTheDataCannotShow) {
    const LayerStatistics uniform =
        statistics(constructed(128, 0, [](std::int64_t, std::int64_t) { return 1.0F; }));
    const std::vector layers{uniform};
    const std::vector ones{passed(Probe::ones, 128)};
    const std::vector ragged{passed(Probe::ones, 63),
                             passed(Probe::raised_keys, 65),
                             passed(Probe::deep_keys, 65),
                             passed(Probe::one_hot, 65),
                             passed(Probe::zero_keys, 65),
                             passed(Probe::integers, 65),
                             passed(Probe::integers, 65, Op::query)};
    EXPECT_EQ(with(judge_trust(layers, softmax(), {}), Verdict::mistrusted).size(),
              std::size_t{fault_class_count});
    const auto covered = judge_trust(layers, softmax(), {ones, ragged});
    EXPECT_EQ(with(covered, Verdict::covered).size(), std::size_t{fault_class_count}) << explain(covered);
    EXPECT_THAT(covered.front().judgement.reason, testing::HasSubstr("covered by probe ones"));
    // T = 128 has no padding, so that its probe says nothing of it.
    EXPECT_THAT(with(judge_trust(layers, softmax(), {ones, {}}), Verdict::mistrusted),
                testing::Contains(FaultClass::padding_unmasked));
    // The projections of a recorded layer are not probed.
    EXPECT_THAT(with(judge_trust(layers, softmax(), {ragged, {}}), Verdict::mistrusted),
                testing::Contains(FaultClass::wrong_scale));
    // A probe that failed once stands in for nothing.
    std::vector broken = ragged;
    broken.push_back(passed(Probe::one_hot, 127));
    broken.back().judgement.verdict = Verdict::failed;
    EXPECT_THAT(with(judge_trust(layers, softmax(), {ones, broken}), Verdict::mistrusted),
                testing::Contains(FaultClass::heads_exchanged));
}

TEST(DataTrust, WhatNothingShowsDecidesTheRun) {
    RunRecord record;
    OpRow row;
    row.judgement = {Verdict::passed, "", {}};
    record.rows.push_back(row);
    TrustRow trust;
    trust.judgement = {Verdict::covered, "covered by probe ones", {}};
    record.trust.push_back(trust);
    EXPECT_EQ(overall_verdict(record), Verdict::passed);
    record.trust.front().judgement.verdict = Verdict::mistrusted;
    EXPECT_EQ(overall_verdict(record), Verdict::mistrusted);
    EXPECT_EQ(exit_code(overall_verdict(record)), ExitCode::failed);
}

}  // namespace
}  // namespace harness
