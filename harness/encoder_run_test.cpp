// The walk through an encoder: the same result whatever the legs, every tensor seen once, faults seen where
// they are planted.
#include "harness/encoder_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>
#include <stdexcept>

#include "datasets/random_weights.hpp"
#include "harness/drift.hpp"
#include "reference/golden.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;

constexpr std::int64_t frames = 141;  // odd: 71 rows, more than a block

std::vector<float> some_mel(const datasets::StemShape& stem) {
    std::vector<float> mel(static_cast<std::size_t>(stem.frames * stem.mels));
    for (std::size_t i = 0; i < mel.size(); ++i) {
        mel[i] = 1.2F * static_cast<float>(std::sin(0.37 * double(i) + 1e-4 * double(i) * double(i)));
    }
    return mel;
}

EncoderPieces pieces_of(int layers = 3) {
    return make_pieces(
        datasets::random_weights({.name = "small", .mels = 80, .heads = 3, .layers = layers}, 5), frames, 2);
}

// Counts the elements of every tensor that passes.
class Counter final : public EncoderObserver {
public:
    bool wants(Stage, Op) const override { return true; }
    void accept(Stage stage, Op op, datasets::Rows rows, const datasets::TensorView& values) override {
        const std::scoped_lock lock(mutex_);
        elements[name(stage) + " " + std::string(datasets::name(op))] += rows.count * values.columns;
    }
    std::map<std::string, std::int64_t> elements;

private:
    std::mutex mutex_;
};

// The golden, whose `output` is off by a factor.
class LoudPath final : public datasets::Path {
public:
    explicit LoudPath(int faulty_layer) : faulty_layer_(faulty_layer) {}

    std::string_view name() const override { return "loud"; }
    std::span<const OpRange> steps() const override { return golden_.steps(); }
    bool emits(Op op) const override { return golden_.emits(op); }
    datasets::Arithmetic arithmetic(Op op) const override { return golden_.arithmetic(op); }
    using datasets::Path::prepare;
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override {
        datasets::LayerCase& changed = changed_[layer.layer];
        changed = layer;
        if (layer.layer == faulty_layer_) {
            for (float& weight : changed.weights.attention.output.weight) {
                weight *= 1.25F;
            }
        }
        return golden_.prepare(changed);
    }

private:
    int faulty_layer_;
    reference::GoldenPath golden_;
    std::map<int, datasets::LayerCase> changed_;
};

TEST(Route, LegsFollowEachOtherAndCoverTheLayer) {
    reference::GoldenPath golden;
    reference::GoldenPath npu;
    for (const std::string& name : placement_names()) {
        const Placement placement = parse_placement(name);
        const Route route = placed_route(placement, golden, npu);
        int next = static_cast<int>(datasets::layer_ops.first);
        for (const Leg& leg : route.layer) {
            EXPECT_EQ(static_cast<int>(leg.ops.first), next) << name;
            next = static_cast<int>(leg.ops.last) + 1;
            for (const datasets::OpInfo& info : datasets::ops_in(leg.ops)) {
                EXPECT_EQ(leg.path == &npu, placement.contains(info.op)) << name << " " << info.name;
            }
        }
        EXPECT_EQ(next, static_cast<int>(datasets::layer_ops.last) + 1) << name;
        EXPECT_EQ(route.end == &npu, placement.end);
        EXPECT_EQ(route.stem, &golden);
    }
}

// Cutting the layer into legs moves tensors from one path to another and changes nothing else.
TEST(EncoderWalk, GivesTheSameWhateverTheLegs) {
    const EncoderPieces pieces = pieces_of();
    const auto mel = some_mel(pieces.stem->shape);
    reference::GoldenPath golden;
    EncoderWalk whole(pieces, golden_route(golden));
    whole.run(mel);
    for (const std::string& name : placement_names()) {
        reference::GoldenPath other;
        EncoderWalk cut(pieces, placed_route(parse_placement(name), golden, other));
        cut.run(mel);
        const Deviation d = deviation(cut.stream(), whole.stream(), pieces.shape.width());
        EXPECT_LE(d.relative_error, 1e-6) << name;
    }
}

