// What a calibration says of limits: the figures that it takes, what it leaves out, and what follows.
#include "harness/calibration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "datasets/synthetic.hpp"
#include "harness/calibration_json.hpp"
#include "harness/gate_headroom.hpp"
#include "harness/probes.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden.hpp"

namespace harness {
namespace {

using datasets::DType;
using datasets::Op;
using datasets::Rounding;
using testing::HasSubstr;

constexpr datasets::LayerShape shape{1500, 8};
const MeasuredAt fitted{CalibrationPart::fitted, "fit.h5", "unfused"};
const MeasuredAt held_out{CalibrationPart::held_out, "other.h5", "unfused"};

const CalibratedLimit& of(const Calibration& calibration, Quantity quantity) {
    return calibration.limits()[static_cast<std::size_t>(quantity)];
}

// What this layer declares is read from a real path.
class Calibrated : public testing::Test {
protected:
    static OpStatistics healthy() {
        OpStatistics s;
        s.elements = shape.context * shape.width();
        s.blocks_expected = s.blocks_seen = 192;
        s.rho = 0.99;
        s.match_percent = 99.97;
        s.centred_energy = 0.5;
        s.worst_row = 0.02;
        s.worst_tile = 0.01;
        return s;
    }

    // A layer with one query row, whose largest z is `z`, and a headline.
    static CaseResult layer_with(double z, double rho = 0.99, double worst_row = 0.02) {
        CaseResult result;
        result.layer.clip = "clip";
        OpRow row{"clip", 0, Op::query, Input::isolated, {}, healthy(), {}, {}};
        row.statistics->rho = rho;
        row.headroom = {beside_limit(Quantity::plain_largest, z)};
        row.judgement = judge_op(*row.statistics, {}, {});
        result.rows.push_back(row);
        result.layer.output = healthy();
        result.layer.output->worst_row = worst_row;
        result.layer.repeated_elements = 10;
        result.layer.certificate.oracle_error[Op::query] = 1e-6;
        return result;
    }

    void add(const CaseResult& result, const MeasuredAt& at) {
        calibration_.add(result, shape, DType::f32, at);
    }

