// Stem and end of the golden path: against the fp64 oracle, and against a second implementation in fp64 that
// is written channel by channel, as the published model has it.
#include "reference/golden_stem.hpp"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <numbers>
#include <stdexcept>

#include "reference/golden.hpp"
#include "reference/golden_end_source.hpp"
#include "reference/layers_for_tests.hpp"
#include "reference/oracle.hpp"

namespace reference {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Rows;
using datasets::StemCase;
using datasets::StemShape;

StemCase random_stem(StemShape shape, std::uint32_t seed = 1) {
    StemCase stem;
    stem.shape = shape;
    const std::int64_t width = shape.width();
    const auto conv = [&](std::int64_t inputs, std::uint32_t first) {
        return datasets::Linear{
            random_tensor(width * inputs * 3, 1 / std::sqrt(3.0 * static_cast<double>(inputs)), first),
            random_tensor(width, 1, first + 1)};
    };
    stem.weights.conv1 = conv(shape.mels, seed);
    stem.weights.conv2 = conv(width, seed + 2);
    stem.weights.positions = random_tensor(shape.context() * width, 1, seed + 4);
    return stem;
}

// Whole tensors by op, each [row, columns].
class Tensors final : public datasets::Source, public datasets::Sink {
public:
    Tensors(StemShape shape, std::set<Op> wanted) : shape_(shape), wanted_(std::move(wanted)) {}

    void set(Op op, std::vector<float> values) { tensors_[op] = std::move(values); }
    [[nodiscard]] const std::vector<float>& at(Op op) const { return tensors_.at(op); }
    [[nodiscard]] std::set<Op> asked() const { return asked_; }
    [[nodiscard]] std::int64_t blocks(Op op) const { return blocks_.at(op); }

    void rows(Op op, Rows rows, std::span<float> out) const override {
        const std::scoped_lock lock(*mutex_);
        asked_.insert(op);
        std::copy_n(tensors_.at(op).begin() + rows.begin * datasets::row_width(op, shape_), out.size(),
                    out.begin());
    }
    bool wants(Op op) const override { return wanted_.contains(op); }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        const std::scoped_lock lock(*mutex_);
        const std::int64_t available = datasets::row_count(op, shape_);
        const std::int64_t columns = datasets::row_width(op, shape_);
        ASSERT_TRUE(wants(op));
        ASSERT_EQ(rows, (Rows{-1, rows.begin, std::min(datasets::block_rows, available - rows.begin)}));
        ASSERT_EQ(rows.begin % datasets::block_rows, 0);
        ASSERT_EQ(values.columns, columns);
        std::vector<float>& tensor = tensors_[op];
        tensor.resize(static_cast<std::size_t>(available * columns));
        for (std::int64_t i = 0; i < rows.count; ++i) {
            std::ranges::copy(values.row(i), tensor.begin() + (rows.begin + i) * columns);
        }
        ++blocks_[op];
    }

private:
    StemShape shape_;
    std::set<Op> wanted_;
    std::map<Op, std::vector<float>> tensors_;
    std::map<Op, std::int64_t> blocks_;
    mutable std::set<Op> asked_;
    std::shared_ptr<std::mutex> mutex_ = std::make_shared<std::mutex>();
};

Tensors with_mel(const StemCase& stem, std::set<Op> wanted = ops_of(datasets::stem_ops)) {
    Tensors tensors(stem.shape, std::move(wanted));
    tensors.set(Op::mel, random_tensor(stem.shape.frames * stem.shape.mels, 1, 77));
    return tensors;
}

// x [channel][frame], padded by a zero frame at each side: conv, bias, gelu.
using Channels = std::vector<std::vector<double>>;

Channels plain_convolution(const datasets::Linear& conv, const Channels& x, std::size_t stride) {
    Channels padded = x;
    for (auto& channel : padded) {
        channel.insert(channel.begin(), 0.0);
        channel.push_back(0.0);
    }
    const std::size_t frames = (x.front().size() - 1) / stride + 1;
    Channels result(conv.bias.size(), std::vector<double>(frames));
    for (std::size_t out = 0; out < result.size(); ++out) {
        for (std::size_t t = 0; t < frames; ++t) {
            double sum{conv.bias[out]};
            for (std::size_t in = 0; in < x.size(); ++in) {
                for (std::size_t k = 0; k < 3; ++k) {
                    sum += double{conv.weight[(out * x.size() + in) * 3 + k]} * padded[in][t * stride + k];
                }
            }
            result[out][t] = sum * 0.5 * (1 + std::erf(sum / std::numbers::sqrt2));
        }
    }
    return result;
}

std::vector<double> time_major(const Channels& x) {
    std::vector<double> result;
    for (std::size_t t = 0; t < x.front().size(); ++t) {
        for (const auto& channel : x) {
            result.push_back(channel[t]);
        }
    }
    return result;
}

class StemOfShape : public ::testing::TestWithParam<StemShape> {};