TEST(EncoderWalk, AgainGivesTheSameBits) {
    const EncoderPieces pieces = pieces_of();
    const auto mel = some_mel(pieces.stem->shape);
    reference::GoldenPath golden;
    EncoderWalk walk(pieces, golden_route(golden));
    walk.run(mel);
    const std::vector<float> first = walk.stream();
    std::vector<float> other = mel;
    other[100] += 1;
    walk.run(other);
    EXPECT_NE(walk.stream(), first);
    walk.run(mel);
    EXPECT_EQ(walk.stream(), first);
}

TEST(EncoderWalk, ShowsEveryTensorOnceToWhoeverWantsIt) {
    const EncoderPieces pieces = pieces_of(2);
    reference::GoldenPath golden;
    Counter counter;
    EncoderWalk walk(pieces, golden_route(golden), &counter);
    walk.run(some_mel(pieces.stem->shape));
    const std::int64_t width = pieces.shape.width();
    const std::int64_t rows = pieces.shape.context;
    EXPECT_EQ(counter.elements.size(), 4U + 2 * 14 + 1);
    EXPECT_EQ(counter.elements.at("stem mel"), frames * 80);
    EXPECT_EQ(counter.elements.at("stem conv1"), frames * width);
    EXPECT_EQ(counter.elements.at("stem embedding"), rows * width);
    for (const datasets::OpInfo& info : datasets::ops_in(datasets::layer_ops)) {
        const std::int64_t columns =
            datasets::row_width(info.op, pieces.shape) * (datasets::has_heads(info.op) ? 3 : 1);
        EXPECT_EQ(counter.elements.at("layer 1 " + std::string(info.name)), rows * columns) << info.name;
    }
    EXPECT_EQ(counter.elements.at("end encoder"), rows * width);
}

TEST(EncoderWalk, AFaultShowsFromItsLayerOnAndNotBefore) {
    const EncoderPieces pieces = pieces_of();
    const auto mel = some_mel(pieces.stem->shape);
    reference::GoldenPath golden;
    LoudPath loud(1);
    EncoderWalk right(pieces, golden_route(golden));
    EncoderWalk wrong(pieces, placed_route(parse_placement("attention"), golden, loud));
    right.stem(mel);
    wrong.stem(mel);
    for (int layer = 0; layer < pieces.layers; ++layer) {
        right.layer(layer);
        wrong.layer(layer);
        const Deviation d = deviation(wrong.stream(), right.stream(), pieces.shape.width());
        if (layer < 1) {
            EXPECT_LE(d.relative_error, 1e-6);
        } else {
            EXPECT_GT(d.relative_error, 1e-3);
        }
    }
    // The layer behind the fault, on the golden's stream, is right.
    right.stem(mel);
    right.layer(0);
    right.layer(1);
    wrong.start(right.stream());
    wrong.layer(2);
    right.layer(2);
    EXPECT_LE(deviation(wrong.stream(), right.stream(), pieces.shape.width()).relative_error, 1e-6);
}

TEST(EncoderWalk, RefusesInputOfAnotherSize) {
    const EncoderPieces pieces = pieces_of(1);
    reference::GoldenPath golden;
    EncoderWalk walk(pieces, golden_route(golden));
    EXPECT_THROW(walk.stem(std::vector<float>(7)), std::invalid_argument);
    EXPECT_THROW(walk.start(std::vector<float>(7)), std::invalid_argument);
    EXPECT_THROW(walk.layer(0), std::invalid_argument);
    EncoderPieces stemless = pieces_of(1);
    stemless.stem.reset();
    EncoderWalk headless(stemless, golden_route(golden));
    EXPECT_THROW(headless.stem(some_mel(pieces.stem->shape)), std::logic_error);
}

}  // namespace
}  // namespace harness