    std::unique_ptr<npu_impl::Device> device_ = npu_impl::open_device("emulated");
    npu_impl::NpuPath path_{*device_, *npu_impl::find_design("unfused")};
    Calibration calibration_;
};

// The two tables of what is beyond: the gate's findings and the calibration's figures.
TEST(GateHeadroom, IsNegativeExactlyWhereTheGateFindsSomething) {
    std::mt19937_64 random(5);
    std::uniform_real_distribution<double> unit(0, 1);
    const auto pick = [&](double a, double b) { return unit(random) < 0.5 ? a : b; };
    int found = 0;
    for (int trial = 0; trial < 2000; ++trial) {
        OpStatistics s;
        s.elements = 64000;
        s.blocks_expected = s.blocks_seen = 10;
        s.blocks_repeated = unit(random) < 0.1 ? 1 : 0;
        s.nonfinite = unit(random) < 0.1 ? 3 : 0;
        s.outside = s.nonfinite;
        s.rho = s.nonfinite > 0 ? std::numeric_limits<double>::infinity() : unit(random) * 1.25;
        s.misrounded = unit(random) < 0.1 ? 7 : 0;
        s.z.emplace();
        s.z->predicted_error = 1e-3;
        s.z->rms = pick(1, 1.2);
        s.z->largest = 20 * unit(random);
        s.z->worst_row = 8 * unit(random);
        s.z->worst_tile = 3 * unit(random);
        s.z->gain = 4e-3 * unit(random);
        datasets::Arithmetic arithmetic;
        arithmetic.store = pick(0, 1) == 0 ? DType::bf16 : DType::f32;
        arithmetic.store_rounding =
            std::array{Rounding::nearest_even, Rounding::toward_zero, Rounding::floor}[random() % 3];
        const DeviceCheck device{true, 4, unit(random) < 0.1 ? 5 : 4, unit(random) < 0.1 ? "broken" : ""};
        OpRow row{"clip", 0, Op::fc1, Input::isolated, {}, s, {}, {}};
        row.headroom = accuracy_of({Op::fc1, Input::isolated, false}, {1500, 8}, s);
        row.judgement = judge_op(s, arithmetic, device, accuracy_findings(row.headroom, s.z));
        std::set<Quantity> expected;
        for (const Finding& finding : row.judgement.findings) {
            expected.insert(finding.quantity);
        }
        std::set<Quantity> measured;
        for (const Headroom& figure : headrooms_of(row)) {
            const bool hidden = expected.contains(Quantity::coverage) &&
                                limit(figure.quantity).basis != Basis::exact;  // blocks are missing
            if (figure.decibel < 0 && limit(figure.quantity).gated && !hidden) {
                measured.insert(figure.quantity);
            }
        }
        EXPECT_EQ(measured, expected) << row.judgement.reason;
        found += expected.empty() ? 0 : 1;
    }
    EXPECT_GT(found, 200);
    EXPECT_LT(found, 1990);
}

TEST(GateHeadroom, OfAHeadlineIsNegativeExactlyWhereTheGateFindsSomething) {
    std::mt19937_64 random(6);
    std::uniform_real_distribution<double> unit(0, 1);
    for (int trial = 0; trial < 500; ++trial) {
        LayerRow layer;
        layer.output.emplace();
        layer.output->centred_energy = unit(random) < 0.2 ? 0.005 : 0.5;
        layer.output->match_percent = 99.9 + 0.05 * (unit(random) - 0.2);
        layer.output->worst_row = 0.16 * unit(random);
        layer.output->worst_tile = 0.08 * unit(random);
        const Judgement judgement = judge_headline(*layer.output, shape);
        const bool matches = std::ranges::none_of(
            judgement.findings, [](const Finding& finding) { return finding.quantity == Quantity::match; });
        std::size_t beyond = 0;
        for (const Headroom& figure : headrooms_of(layer, shape)) {
            beyond += figure.decibel < 0 ? 1 : 0;
        }
        EXPECT_EQ(beyond, matches ? judgement.findings.size() : 1) << judgement.reason;
    }
}

TEST(GateHeadroom, IsInDecibelsOfTheError) {
    const double largest = limit(Quantity::plain_largest).limit;
    EXPECT_NEAR(beside_limit(Quantity::plain_largest, largest / 2).decibel, 6.02, 0.01);
    EXPECT_NEAR(beside_limit(Quantity::match, 99.95).decibel, 3.01, 0.01);  // half the energy
    EXPECT_NEAR(beside_limit(Quantity::match, 99.8).decibel, -3.01, 0.01);
    EXPECT_EQ(beside_limit(Quantity::nonfinite, 0).decibel, std::numeric_limits<double>::infinity());
    EXPECT_LT(beside_limit(Quantity::nonfinite, 1).decibel, 0);
}

TEST_F(Calibrated, KeepsTheWorstHealthyFigureAndWhereItWas) {
    add(layer_with(5), fitted);
    add(layer_with(6), {CalibrationPart::fitted, "second.h5", "fused"});
    add(layer_with(4), fitted);
    const CalibratedLimit& largest = of(calibration_, Quantity::plain_largest);
    EXPECT_EQ(largest.fitted.figures, 3);
    EXPECT_EQ(largest.fitted.worst.value, 6);
    EXPECT_EQ(largest.fitted.at.recording, "second.h5");
    EXPECT_EQ(largest.fitted.at.design, "fused");
    EXPECT_EQ(largest.fitted.at.place, "clip, layer 0, query (isolated)");
    EXPECT_EQ(largest.mark(), LimitMark::keeps_room);
    EXPECT_EQ(of(calibration_, Quantity::golden_error).fitted.figures, 3);
    EXPECT_EQ(of(calibration_, Quantity::nonfinite).mark(), LimitMark::holds);
    EXPECT_EQ(of(calibration_, Quantity::encoder_match).mark(), LimitMark::not_measured);
    EXPECT_EQ(of(calibration_, Quantity::match).mark(), LimitMark::met);
    EXPECT_TRUE(calibration_.sound());
}

TEST_F(Calibrated, MeasuresAnEncodersOwnLimits) {
    const auto drift_of = [](double piece, double output, std::int64_t rows = 1500) {
        const Deviation alone{piece, 0.5, 1e-3, 0.01, 7, rows, 0};
        const Deviation end{output, 0.5, 1e-3, 0.02, 7, rows, 0};
        return EncoderDrift{{{{Piece::layer, 0}, alone, alone}, {{Piece::end, -1}, alone, end}}, 8, 8, {}};
    };
    calibration_.add(drift_of(99.99, 99.96), true, fitted);
    EXPECT_EQ(of(calibration_, Quantity::piece_match).fitted.figures, 3);
    EXPECT_EQ(of(calibration_, Quantity::piece_match).fitted.worst.value, 99.96);
    EXPECT_EQ(of(calibration_, Quantity::encoder_match).mark(), LimitMark::met);
    EXPECT_EQ(of(calibration_, Quantity::encoder_worst_row).fitted.worst.value, 0.02);
    EXPECT_EQ(of(calibration_, Quantity::launches).mark(), LimitMark::holds);
    // The worst row decides nothing where the match is missed; other placements have neither.
    calibration_.add(drift_of(99.98, 99.8), true, fitted);
    calibration_.add(drift_of(99.5, 99.4), false, fitted);
    calibration_.add(drift_of(50, 50, 63), true, fitted);
    EXPECT_EQ(of(calibration_, Quantity::piece_match).fitted.worst.value, 99.4);
    EXPECT_EQ(of(calibration_, Quantity::encoder_match).fitted.worst.value, 99.8);
    EXPECT_EQ(of(calibration_, Quantity::encoder_match).mark(), LimitMark::missed);
    EXPECT_EQ(of(calibration_, Quantity::encoder_worst_row).fitted.figures, 1);
    // A device that did not run what was planned is not healthy.
    EncoderDrift elsewhere = drift_of(99.2, 99.2);
    elsewhere.fault = "the device counted 0 launches";
    calibration_.add(elsewhere, true, fitted);
    EXPECT_EQ(of(calibration_, Quantity::launches).mark(), LimitMark::broken);
    EXPECT_EQ(of(calibration_, Quantity::piece_match).fitted.worst.value, 99.4);
}

// 3 dB are a factor of 1.413.
TEST_F(Calibrated, MarksWhatLeavesLessThanThreeDecibels) {
    const double largest = limit(Quantity::plain_largest).limit;
    add(layer_with(largest / 1.42), fitted);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).mark(), LimitMark::keeps_room);
    add(layer_with(largest / 1.41), fitted);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).mark(), LimitMark::report_only);
    add(layer_with(largest + 1), fitted);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).mark(), LimitMark::report_only);
    EXPECT_TRUE(calibration_.sound()) << "an envelope beyond its limit is a result, not a broken run";
}

