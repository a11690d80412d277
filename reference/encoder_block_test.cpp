#include "reference/encoder_block.hpp"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <numbers>
#include <stdexcept>

#include "reference/layers_for_tests.hpp"

namespace reference {
namespace {

using datasets::Op;

datasets::BlockWeights random_block(datasets::LayerShape shape, std::uint32_t seed = 50) {
    const std::int64_t width = shape.width();
    const std::int64_t hidden = shape.mlp_width();
    datasets::BlockWeights block;
    const auto norm = [&](std::uint32_t first) {
        return datasets::Norm{random_tensor(width, 0.7, first), random_tensor(width, 0.4, first + 1)};
    };
    block.attention_norm = norm(seed);
    block.mlp_norm = norm(seed + 2);
    block.attention = random_layer({1, shape.heads}, Logits::benign, seed + 4).weights.attention;
    const double deviation = 1 / std::sqrt(static_cast<double>(width));
    block.fc1 = {random_tensor(hidden * width, deviation, seed + 20), random_tensor(hidden, 1, seed + 21)};
    block.fc2 = {random_tensor(width * hidden, deviation / 2, seed + 22), random_tensor(width, 1, seed + 23)};
    return block;
}

// An encoder block in fp64, straight from its definition, for a whole residual stream.
class PlainBlock {
public:
    using Tensor = std::vector<std::vector<double>>;

    explicit PlainBlock(const datasets::BlockWeights& weights) : weights_(weights) {}

    [[nodiscard]] Tensor run(Tensor x) const {
        const auto& [query, key, value, output] = weights_.attention;
        const Tensor normal = norm(weights_.attention_norm, x);
        add(x, linear(output, attention(linear(query, normal), linear(key, normal), linear(value, normal))));
        Tensor hidden = linear(weights_.fc1, norm(weights_.mlp_norm, x));
        for (auto& row : hidden) {
            for (double& element : row) {
                element *= 0.5 * (1 + std::erf(element / std::numbers::sqrt2));
            }
        }
        add(x, linear(weights_.fc2, hidden));
        return x;
    }

    static Tensor norm(const datasets::Norm& norm, const Tensor& x) {
        Tensor result = x;
        for (auto& row : result) {
            double mean = 0;
            double square = 0;
            for (const double element : row) {
                mean += element / static_cast<double>(row.size());
                square += element * element / static_cast<double>(row.size());
            }
            for (std::size_t j = 0; j < row.size(); ++j) {
                row[j] = (row[j] - mean) / std::sqrt(square - mean * mean + 1e-5) * double{norm.gain[j]} +
                         double{norm.bias[j]};
            }
        }
        return result;
    }

private:
    static void add(Tensor& to, const Tensor& what) {
        for (std::size_t i = 0; i < to.size(); ++i) {
            for (std::size_t j = 0; j < to[i].size(); ++j) {
                to[i][j] += what[i][j];
            }
        }
    }

    static Tensor linear(const datasets::Linear& linear, const Tensor& x) {
        const std::size_t inputs = x.front().size();
        const std::size_t outputs = linear.weight.size() / inputs;
        Tensor result(x.size(), std::vector<double>(outputs));
        for (std::size_t i = 0; i < x.size(); ++i) {
            for (std::size_t j = 0; j < outputs; ++j) {
                double sum = linear.bias.empty() ? 0.0 : double{linear.bias[j]};
                for (std::size_t k = 0; k < inputs; ++k) {
                    sum += x[i][k] * double{linear.weight[j * inputs + k]};
                }
                result[i][j] = sum;
            }
        }
        return result;
    }

    static Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value) {
        Tensor context(query.size(), std::vector<double>(query.front().size()));
        for (std::size_t head = 0; head < query.front().size(); head += 64) {
            for (std::size_t i = 0; i < query.size(); ++i) {
                std::vector<double> weight(key.size());
                double total = 0;
                for (std::size_t t = 0; t < key.size(); ++t) {
                    for (std::size_t c = head; c < head + 64; ++c) {
                        weight[t] += query[i][c] * key[t][c];
                    }
                    weight[t] = std::exp(weight[t] / std::sqrt(64.0));
                    total += weight[t];
                }
                for (std::size_t t = 0; t < key.size(); ++t) {
                    for (std::size_t c = head; c < head + 64; ++c) {
                        context[i][c] += weight[t] / total * value[t][c];
                    }
                }
            }
        }
        return context;
    }

