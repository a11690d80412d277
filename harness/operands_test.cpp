// The rule for weights: a product's are operands, a norm's come in the dtype that it stores.
#include "harness/operands.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <span>

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::DType;
using datasets::Op;
using datasets::OpRange;
using datasets::Rounding;

// Has the given steps, all with one arithmetic.
class UniformPath final : public datasets::Path {
public:
    UniformPath(std::vector<OpRange> steps, Arithmetic arithmetic)
        : steps_(std::move(steps)), arithmetic_(arithmetic) {}

    [[nodiscard]] std::string_view name() const override { return "uniform"; }
    [[nodiscard]] std::span<const OpRange> steps() const override { return steps_; }
    [[nodiscard]] bool emits(Op) const override { return true; }
    [[nodiscard]] Arithmetic arithmetic(Op) const override { return arithmetic_; }
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase&) override { return nullptr; }

private:
    std::vector<OpRange> steps_;
    Arithmetic arithmetic_;
};

// Just above the middle between two bf16 numbers, and below it.
constexpr float above = 1.00390637F;
constexpr float below = -1.00390613F;

datasets::LayerCase layer() {
    datasets::LayerCase made;
    made.shape = {1, 1};
    made.weights.attention_norm = {{above, below}, {below, above}};
    made.weights.mlp_norm = made.weights.attention_norm;
    made.weights.attention.query = {{above, below}, {above}};
    made.weights.fc1 = made.weights.fc2 = {{above, below}, {below}};
    return made;
}

const std::vector<OpRange> every_step{{Op::attention_norm, Op::attention_norm},
                                      {Op::query, Op::output},
                                      {Op::mlp_norm, Op::mlp_norm},
                                      {Op::fc1, Op::fc1},
                                      {Op::gelu, Op::gelu},
                                      {Op::fc2, Op::fc2},
                                      {Op::encoder, Op::encoder}};

class TwoNumbers final : public datasets::Source {
public:
    void rows(Op, datasets::Rows, std::span<float> out) const override {
        std::ranges::copy(numbers_, out.begin());
    }
    datasets::RowsView view(Op, datasets::Rows, std::span<float>) const override { return {numbers_}; }

    std::array<float, 2> numbers_{above, below};
};

// What is not rounded is shown where it lies; what is, is a copy, and the source keeps its numbers.
TEST(RoundedSource, ShowsWhatItServes) {
    const TwoNumbers upstream;
    Arithmetic arithmetic;
    arithmetic.operand = DType::f32;
    std::array<float, 2> room{};
    const auto ask = [&] {
        const RoundedSource source(upstream, arithmetic);
        const datasets::RowsView view = source.view(Op::query, {-1, 0, 1}, room);
        std::array<float, 2> copy{};
        source.rows(Op::query, {-1, 0, 1}, copy);
        EXPECT_TRUE(std::ranges::equal(view.values, copy));
        return view.values;
    };
    EXPECT_EQ(ask().data(), upstream.numbers_.data());
    arithmetic.operand = DType::bf16;
    const std::span<const float> rounded = ask();
    EXPECT_EQ(rounded.data(), room.data());
    EXPECT_EQ(rounded[0], 1.0078125F);
    EXPECT_EQ(rounded[1], -1.0F);
    EXPECT_EQ(upstream.numbers_[0], above);
}

TEST(RoundedWeights, OfProductsAreOperands) {
    Arithmetic arithmetic;
    arithmetic.operand = DType::bf16;
    const UniformPath nearest(every_step, arithmetic);
    arithmetic.operand_rounding = Rounding::toward_zero;
    const UniformPath truncating(every_step, arithmetic);
    for (const auto part : {&datasets::BlockWeights::fc1, &datasets::BlockWeights::fc2}) {
        const datasets::Linear near = rounded_weights(layer(), nearest).weights.*part;
        EXPECT_EQ(near.weight, (std::vector{1.0078125F, -1.0F}));
        EXPECT_EQ(near.bias, (std::vector{-1.0F}));
        const datasets::Linear cut = rounded_weights(layer(), truncating).weights.*part;
        EXPECT_EQ(cut.weight, (std::vector{1.0F, -1.0F}));
    }
    EXPECT_EQ(rounded_weights(layer(), nearest).weights.attention.query.bias, (std::vector{1.0078125F}));
}

TEST(RoundedWeights, OfNormsComeInTheDtypeOfTheStore) {
    Arithmetic arithmetic;
    arithmetic.store = DType::bf16;
    // Of the store, not of the weights.
    arithmetic.store_rounding = Rounding::floor;
    const UniformPath device(every_step, arithmetic);
    const std::vector gain{1.0078125F, -1.0F};
    const std::vector bias{-1.0F, 1.0078125F};
    const datasets::LayerCase rounded = rounded_weights(layer(), device);
    EXPECT_EQ(rounded.weights.attention_norm.gain, gain);
    EXPECT_EQ(rounded.weights.mlp_norm.bias, bias);
    EXPECT_EQ(rounded.weights.fc1.weight, layer().weights.fc1.weight) << "operands are fp32";
    const datasets::EndCase end{{1, 1}, layer().weights.mlp_norm};
    EXPECT_EQ(rounded_weights(end, device).norm.gain, gain);
    EXPECT_EQ(rounded_weights(end, device).norm.bias, bias);
    const UniformPath host(every_step, {});
    EXPECT_EQ(rounded_weights(layer(), host).weights.mlp_norm.gain, layer().weights.mlp_norm.gain);
}

TEST(RoundedWeights, AreEmptyWhereThePathHasNoSuchOpOrTheLayerNoWeights) {
    Arithmetic arithmetic;
    arithmetic.operand = DType::bf16;
    const UniformPath attention({{Op::query, Op::query}}, arithmetic);
    const datasets::LayerCase rounded = rounded_weights(layer(), attention);
    EXPECT_FALSE(rounded.weights.attention.query.weight.empty());
    EXPECT_TRUE(rounded.weights.attention_norm.gain.empty());
    EXPECT_TRUE(rounded.weights.fc1.weight.empty());
    EXPECT_TRUE(rounded.weights.fc2.bias.empty());
    const UniformPath all(every_step, arithmetic);
    EXPECT_TRUE(rounded_weights(datasets::LayerCase{}, all).weights.mlp_norm.gain.empty());
    EXPECT_TRUE(rounded_weights(datasets::LayerCase{}, all).weights.fc1.weight.empty());
}

}  // namespace
}  // namespace harness