TEST_P(StemOfShape, AgreesWithTheOracleAtEveryOp) {
    const StemCase stem = random_stem(GetParam());
    GoldenPath path;
    const auto golden = path.prepare(stem);
    Tensors tensors = with_mel(stem);
    const auto parts = golden->compute({datasets::stem_ops, -1}, tensors, tensors);
    EXPECT_EQ(tensors.asked(), (std::set<Op>{Op::mel}));
    ASSERT_EQ(parts.size(), 3U);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const Op op = datasets::ops_in(datasets::stem_ops)[i].op;
        EXPECT_EQ(parts[i].ops, (OpRange{op, op}));
        EXPECT_GT(parts[i].seconds, 0);
        const std::int64_t rows = datasets::row_count(op, stem.shape);
        EXPECT_EQ(tensors.blocks(op), (rows + 63) / 64);
        std::vector<double> expected(tensors.at(op).size());
        std::vector<double> magnitude(expected.size());
        oracle_rows(op, {-1, 0, rows}, stem, tensors, expected, magnitude);
        RelativeError error;
        error.add(tensors.at(op), expected);
        EXPECT_LE(error.value(), 2e-6) << datasets::name(op);
    }
}

TEST_P(StemOfShape, AgreesWithAChannelMajorStem) {
    const StemCase stem = random_stem(GetParam());
    Tensors tensors = with_mel(stem);
    GoldenPath().prepare(stem)->compute({datasets::stem_ops, -1}, tensors, tensors);
    Channels mel(std::size_t(stem.shape.mels), std::vector<double>(std::size_t(stem.shape.frames)));
    for (std::size_t i = 0; i < tensors.at(Op::mel).size(); ++i) {
        mel[i % mel.size()][i / mel.size()] = double{tensors.at(Op::mel)[i]};
    }
    const Channels conv1 = plain_convolution(stem.weights.conv1, mel, 1);
    const Channels conv2 = plain_convolution(stem.weights.conv2, conv1, std::size_t(stem.shape.stride));
    std::vector<double> embedding = time_major(conv2);
    for (std::size_t i = 0; i < embedding.size(); ++i) {
        embedding[i] += double{stem.weights.positions[i]};
    }
    for (const auto& [op, expected] : {std::pair{Op::conv1, time_major(conv1)},
                                       {Op::conv2, time_major(conv2)},
                                       {Op::embedding, embedding}}) {
        ASSERT_EQ(tensors.at(op).size(), expected.size());
        RelativeError error;
        error.add(tensors.at(op), expected);
        EXPECT_LE(error.value(), 3e-6) << datasets::name(op);
    }
}

std::string shape_name(const ::testing::TestParamInfo<StemShape>& info) {
    return "mels" + std::to_string(info.param.mels) + "_frames" + std::to_string(info.param.frames) +
           "_stride" + std::to_string(info.param.stride) + "_heads" + std::to_string(info.param.heads);
}

INSTANTIATE_TEST_SUITE_P(Shapes, StemOfShape,
                         ::testing::Values(StemShape{80, 1, 2, 1}, StemShape{80, 2, 2, 1},
                                           StemShape{80, 3, 2, 1}, StemShape{80, 1, 1, 1},
                                           StemShape{3, 127, 2, 2}, StemShape{128, 128, 2, 2},
                                           StemShape{80, 129, 2, 6}, StemShape{80, 130, 1, 2},
                                           StemShape{80, 131, 1, 8}, StemShape{80, 901, 2, 1},
                                           StemShape{80, 450, 1, 1}, StemShape{128, 66, 2, 20}),
                         shape_name);

class StemPromises : public ::testing::Test {
protected:
    // More rows than a task takes, odd, so that the last row of conv2 reads padding.
    const StemCase stem_ = random_stem({80, 901, 2, 2});
    const Tensors whole_ = [this] {
        Tensors tensors = with_mel(stem_);
        GoldenPath().prepare(stem_)->compute({datasets::stem_ops, -1}, tensors, tensors);
        return tensors;
    }();
};

TEST_F(StemPromises, SameBitsWithAnyNumberOfThreads) {
    for (const std::size_t threads : {1U, 2U, 5U}) {
        const tbb::global_control control(tbb::global_control::max_allowed_parallelism, threads);
        Tensors got = with_mel(stem_);
        GoldenPath().prepare(stem_)->compute({datasets::stem_ops, -1}, got, got);
        for (const datasets::OpInfo& info : datasets::ops_in(datasets::stem_ops)) {
            EXPECT_EQ(got.at(info.op), whole_.at(info.op)) << info.name << " with " << threads;
        }
    }
}

TEST_F(StemPromises, EveryRangeAndListenerHasTheBitsOfTheWhole) {
    GoldenPath path;
    const auto golden = path.prepare(stem_);
    for (const OpRange range : {OpRange{Op::conv1, Op::conv1},
                                {Op::conv2, Op::conv2},
                                {Op::embedding, Op::embedding},
                                {Op::conv1, Op::conv2},
                                {Op::conv2, Op::embedding},
                                {Op::conv1, Op::embedding}}) {
        Tensors got(stem_.shape, {range.last});
        for (const Op op : upstream_of(range)) {
            got.set(op, whole_.at(op));
        }
        const auto parts = golden->compute({range, -1}, got, got);
        EXPECT_EQ(got.asked(), upstream_of(range));
        EXPECT_EQ(got.at(range.last), whole_.at(range.last)) << datasets::name(range.last);
        ASSERT_EQ(parts.size(), ops_of(range).size());
        for (const datasets::Part& part : parts) {
            EXPECT_GT(part.seconds, 0);
            EXPECT_EQ(part.clock,
                      part.ops.first == Op::conv1 ? datasets::Clock::host_wall : datasets::Clock::host_share);
        }
        EXPECT_EQ(golden->planned({range, -1}).size(), parts.size());
    }
}

