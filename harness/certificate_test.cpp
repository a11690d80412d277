// Nothing is judged by a golden that is wrong, or by a recording that is not what the weights give.
#include "harness/certificate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "datasets/bf16.hpp"
#include "datasets/random_weights.hpp"
#include "datasets/synthetic.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden.hpp"
#include "reference/golden_end_source.hpp"

namespace harness {
namespace {

using datasets::Op;
using testing::HasSubstr;

TEST(Certificate, SamplesAtLeast64RowsAndTheEdges) {
    for (const std::int64_t context : {1, 2, 63, 64, 65, 127, 1500, 3001}) {
        const auto rows = certified_rows(context, 1);
        EXPECT_GE(std::int64_t(rows.size()), std::min<std::int64_t>(64, context)) << context;
        EXPECT_EQ(rows.front(), 0);
        EXPECT_EQ(rows.back(), context - 1);
        EXPECT_TRUE(std::ranges::is_sorted(rows));
        EXPECT_EQ(std::ranges::adjacent_find(rows), rows.end());
    }
    EXPECT_NE(certified_rows(1500, 1), certified_rows(1500, 2));
}

// The golden stem over a mel spectrogram of waves.
class Stem final : public datasets::Source, private datasets::Sink {
public:
    // The golden has the weights of `computed`.
    explicit Stem(const datasets::StemCase& computed) : shape_(computed.shape) {
        for (const Op op : {Op::mel, Op::conv1, Op::conv2, Op::embedding}) {
            tensors_[op].resize(
                std::size_t(datasets::row_count(op, shape_) * datasets::row_width(op, shape_)));
        }
        std::vector<float>& mel = tensors_.at(Op::mel);
        for (std::size_t i = 0; i < mel.size(); ++i) {
            mel[i] = 1.2F * static_cast<float>(std::sin(0.37 * double(i) + 1e-4 * double(i) * double(i)));
        }
        reference::GoldenPath golden;
        golden.prepare(computed)->compute({datasets::stem_ops, -1}, *this, *this);
    }

    void rows(Op op, datasets::Rows rows, std::span<float> out) const override {
        const auto begin = tensors_.at(op).begin() + rows.begin * datasets::row_width(op, shape_);
        std::copy_n(begin, out.size(), out.begin());
    }

    std::map<Op, std::vector<float>>& tensors() { return tensors_; }

private:
    bool wants(Op) const override { return true; }
    void accept(Op op, datasets::Rows rows, const datasets::TensorView& values) override {
        for (std::int64_t i = 0; i < rows.count; ++i) {
            std::ranges::copy(values.row(i),
                              tensors_.at(op).begin() + (rows.begin + i) * datasets::row_width(op, shape_));
        }
    }

