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

INSTANTIATE_TEST_SUITE_P(Contexts, EncoderBlock, ::testing::Values(1, 64, 127, 200),
                         ::testing::PrintToStringParamName());

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