TEST_F(StemPromises, RefusesWhatDoesNotFit) {
    GoldenPath path;
    const auto golden = path.prepare(stem_);
    Tensors tensors = with_mel(stem_);
    EXPECT_THROW(golden->compute({}, tensors, tensors), std::invalid_argument);
    EXPECT_THROW(golden->compute({{Op::mel, Op::conv1}, -1}, tensors, tensors), std::invalid_argument);
    EXPECT_THROW(golden->compute({{Op::conv1, Op::embedding}, 0}, tensors, tensors), std::invalid_argument);
    const auto broken = [&](const auto& breakage) {
        StemCase stem = stem_;
        breakage(stem);
        EXPECT_THROW(path.prepare(stem), std::invalid_argument);
    };
    broken([](StemCase& stem) { stem.weights.conv1.weight.pop_back(); });
    broken([](StemCase& stem) { stem.weights.conv2.bias.pop_back(); });
    broken([](StemCase& stem) { stem.weights.positions.pop_back(); });
    broken([](StemCase& stem) { stem.shape.frames = 0; });
    broken([](StemCase& stem) { stem.shape.stride = 0; });
}

// The end reads rows of `block` and nothing else.
class BlockSource final : public datasets::Source {
public:
    explicit BlockSource(std::vector<float> block, std::int64_t width)
        : block_(std::move(block)), width_(width) {}
    void rows(Op op, Rows rows, std::span<float> out) const override {
        if (op != Op::block) {
            throw std::logic_error("asked for " + std::string(datasets::name(op)));
        }
        std::copy_n(block_.begin() + rows.begin * width_, out.size(), out.begin());
    }

private:
    std::vector<float> block_;
    std::int64_t width_;
};

TEST(GoldenEnd, IsTheNormOfTheLastBlock) {
    for (const std::int64_t context : {1, 64, 65, 250}) {
        const datasets::EndCase end{{context, 6}, {random_tensor(384, 1, 1), random_tensor(384, 1, 2)}};
        GoldenPath path;
        const auto golden = path.prepare(end);
        const BlockSource source(random_tensor(context * 384, 3, 3), 384);
        const datasets::Work work{datasets::end_ops, -1};
        Collector got(end.shape, work, {Op::encoder});
        const auto parts = golden->compute(work, source, got);
        ASSERT_EQ(parts.size(), 1U);
        EXPECT_EQ(parts[0].clock, datasets::Clock::host_share);
        EXPECT_EQ(got.faults(), 0);
        EXPECT_EQ(got.blocks(Op::encoder), end.shape.blocks());
        std::vector<double> expected(got.tensor(Op::encoder).size());
        std::vector<double> magnitude(expected.size());
        oracle_rows(Op::encoder, {-1, 0, context}, end, source, expected, magnitude);
        RelativeError error;
        error.add(got.tensor(Op::encoder), expected);
        EXPECT_LE(error.value(), 5e-8);
        EXPECT_THROW(golden->compute({}, source, got), std::invalid_argument);
    }
    datasets::EndCase broken{{5, 6}, {random_tensor(384, 1, 1), random_tensor(383, 1, 2)}};
    EXPECT_THROW(GoldenPath().prepare(broken), std::invalid_argument);
}

TEST(GoldenEndSource, ServesTheBlockAndWhatThePathMakesOfIt) {
    const datasets::EndCase end{{130, 6}, {random_tensor(384, 1, 1), random_tensor(384, 1, 2)}};
    const std::vector<float> block = random_tensor(130 * 384, 3, 3);
    const GoldenEndSource source(end, block);
    Collector got(end.shape, {datasets::end_ops, -1}, {Op::encoder});
    GoldenPath().prepare(end)->compute({datasets::end_ops, -1}, source, got);
    std::vector<float> rows(66 * 384);
    source.rows(Op::encoder, {-1, 64, 66}, rows);
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), got.tensor(Op::encoder).begin() + 64 * 384));
    source.rows(Op::block, {-1, 64, 66}, rows);
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), block.begin() + 64 * 384));
    EXPECT_THROW(source.rows(Op::fc2, {-1, 64, 66}, rows), std::invalid_argument);
    EXPECT_THROW(source.rows(Op::block, {-1, 65, 66}, rows), std::invalid_argument);
    EXPECT_THROW(source.rows(Op::block, {-1, 64, 65}, rows), std::invalid_argument);
    EXPECT_THROW(GoldenEndSource(end, random_tensor(384, 1, 1)), std::invalid_argument);
}

}  // namespace
}  // namespace reference