    datasets::StemShape shape_;
    std::map<Op, std::vector<float>> tensors_;
};

datasets::StemCase stem_case(std::int64_t frames, std::int64_t stride) {
    auto weights = datasets::random_weights({.name = "small", .mels = 80, .heads = 3, .layers = 1}, 5);
    datasets::StemCase stem{{80, frames, stride, 3}, std::move(weights.stem)};
    stem.weights.positions.resize(std::size_t(stem.shape.context() * stem.shape.width()));
    return stem;
}

// The kernel of a convolution back to front.
void reverse_taps(datasets::Linear& convolution) {
    for (std::size_t i = 0; i + 2 < convolution.weight.size(); i += 3) {
        std::swap(convolution.weight[i], convolution.weight[i + 2]);
    }
}

TEST(CertificateOfTheStem, HoldsForTheGoldenAtEveryShape) {
    for (const std::int64_t stride : {1, 2}) {
        for (const std::int64_t frames : {1, 2, 64, 129, 300}) {
            const datasets::StemCase stem = stem_case(frames, stride);
            const Certificate certificate = certify(stem, Stem(stem), 1);
            EXPECT_EQ(certificate.fault, "") << frames << " " << stride;
            ASSERT_EQ(certificate.oracle_error.size(), 3U);
            for (const auto& [op, error] : certificate.oracle_error) {
                EXPECT_LT(error, 1e-6) << datasets::name(op);
            }
            EXPECT_GT(certificate.oracle_error.at(Op::conv1), 0) << "an oracle is no copy of the golden";
        }
    }
}

TEST(CertificateOfTheStem, SeesTapsReversed) {
    const datasets::StemCase stem = stem_case(141, 2);
    datasets::StemCase reversed = stem;
    reverse_taps(reversed.weights.conv1);
    EXPECT_THAT(certify(stem, Stem(reversed), 1).fault,
                HasSubstr("golden conv1 differs from the fp64 oracle"));
    reversed = stem;
    reverse_taps(reversed.weights.conv2);
    EXPECT_THAT(certify(stem, Stem(reversed), 1).fault,
                HasSubstr("golden conv2 differs from the fp64 oracle"));
}

TEST(CertificateOfTheStem, SeesPositionsAndAFrameOutOfPlace) {
    const datasets::StemCase stem = stem_case(141, 2);
    Stem shifted(stem);
    std::vector<float>& embedding = shifted.tensors().at(Op::embedding);
    std::rotate(embedding.begin(), embedding.begin() + stem.shape.width(), embedding.end());
    EXPECT_THAT(certify(stem, shifted, 1).fault, HasSubstr("golden embedding differs"));
    Stem nan(stem);
    nan.tensors().at(Op::conv2).front() = std::nanf("");
    EXPECT_THAT(certify(stem, nan, 1).fault, HasSubstr("golden conv2 differs"));
}

// A hard layer as a recording of a whole encoder holds it.
datasets::LayerCase recorded_layer() {
    datasets::SyntheticModel model;
    model.shape.context = 130;
    const auto stream = datasets::synthetic_embedding(model);
    auto layer = reference::make_case(datasets::synthetic_block(model, 0), model.shape, stream, "clip", 0);
    layer.stream = stream;
    return layer;
}

void round_to_bf16(std::vector<float>& values) {
    for (float& value : values) {
        value = datasets::round_to_bf16(value, datasets::Rounding::nearest_even);
    }
}

// What is left of a layer in a bf16 recording.
datasets::LayerCase rounded(datasets::LayerCase layer) {
    datasets::BlockWeights& weights = layer.weights;
    for (datasets::Norm* norm : {&weights.attention_norm, &weights.mlp_norm}) {
        round_to_bf16(norm->gain);
        round_to_bf16(norm->bias);
    }
    for (datasets::Linear* linear :
         {&weights.attention.query, &weights.attention.key, &weights.attention.value,
          &weights.attention.output, &weights.fc1, &weights.fc2}) {
        round_to_bf16(linear->weight);
        round_to_bf16(linear->bias);
    }
    for (auto* tensor : {&layer.input, &layer.stream, &layer.row_max, &layer.row_log_sum_exp}) {
        round_to_bf16(*tensor);
    }
    for (auto& [op, tensor] : layer.recorded) {
        round_to_bf16(tensor);
    }
    layer.stored = datasets::DType::bf16;
    return layer;
}

std::string fault_of(const datasets::LayerCase& layer) {
    return certify(layer, reference::GoldenSource(layer), datasets::attention_ops, 1).fault;
}

TEST(CertificateOfALayer, HoldsTheRecordedInputToItsStream) {
    datasets::LayerCase layer = recorded_layer();
    const auto certificate = certify(layer, reference::GoldenSource(layer), datasets::attention_ops, 1);
    EXPECT_EQ(certificate.fault, "");
    EXPECT_LT(certificate.recording_error.at(Op::attention_norm), 1e-6);
    for (float& value : layer.input) {
        value += 0.01F;
    }
    EXPECT_THAT(fault_of(layer), HasSubstr("golden attention_norm differs from the recording"));
}

TEST(CertificateOfALayer, AllowsABf16RecordingItsRoundingAndNoMore) {
    const datasets::LayerCase layer = rounded(recorded_layer());
    EXPECT_EQ(fault_of(layer), "");
    datasets::LayerCase claims_f32 = layer;
    claims_f32.stored = datasets::DType::f32;
    EXPECT_THAT(fault_of(claims_f32), HasSubstr("differs from the recording"));

    datasets::LayerCase other = layer;
    datasets::SyntheticModel model;
    model.shape = layer.shape;
    other.weights.attention = datasets::synthetic_block(model, 1).attention;
    EXPECT_THAT(fault_of(other), HasSubstr("golden query differs from the recording"));
}

TEST(CertificateOfALayer, MistrustsADamagedTensorOfABf16Recording) {
    const datasets::LayerCase layer = rounded(recorded_layer());
    for (const auto& [op, tensor] : layer.recorded) {
        datasets::LayerCase damaged = layer;
        for (float& value : damaged.recorded.at(op)) {
            value *= 1.1F;
        }
        EXPECT_THAT(fault_of(damaged), HasSubstr("golden " + std::string(datasets::name(op)) + " differs"));
    }
    datasets::LayerCase damaged = layer;
    damaged.row_max.front() = std::nanf("");
    EXPECT_THAT(fault_of(damaged), HasSubstr("golden row maximum differs"));
}

TEST(CertificateOfTheEnd, HoldsTheRecordedOutputToItsBlock) {
    datasets::LayerCase layer = recorded_layer();
    datasets::EndCase end{.shape = layer.shape, .norm = layer.weights.mlp_norm};
    const reference::GoldenEndSource golden(end, layer.stream);
    EXPECT_TRUE(certify(end, golden, 1).recording_error.empty());
    end.recorded.resize(layer.stream.size());
    golden.rows(Op::encoder, {-1, 0, layer.shape.context}, end.recorded);
    EXPECT_EQ(certify(end, golden, 1).fault, "");
    round_to_bf16(end.recorded);
    EXPECT_THAT(certify(end, golden, 1).fault, HasSubstr("golden encoder differs from the recording"));
    end.stored = datasets::DType::bf16;
    EXPECT_EQ(certify(end, golden, 1).fault, "");
    for (float& value : end.recorded) {
        value *= 3;
    }
    EXPECT_THAT(certify(end, golden, 1).fault, HasSubstr("golden encoder differs from the recording"));
}

}  // namespace
}  // namespace harness