TEST_F(Calibrated, ProposesThreeDecibelsRoundedAwayFromTheEnvelope) {
    add(layer_with(6.3, 0.99, 0.052), fitted);
    EXPECT_NEAR(*of(calibration_, Quantity::plain_largest).proposal(), 8.9, 1e-9);  // 8.8990
    EXPECT_NEAR(*of(calibration_, Quantity::worst_row).proposal(), 0.074, 1e-9);    // 0.07345
    for (const CalibratedLimit& one : calibration_.limits()) {
        const bool may = limit(one.quantity).basis == Basis::envelope && one.fitted.figures > 0;
        EXPECT_EQ(one.proposal().has_value(), may) << limit(one.quantity).name;
        if (const auto proposed = one.proposal()) {
            EXPECT_GE(20 * std::log10(*proposed / one.fitted.worst.value), least_room_decibel - 1e-9);
        }
    }
}

// What broke a proven bound is no healthy run: its other figures must not widen anything.
TEST_F(Calibrated, LeavesOutWhatIsNotHealthyAndSaysSo) {
    add(layer_with(5), fitted);
    add(layer_with(500, 2.0), fitted);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).fitted.worst.value, 5);
    EXPECT_EQ(of(calibration_, Quantity::bound).mark(), LimitMark::broken);
    EXPECT_EQ(of(calibration_, Quantity::bound).fitted.worst.value, 2);
    EXPECT_FALSE(calibration_.sound());
}

TEST_F(Calibrated, TakesNothingFromACaseWithoutACertifiedGolden) {
    CaseResult result = layer_with(500);
    result.layer.certificate.oracle_error[Op::query] = 1e-2;
    result.layer.certificate.fault = "golden query differs";
    add(result, fitted);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).fitted.figures, 0);
    ASSERT_EQ(calibration_.mistrusted().size(), 1U);
    EXPECT_EQ(calibration_.mistrusted()[0].reason, "golden query differs");
    EXPECT_FALSE(calibration_.sound());
}

TEST_F(Calibrated, HeldOutFiguresVerifyOrRefuteTheFit) {
    add(layer_with(4), fitted);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).verified(), std::nullopt);
    add(layer_with(5.6), held_out);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).verified(), true);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).fitted.worst.value, 4) << "held out is not fitted";
    add(layer_with(5.8), held_out);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).verified(), false);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).mark(), LimitMark::keeps_room);
    EXPECT_FALSE(calibration_.sound());
}

TEST_F(Calibrated, AFitWithoutAnyErrorIsRefutedByWhatComesNearTheLimitOnly) {
    CaseResult result = layer_with(4);
    result.layer.certificate.recording_error[Op::query] = 0;
    add(result, fitted);
    result.layer.certificate.recording_error[Op::query] = 6e-6;
    add(result, held_out);
    EXPECT_EQ(of(calibration_, Quantity::recording_error).verified(), true);
    result.layer.certificate.recording_error[Op::query] = 8e-6;  // less than 3 dB to 1e-5
    add(result, held_out);
    EXPECT_EQ(of(calibration_, Quantity::recording_error).verified(), false);
}

