// The whole flow over one clip: times that add up, placements that pass, faults that do not.
#include "harness/encoder_experiment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "datasets/random_weights.hpp"
#include "datasets/synthetic_speech.hpp"
#include "harness/clips.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/device_decorator.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden.hpp"

namespace harness {
namespace {

using datasets::Op;
using testing::HasSubstr;

constexpr std::int64_t context = 130;

// The NPU path, with the attention's output of one layer upside down.
class UpsideDown final : public datasets::Path {
public:
    UpsideDown(datasets::Path& path, int layer) : path_(path), layer_(layer) {}

    std::string_view name() const override { return path_.name(); }
    std::span<const datasets::OpRange> steps() const override { return path_.steps(); }
    bool emits(Op op) const override { return path_.emits(op); }
    datasets::Arithmetic arithmetic(Op op) const override { return path_.arithmetic(op); }
    using datasets::Path::prepare;
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override {
        datasets::LayerCase& changed = changed_[layer.layer];
        changed = layer;
        if (layer.layer == layer_) {
            for (float& weight : changed.weights.attention.output.weight) {
                weight = -weight;
            }
        }
        return path_.prepare(changed);
    }
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::EndCase& end) override {
        return path_.prepare(end);
    }

private:
    datasets::Path& path_;
    int layer_;
    std::map<int, datasets::LayerCase> changed_;
};

// Fails with the launch behind the first `launches`, once.
class FailingOnce final : public npu_impl::DeviceDecorator {
public:
    FailingOnce(npu_impl::Device& inner, std::int64_t launches)
        : DeviceDecorator(inner), launches_(launches) {}

    void submit(std::span<const npu_impl::Launch> launches) override {
        launches_ -= std::ssize(launches);
        if (launches_ < 0 && !failed_) {
            failed_ = true;
            throw npu_impl::DeviceError("the NPU is gone");
        }
        DeviceDecorator::submit(launches);
    }

private:
    std::int64_t launches_;
    bool failed_ = false;
};

class EncoderExperiment : public testing::Test {
protected:
    EncoderExperiment() : samples_(datasets::synthetic_speech(context * 0.02, 3).samples) {
        samples_.resize(static_cast<std::size_t>(datasets::window_samples));
    }

    EncoderRow run(datasets::Path& npu, const std::string& placement) {
        const EncoderClip clip{"clip", "sha", "origin", 2.5, 2.6, samples_};
        return run_encoder(pieces_, clip, golden_, npu, {placement, 3}, [](std::string_view) {});
    }