    const datasets::BlockWeights& weights_;
};

PlainBlock::Tensor widen(const std::vector<float>& tensor, std::int64_t width) {
    PlainBlock::Tensor rows;
    for (auto row = tensor.begin(); row != tensor.end(); row += width) {
        rows.emplace_back(row, row + width);
    }
    return rows;
}

std::vector<double> flatten(const PlainBlock::Tensor& rows) {
    std::vector<double> flat;
    for (const auto& row : rows) {
        flat.insert(flat.end(), row.begin(), row.end());
    }
    return flat;
}

class EncoderBlock : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(EncoderBlock, AgreesWithAPlainFp64Block) {
    const datasets::LayerShape shape{GetParam(), 2};
    const datasets::BlockWeights block = random_block(shape);
    std::vector<float> residual = random_tensor(shape.context * shape.width(), 2, 3);
    const PlainBlock plain(block);
    const PlainBlock::Tensor before = widen(residual, shape.width());
    const datasets::LayerCase layer = make_case(block, shape, residual, "clip", 4);
    EXPECT_EQ(layer.clip, "clip");
    EXPECT_EQ(layer.layer, 4);
    EXPECT_EQ(layer.shape, shape);
    EXPECT_EQ(layer.recorded.size(), 5U);
    EXPECT_EQ(layer.row_max.size(), std::size_t(2 * shape.context));
    EXPECT_EQ(layer.row_log_sum_exp.size(), std::size_t(2 * shape.context));
    RelativeError norm_error;
    norm_error.add(layer.input, flatten(PlainBlock::norm(block.attention_norm, before)));
    EXPECT_LE(norm_error.value(), 1e-6);
    advance(block, layer, residual);
    RelativeError error;
    error.add(residual, flatten(plain.run(before)));
    EXPECT_LE(error.value(), 2e-6);
}

INSTANTIATE_TEST_SUITE_P(Contexts, EncoderBlock, ::testing::Values(1, 64, 127, 200));

TEST(EncoderBlockPromises, SameBitsWithAnyNumberOfThreads) {
    const datasets::LayerShape shape{450, 2};
    const datasets::BlockWeights block = random_block(shape);
    const std::vector<float> start = random_tensor(shape.context * shape.width(), 2, 3);
    std::vector<std::vector<float>> results;
    for (const std::size_t threads : {1U, 2U, 5U}) {
        const tbb::global_control control(tbb::global_control::max_allowed_parallelism, threads);
        std::vector<float> residual = start;
        const datasets::LayerCase layer = make_case(block, shape, residual, "clip", 0);
        advance(block, layer, residual);
        results.push_back(residual);
        results.push_back(layer.row_log_sum_exp);
    }
    EXPECT_EQ(results[0], results[2]);
    EXPECT_EQ(results[0], results[4]);
    EXPECT_EQ(results[1], results[3]);
    EXPECT_EQ(results[1], results[5]);
}

// Closed forms: a row of +-a has mean 0 and variance a^2; a constant row becomes the bias, because of eps.
TEST(LayerNorm, ClosedForms) {
    const datasets::Norm norm{{2, 2, 3, 3}, {10, 20, 30, 40}};
    const std::vector<float> x{5, -5, 5, -5, 7, 7, 7, 7, 1e-3F, -1e-3F, 1e-3F, -1e-3F};
    std::vector<float> result(x.size());
    layer_norm(norm, dense(x.data(), 3, 4), dense(result.data(), 3, 4));
    const double large = 5 / std::sqrt(25 + 1e-5);
    const double small = 1e-3 / std::sqrt(1e-6 + 1e-5);
    const std::vector<double> expected{
        10 + 2 * large, 20 - 2 * large, 30 + 3 * large, 40 - 3 * large, 10, 20, 30, 40,
        10 + 2 * small, 20 - 2 * small, 30 + 3 * small, 40 - 3 * small};
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_FLOAT_EQ(result[i], static_cast<float>(expected[i])) << i;
    }
}

// A large common offset, as massive channels and residuals have it, must not eat the variance.
TEST(LayerNorm, SurvivesALargeMean) {
    const datasets::Norm norm{std::vector<float>(4, 1.0F), std::vector<float>(4, 0.0F)};
    std::vector<float> x{4096.5F, 4095.5F, 4096.5F, 4095.5F};
    layer_norm(norm, dense(x.data(), 1, 4), dense(x.data(), 1, 4));
    const auto expected = static_cast<float>(0.5 / std::sqrt(0.25 + 1e-5));
    EXPECT_FLOAT_EQ(x[0], expected);
    EXPECT_FLOAT_EQ(x[3], -expected);
}

TEST(Gelu, IsTheErfFormInBothTails) {
    std::vector<float> x;
    for (float value = -12; value <= 12; value += 0.01F) {
        x.push_back(value);
    }
    std::vector<float> got = x;
    gelu(got);
    for (std::size_t i = 0; i < x.size(); ++i) {
        // The tail of the normal distribution in extended precision.
        const long double wide = x[i];
        const auto expected =
            static_cast<double>(wide * 0.5L * erfcl(-wide / std::numbers::sqrt2_v<long double>));
        ASSERT_NEAR(double{got[i]}, expected, 1e-7 * std::abs(expected)) << x[i];
    }
    std::vector<float> known{0.0F, 1.0F, -3.0F};
    gelu(known);
    EXPECT_EQ(known[0], 0.0F);
    EXPECT_NEAR(known[1], 0.8413447F, 1e-7F);
    // The tanh form has -0.0036374 here.
    EXPECT_NEAR(known[2], -0.0040497F, 1e-7F);
}

TEST(EncoderBlockPromises, RefusesWhatDoesNotFit) {
    const datasets::LayerShape shape{10, 1};
    datasets::BlockWeights block = random_block(shape);
    std::vector<float> residual(640, 1.0F);
    std::vector<float> other(639, 1.0F);
    datasets::LayerCase layer = make_case(block, shape, residual, "clip", 0);
    EXPECT_THROW(make_case(block, shape, other, "clip", 0), std::invalid_argument);
    EXPECT_THROW(advance(block, layer, other), std::invalid_argument);
    block.fc1.bias.pop_back();
    EXPECT_THROW(advance(block, layer, residual), std::invalid_argument);
    block = random_block(shape);
    layer.recorded.erase(Op::output);
    EXPECT_THROW(advance(block, layer, residual), std::invalid_argument);
}

}  // namespace
}  // namespace reference