TEST_F(Calibrated, NotANumberIsTheWorstOfAll) {
    add(layer_with(std::nan("")), fitted);
    add(layer_with(9), fitted);
    EXPECT_TRUE(std::isnan(of(calibration_, Quantity::plain_largest).fitted.worst.value));
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).mark(), LimitMark::report_only);
    EXPECT_EQ(of(calibration_, Quantity::plain_largest).proposal(), std::nullopt);
}

TEST_F(Calibrated, AnExactProbeCountsWhatWasFoundWrong) {
    ProbeRow row;
    row.probe = Probe::integers;
    row.judged = 64;
    calibration_.add({row}, fitted);
    EXPECT_EQ(of(calibration_, Quantity::probe_integers).mark(), LimitMark::holds);
    row.judgement = judged({{Quantity::probe_integers, "5 of 64 differ"}});
    calibration_.add({row}, held_out);
    EXPECT_EQ(of(calibration_, Quantity::probe_integers).mark(), LimitMark::broken);
    row.judged = 0;  // was not run
    Calibration nothing;
    nothing.add({row}, fitted);
    EXPECT_EQ(of(nothing, Quantity::probe_integers).mark(), LimitMark::not_measured);
}

// A run of the real thing: nothing breaks, and every level leaves figures.
TEST_F(Calibrated, AHealthyLayerLeavesFiguresOfEveryLevelAndBreaksNothing) {
    datasets::SyntheticModel model;
    model.shape.context = 128;
    const auto residual = datasets::synthetic_embedding(model);
    const auto layer =
        reference::make_case(datasets::synthetic_block(model, 0), model.shape, residual, "clip", 0);
    reference::GoldenPath golden;
    Selection selection;
    selection.timing = {0, 0};
    const CaseResult result = run_case(layer, golden, path_, selection, "harness", [](std::string_view) {});
    calibration_.add(result, layer.shape, layer.stored, fitted);
    EXPECT_TRUE(calibration_.sound());
    std::set<std::string_view> levels;
    for (const CalibratedLimit& one : calibration_.limits()) {
        if (one.fitted.figures > 0) {
            levels.insert(limit(one.quantity).level);
        }
    }
    EXPECT_EQ(levels, (std::set<std::string_view>{"L0", "L1", "L2", "L3", "headline", "chain of trust"}));
}

TEST_F(Calibrated, TheProposalSaysWhereEveryFigureComesFrom) {
    add(layer_with(5), fitted);
    add(layer_with(6), held_out);
    CalibrationScope scope{"harness calibrate",
                           "2026-01-01T00:00:00Z",
                           "abc",
                           "emulated",
                           "fast",
                           {{"fit.h5", "aa", "whisper-base", 1500, CalibrationPart::fitted, true}},
                           {"unfused"}};
    const auto json = nlohmann::json::parse(to_json(calibration_, scope));
    EXPECT_EQ(json["schema"], "npu-attention-calibration");
    EXPECT_EQ(json["provisional"], "no held-out recordings");
    ASSERT_EQ(json["limits"].size(), limits().size());
    const auto& one = json["limits"][static_cast<std::size_t>(Quantity::plain_largest)];
    EXPECT_EQ(one["quantity"], "largest z");
    EXPECT_EQ(one["envelope"]["recording"], "fit.h5");
    EXPECT_EQ(one["envelope"]["value"], 5);
    EXPECT_EQ(one["held_out"]["value"], 6);
    EXPECT_EQ(one["verified"], true);
    EXPECT_TRUE(json["limits"][static_cast<std::size_t>(Quantity::encoder_match)]["envelope"].is_null());
    scope.recordings.push_back({"other.h5", "bb", "whisper-base", 1500, CalibrationPart::held_out, true});
    EXPECT_EQ(scope.provisional(), "");
    scope.recordings.push_back(
        {"hard.h5", "cc", "synthetic-hard-base", 1500, CalibrationPart::fitted, false});
    EXPECT_EQ(scope.provisional(), "synthetic");
}

TEST(CalibrationSource, OnlyACheckpointIsOne) {
    datasets::RecordingInfo info;
    info.source = "recorded";
    info.model_id = "openai/whisper-base";
    EXPECT_TRUE(from_checkpoint(info));
    info.model_id = "random-base-seed-1";
    EXPECT_FALSE(from_checkpoint(info));
    info.source = "synthetic";
    info.model_id = "synthetic-hard-base";
    EXPECT_FALSE(from_checkpoint(info));
}

}  // namespace
}  // namespace harness