    std::vector<float> samples_;
    EncoderPieces pieces_ = make_pieces(
        datasets::random_weights({.name = "small", .mels = 80, .heads = 3, .layers = 3}, 5), 2 * context, 2);
    reference::GoldenPath golden_;
    std::unique_ptr<npu_impl::Device> device_ = npu_impl::open_device("emulated");
    npu_impl::NpuPath npu_{*device_, *npu_impl::find_design("fused")};
};

TEST_F(EncoderExperiment, PassesEveryPlacementAndCertifiesTheGoldenOfEveryPiece) {
    for (const std::string& placement : placement_names()) {
        const EncoderRow row = run(npu_, placement);
        EXPECT_EQ(row.judgement.verdict, Verdict::passed) << placement << ": " << row.judgement.reason;
        ASSERT_EQ(row.drift.size(), 4U);
        EXPECT_GT(row.drift[0].isolated.relative_error, 1e-5) << "nothing of the NPU's rounding shows";
        EXPECT_GT(row.launches, 0);
        EXPECT_EQ(row.launches, row.launches_planned);
        ASSERT_EQ(row.certificates.size(), 5U);
        for (const auto& [stage, certificate] : row.certificates) {
            EXPECT_EQ(certificate.fault, "") << name(stage);
            EXPECT_FALSE(certificate.oracle_error.empty()) << name(stage);
        }
    }
}

TEST_F(EncoderExperiment, SaysHowFarItGotWhereTheDeviceFails) {
    const std::int64_t of_all_layers = run(npu_, "attention").launches;
    // Isolated and chained: two launches for each that is counted.
    FailingOnce device(*device_, of_all_layers);
    npu_impl::NpuPath path(device, *npu_impl::find_design("fused"));
    const EncoderRow lost = run(path, "attention");
    EXPECT_EQ(lost.judgement.verdict, Verdict::not_run);
    EXPECT_EQ(lost.judgement.reason, "the device failed behind layer 0: the NPU is gone");
    EXPECT_EQ(lost.drift.size(), 1U);
    EXPECT_GT(lost.warm.seconds, 0);
    EXPECT_EQ(run(path, "attention").judgement.verdict, Verdict::passed) << "the next clip goes on";
}

TEST_F(EncoderExperiment, TimesAddUp) {
    const EncoderRow row = run(npu_, "attention");
    double steps = row.between.seconds;
    for (const StageTime& stage : row.stages) {
        steps += stage.cpu.seconds;
    }
    EXPECT_NEAR(steps, row.warm.seconds, 1e-9);
    ASSERT_EQ(row.placements.size(), 4U);
    const PlacementTime& cpu = row.placements.front();
    EXPECT_NEAR(cpu.window.processing.seconds, row.mel.seconds + row.warm.seconds, 1e-9);
    EXPECT_NEAR(cpu.window.rtf, cpu.window.processing.seconds / 2.6, 1e-12);
    EXPECT_NEAR(cpu.audio.rtfx, 2.5 / cpu.window.processing.seconds, 1e-9);
    for (const PlacementTime& placement : row.placements) {
        double npu = 0;
        for (const NpuStageTime& step : placement.steps) {
            EXPECT_EQ(step.npu.clock, datasets::Clock::modelled);
            npu += step.npu.seconds;
        }
        EXPECT_NEAR(placement.npu.seconds, npu, 1e-12) << placement.placement;
        double pieces = row.mel.seconds + row.between.seconds;
        for (const PieceTime& piece : placement.pieces) {
            pieces += piece.total.seconds;
        }
        EXPECT_NEAR(placement.window.processing.seconds, pieces, 1e-9) << placement.placement;
        EXPECT_LE(placement.cpu.seconds, cpu.cpu.seconds);
    }
    EXPECT_TRUE(row.cold);
}

// Right numbers from the wrong place: the device counted nothing.
TEST_F(EncoderExperiment, FailsWhereTheCpuStandsInForTheDevice) {
    reference::GoldenPath impostor;
    const EncoderRow row = run(impostor, "attention");
    EXPECT_EQ(row.judgement.verdict, Verdict::failed);
    EXPECT_THAT(row.judgement.reason, HasSubstr("0 launches"));
}

TEST_F(EncoderExperiment, FailsAtThePieceThatIsWrong) {
    UpsideDown wrong(npu_, 1);
    const EncoderRow row = run(wrong, "all");
    EXPECT_EQ(row.judgement.verdict, Verdict::failed);
    EXPECT_THAT(row.judgement.reason, HasSubstr("piece 1"));
    EXPECT_GT(row.drift[0].isolated.match_percent, 99.9);
    EXPECT_GT(row.drift[2].isolated.match_percent, 99.9) << "alone on the golden's stream it is right";
    EXPECT_LT(row.drift[2].chained.match_percent, row.drift[2].isolated.match_percent);
}

TEST(Hearing, FollowsFromTheContext) {
    EXPECT_EQ(hearing(1500).frames, 3000);
    EXPECT_EQ(hearing(1500).stride, 2);
    EXPECT_DOUBLE_EQ(hearing(1500).seconds, 30.0);
    EXPECT_EQ(hearing(1).frames, 2);
    EXPECT_EQ(hearing(3001).frames, 3001);
    EXPECT_EQ(hearing(3001).stride, 1);
    EXPECT_DOUBLE_EQ(hearing(3001).seconds, 30.0);
}

TEST(Clips, CutSpeechIntoWindowsWithNamesOfTheirOwn) {
    EncoderOptions options;
    options.synthetic_speech_seconds = 31;
    Clips clips(options);
    ASSERT_EQ(clips.windows().size(), 2U);
    EXPECT_NE(clips.windows()[0].id, clips.windows()[1].id);
    EXPECT_DOUBLE_EQ(clips.windows()[0].audio_seconds, 30);
    EXPECT_DOUBLE_EQ(clips.windows()[1].audio_seconds, 1);
    EXPECT_EQ(clips.windows()[1].valid_frames, 50);
    const std::vector<float> last = clips.samples(clips.windows()[1]);
    ASSERT_EQ(last.size(), static_cast<std::size_t>(datasets::window_samples));
    EXPECT_EQ(last.back(), 0);
    options.context = 100;
    EXPECT_THROW(Clips{options}, UsageError);
}

}  // namespace
}  // namespace harness
