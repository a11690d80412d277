#include "reference/wide.hpp"

#include <gtest/gtest.h>
#include <tbb/parallel_for.h>

#include <atomic>
#include <cmath>
#include <map>
#include <stdexcept>

#include "reference/golden_source.hpp"
#include "reference/layers_for_tests.hpp"
#include "reference/oracle.hpp"

namespace reference {
namespace {

using datasets::Op;
using datasets::Rows;

class WideAgainstOracle : public ::testing::TestWithParam<std::int64_t> {};

// Element by element, relative to the magnitude: 1e-12 for the value, fp32 for the magnitude itself.
TEST_P(WideAgainstOracle, EveryOpEveryElement) {
    const datasets::LayerCase layer = random_layer({GetParam(), 6}, Logits::hard);
    const GoldenSource source(layer);
    const WideReference wide(layer, source);
    for (const datasets::OpInfo& info : datasets::ops_in(datasets::attention_ops)) {
        for (int head = -1; head < layer.shape.heads; ++head) {
            const bool square = info.form == datasets::Form::square;
            if ((head < 0 && square) || (head >= 0 && !datasets::has_heads(info.op))) {
                continue;
            }
            const std::int64_t begin = GetParam() > 64 ? 64 : 0;
            const Rows rows{head, begin, std::min<std::int64_t>(64, GetParam() - begin)};
            const std::int64_t columns =
                head < 0 ? layer.shape.width() : datasets::row_width(info.op, layer.shape);
            const auto size = static_cast<std::size_t>(rows.count * columns);
            std::vector<double> value(size);
            std::vector<double> expected(size);
            std::vector<float> magnitude(size);
            std::vector<double> expected_magnitude(size);
            wide.rows(info.op, rows, value, magnitude);
            oracle_rows(info.op, rows, layer, source, expected, expected_magnitude);
            for (std::size_t i = 0; i < size; ++i) {
                const double scale = info.op == Op::probabilities ? expected[i] : expected_magnitude[i];
                ASSERT_NEAR(value[i], expected[i], 1e-12 * scale) << info.name << " head " << head;
                ASSERT_NEAR(static_cast<double>(magnitude[i]), expected_magnitude[i],
                            1e-5 * expected_magnitude[i])
                    << info.name << " head " << head;
            }
            std::vector<double> alone(size);
            wide.rows(info.op, rows, alone, {});
            EXPECT_EQ(alone, value) << info.name;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Contexts, WideAgainstOracle, ::testing::Values(1, 65, 250),
                         ::testing::PrintToStringParamName());

// A piece of the encoder whose upstream is random: residual streams of far-off mean and one massive channel.
class RandomPiece final : public datasets::Source {
public:
    explicit RandomPiece(datasets::LayerShape shape) {
        const std::int64_t width = shape.width();
        const std::int64_t hidden = shape.mlp_width();
        layer.shape = end.shape = shape;
        const auto norm = [&](std::uint32_t seed) {
            return datasets::Norm{random_tensor(width, 1, seed), random_tensor(width, 1, seed + 1)};
        };
        layer.weights.attention_norm = norm(20);
        layer.weights.mlp_norm = norm(22);
        end.norm = norm(24);
        layer.weights.fc1 = {random_tensor(hidden * width, 0.1, 30), random_tensor(hidden, 1, 31)};
        layer.weights.fc2 = {random_tensor(width * hidden, 0.1, 32), random_tensor(width, 1, 33)};
        for (const Op op :
             {Op::embedding, Op::attention_residual, Op::mlp_norm, Op::fc1, Op::gelu, Op::block}) {
            tensors_[op] = random_tensor(shape.context * datasets::row_width(op, shape), 3,
                                         40 + static_cast<std::uint32_t>(op));
        }
        for (const Op op : {Op::embedding, Op::attention_residual, Op::block}) {
            for (std::int64_t row = 0; row < shape.context; ++row) {
                for (std::int64_t j = 0; j < width; ++j) {
                    tensors_[op][static_cast<std::size_t>(row * width + j)] += 20;
                }
                tensors_[op][static_cast<std::size_t>(row * width + 7)] = -300;
            }
        }
    }

    void rows(Op op, Rows rows, std::span<float> out) const override {
        const std::int64_t width = datasets::row_width(op, layer.shape);
        std::copy_n(tensors_.at(op).begin() + rows.begin * width, rows.count * width, out.begin());
    }
    [[nodiscard]] std::span<const float> row(Op op, std::int64_t index) const {
        const auto width = static_cast<std::size_t>(datasets::row_width(op, layer.shape));
        return std::span(tensors_.at(op)).subspan(static_cast<std::size_t>(index) * width, width);
    }

    datasets::LayerCase layer;
    datasets::EndCase end;

private:
    std::map<Op, std::vector<float>> tensors_;
};

// Value and magnitude of one row, straight from the formulas, in long double.
struct PlainRow {
    std::vector<long double> value, magnitude;
};

PlainRow plain_norm(const datasets::Norm& norm, std::span<const float> x) {
    PlainRow out;
    long double mean = 0;
    for (const float element : x) {
        mean += element;
    }
    mean /= static_cast<long double>(x.size());
    long double variance = 0;
    for (const float element : x) {
        variance += (element - mean) * (element - mean);
    }
    variance /= static_cast<long double>(x.size());
    for (std::size_t j = 0; j < x.size(); ++j) {
        const long double scaled = (x[j] - mean) / sqrtl(variance + 1e-5L) * norm.gain[j];
        out.value.push_back(scaled + norm.bias[j]);
        out.magnitude.push_back(fabsl(scaled) + std::abs(norm.bias[j]));
    }
    return out;
}

PlainRow plain_product(const datasets::Linear& linear, std::span<const float> x) {
    PlainRow out;
    for (std::size_t j = 0; j < linear.bias.size(); ++j) {
        long double sum = linear.bias[j];
        long double magnitude = std::abs(linear.bias[j]);
        for (std::size_t k = 0; k < x.size(); ++k) {
            const long double product = static_cast<long double>(x[k]) * linear.weight[j * x.size() + k];
            sum += product;
            magnitude += fabsl(product);
        }
        out.value.push_back(sum);
        out.magnitude.push_back(magnitude);
    }
    return out;
}

PlainRow plain_gelu(std::span<const float> x) {
    PlainRow out;
    for (const float element : x) {
        const long double wide = element;
        out.value.push_back(0.5L * wide * erfcl(-wide / sqrtl(2.0L)));
        out.magnitude.push_back(fabsl(out.value.back()));
    }
    return out;
}

PlainRow plain_row(const RandomPiece& piece, Op op, std::int64_t row) {
    const std::span<const float> x = piece.row(datasets::info(op).inputs.front(), row);
    const datasets::BlockWeights& weights = piece.layer.weights;
    switch (op) {
        case Op::attention_norm:
            return plain_norm(weights.attention_norm, x);
        case Op::mlp_norm:
            return plain_norm(weights.mlp_norm, x);
        case Op::fc1:
            return plain_product(weights.fc1, x);
        case Op::gelu:
            return plain_gelu(x);
        case Op::fc2:
            return plain_product(weights.fc2, x);
        default:
            return plain_norm(piece.end.norm, x);
    }
}

TEST_P(WideAgainstOracle, NormsAndMlpAgreeWithPlainLoops) {
    const RandomPiece piece({GetParam(), 3});
    const WideReference of_layer(piece.layer, piece);
    const WideReference of_end(piece.end, piece);
    for (const Op op : {Op::attention_norm, Op::mlp_norm, Op::fc1, Op::gelu, Op::fc2, Op::encoder}) {
        const std::int64_t begin = GetParam() > 64 ? 64 : 0;
        const Rows rows{-1, begin, std::min<std::int64_t>(64, GetParam() - begin)};
        const auto width = static_cast<std::size_t>(datasets::row_width(op, piece.layer.shape));
        std::vector<double> value(static_cast<std::size_t>(rows.count) * width);
        std::vector<float> magnitude(value.size());
        const WideReference& wide = op == Op::encoder ? of_end : of_layer;
        wide.rows(op, rows, value, magnitude);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const PlainRow expected = plain_row(piece, op, begin + row);
            ASSERT_EQ(expected.value.size(), width);
            for (std::size_t j = 0; j < width; ++j) {
                const std::size_t i = static_cast<std::size_t>(row) * width + j;
                const auto scale = static_cast<double>(expected.magnitude[j]);
                ASSERT_NEAR(value[i], static_cast<double>(expected.value[j]), 1e-12 * scale)
                    << datasets::name(op) << " " << row << " " << j;
                ASSERT_NEAR(double{magnitude[i]}, scale, 1e-5 * scale) << datasets::name(op);
            }
        }
        std::vector<double> alone(value.size());
        wide.rows(op, rows, alone, {});
        EXPECT_EQ(alone, value) << datasets::name(op);
    }
}

// Sums over k tiles of one element, whose terms and start are given.
struct PlainTiles {
    double partial_sums = 0;
    double products = 0;

    PlainTiles(std::int64_t terms, std::int64_t tile, double start, const auto& term) {
        double sum = start;
        for (std::int64_t begin = 0; begin < terms; begin += tile) {
            double product = 0;
            for (std::int64_t k = begin; k < std::min(terms, begin + tile); ++k) {
                product += term(k);
            }
            sum += product;
            products += std::abs(product);
            partial_sums += begin + tile < terms ? std::abs(sum) : 0.0;
        }
    }
};

TEST_P(WideAgainstOracle, TilesOfSumsAgreeWithPlainLoops) {
    const datasets::LayerCase layer = random_layer({GetParam(), 3}, Logits::hard);
    const GoldenSource source(layer);
    const WideReference wide(layer, source);
    constexpr std::int64_t tile = 48;
    const Rows rows{1, 0, std::min<std::int64_t>(3, GetParam())};
    const std::int64_t keys = GetParam();
    const std::int64_t width = layer.shape.width();
    const auto pulled = [&](Op op, Rows which, std::int64_t columns) {
        std::vector<float> out(static_cast<std::size_t>(which.count * columns));
        source.rows(op, which, out);
        return out;
    };
    const auto at = [](const std::vector<float>& tensor, std::int64_t i) {
        return double{tensor[static_cast<std::size_t>(i)]};
    };
    const auto x = pulled(Op::attention_norm, {-1, 0, rows.count}, width);
    const auto q = pulled(Op::query, rows, 64);
    const auto k = pulled(Op::key, {1, 0, keys}, 64);
    const auto p = pulled(Op::probabilities, rows, keys);
    const auto v = pulled(Op::value, {1, 0, keys}, 64);
    const datasets::Linear& linear = layer.weights.attention.query;
    for (const Op op : {Op::query, Op::scores, Op::context}) {
        const std::int64_t columns = op == Op::scores ? keys : 64;
        const auto size = static_cast<std::size_t>(rows.count * columns);
        std::vector<double> value(size);
        std::vector<double> sums(size);
        std::vector<double> products(size);
        wide.rows(op, rows, value, {}, {tile, KTiles::Of::partial_sums, sums});
        std::vector<double> again(size);
        wide.rows(op, rows, again, {}, {tile, KTiles::Of::products, products});
        std::vector<double> whole(size);
        wide.rows(op, rows, whole, {});
        for (std::int64_t row = 0; row < rows.count; ++row) {
            for (std::int64_t c = 0; c < columns; ++c) {
                const std::int64_t terms = op == Op::query ? width : op == Op::scores ? 64 : keys;
                const double start = op == Op::query ? at(linear.bias, 64 + c) : 0.0;
                const PlainTiles plain(terms, tile, start, [&](std::int64_t t) {
                    return op == Op::query ? at(x, row * width + t) * at(linear.weight, (64 + c) * width + t)
                           : op == Op::scores ? at(q, row * 64 + t) * at(k, c * 64 + t) / 8
                                              : at(p, row * keys + t) * at(v, t * 64 + c);
                });
                const auto i = static_cast<std::size_t>(row * columns + c);
                ASSERT_NEAR(sums[i], plain.partial_sums, 1e-9)
                    << datasets::name(op) << " " << row << " " << c;
                ASSERT_NEAR(products[i], plain.products, 1e-9)
                    << datasets::name(op) << " " << row << " " << c;
                ASSERT_NEAR(value[i], whole[i], 1e-9);
                ASSERT_NEAR(again[i], whole[i], 1e-9);
            }
        }
    }
}

// Counts pulls of whole operands.
class CountingSource final : public datasets::Source {
public:
    CountingSource(const datasets::Source& inner, std::int64_t context) : inner_(inner), context_(context) {}
    void rows(Op op, Rows rows, std::span<float> out) const override {
        if (rows.count == context_) {
            ++whole_;
            // Work inside a pull must not lead a waiting thread back to the operand that it is making.
            tbb::parallel_for(0, 16, [](int) {});
        }
        inner_.rows(op, rows, out);
    }
    [[nodiscard]] int whole() const { return whole_; }

private:
    const datasets::Source& inner_;
    std::int64_t context_;
    mutable std::atomic<int> whole_ = 0;
};

TEST(Wide, PullsEachOperandOnceForManyTasks) {
    const datasets::LayerCase layer = random_layer({130, 4});
    const GoldenSource source(layer);
    const CountingSource counting(source, 130);
    const WideReference wide(layer, counting);
    tbb::parallel_for(0, 200, [&](int task) {
        const int head = task % 4;
        std::vector<double> scores(64 * 130);
        std::vector<double> context(64 * 64);
        std::vector<float> magnitude(64 * 64);
        wide.rows(Op::scores, {head, 64, 64}, scores, {});
        wide.rows(Op::context, {head, 0, 64}, context, magnitude);
    });
    EXPECT_EQ(counting.whole(), 8);
}

// The heads of a projection read the same rows.
TEST(Wide, PullsTheRowsOfAProjectionOnceForAllHeads) {
    const datasets::LayerCase layer = random_layer({64, 4});
    const GoldenSource source(layer);
    const CountingSource counting(source, 64);
    const WideReference wide(layer, counting);
    std::vector<double> value(64 * 64);
    for (int head = 0; head < 4; ++head) {
        wide.rows(Op::query, {head, 0, 64}, value, {});
    }
    EXPECT_EQ(counting.whole(), 1);
    const std::vector<double> last_head = value;
    wide.rows(Op::query, {3, 0, 63}, std::span(value).first(63 * 64), {});
    wide.rows(Op::query, {3, 0, 64}, value, {});
    EXPECT_EQ(value, last_head);
}

TEST(Wide, GivesValuesAndNormsOfKeys) {
    const datasets::LayerCase layer = random_layer({70, 3});
    const GoldenSource source(layer);
    const WideReference wide(layer, source);
    for (int head = 0; head < 3; ++head) {
        const std::vector<double> norms = wide.key_norms(head);
        ASSERT_EQ(norms.size(), 70U);
        for (std::size_t t = 0; t < 70; ++t) {
            double squares = 0;
            for (std::size_t c = 0; c < 64; ++c) {
                const std::size_t at = t * 192 + static_cast<std::size_t>(head) * 64 + c;
                ASSERT_EQ(wide.value_matrix(head)[t * 64 + c], double{source.tensor(Op::value)[at]});
                squares += double{source.tensor(Op::key)[at]} * double{source.tensor(Op::key)[at]};
            }
            ASSERT_NEAR(norms[t], std::sqrt(squares), 1e-14 * norms[t]);
        }
    }
    EXPECT_THROW(static_cast<void>(wide.key_norms(3)), std::out_of_range);
}

TEST(Wide, RefusesWhatDoesNotFit) {
    const datasets::LayerCase layer = random_layer({70, 3});
    const GoldenSource source(layer);
    const WideReference wide(layer, source);
    std::vector<double> value(70);
    std::vector<float> magnitude(69);
    EXPECT_THROW(wide.rows(Op::scores, {3, 0, 1}, value, {}), std::invalid_argument);
    EXPECT_THROW(wide.rows(Op::scores, {0, 70, 1}, value, {}), std::invalid_argument);
    EXPECT_THROW(wide.rows(Op::scores, {0, 0, 2}, value, {}), std::invalid_argument);
    EXPECT_THROW(wide.rows(Op::scores, {0, 0, 1}, value, magnitude), std::invalid_argument);
    EXPECT_THROW(wide.rows(Op::scores, {0, 0, 1}, value, {}, {64, {}, {}}), std::invalid_argument);
    EXPECT_THROW(wide.rows(Op::probabilities, {0, 0, 1}, value, {}, {64, {}, value}), std::invalid_argument);
    EXPECT_THROW(wide.rows(Op::block, {-1, 0, 1}, value, {}), std::invalid_argument);
}

TEST(Wide, RefusesWhatThePieceDoesNotHold) {
    const datasets::LayerCase attention_alone = random_layer({70, 3});
    const GoldenSource source(attention_alone);
    const WideReference wide(attention_alone, source);
    std::vector<double> narrow(192);
    std::vector<double> hidden(768);
    EXPECT_THROW(wide.rows(Op::mlp_norm, {-1, 0, 1}, narrow, {}), std::invalid_argument);
    EXPECT_THROW(wide.rows(Op::fc1, {-1, 0, 1}, hidden, {}), std::invalid_argument);
    EXPECT_THROW(wide.rows(Op::encoder, {-1, 0, 1}, narrow, {}), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(wide.norm(Op::attention_norm)), std::invalid_argument);
    const RandomPiece piece({70, 3});
    const WideReference end(piece.end, piece);
    EXPECT_THROW(end.rows(Op::mlp_norm, {-1, 0, 1}, narrow, {}), std::invalid_argument);
    EXPECT_THROW(end.rows(Op::scores, {0, 0, 1}, narrow, {}), std::invalid_argument);
    EXPECT_THROW(end.rows(Op::encoder, {0, 0, 1}, narrow, {}), std::invalid_argument);
    EXPECT_THROW(end.rows(Op::encoder, {-1, 70, 1}, narrow, {}), std::invalid_argument);
    const WideReference layer(piece.layer, piece);
    EXPECT_THROW(layer.rows(Op::fc1, {-1, 0, 1}, narrow, {}), std::invalid_argument);
    EXPECT_THROW(layer.rows(Op::fc1, {1, 0, 1}, hidden, {}), std::invalid_argument);
}

}  // namespace
}  // namespace reference
