// The oracle on numbers small enough to check by hand. A layer of one head whose weights are chosen so that
// every tensor is known.
#include "reference/oracle.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "reference/layers_for_tests.hpp"

namespace reference {
namespace {

using datasets::head_width;
using datasets::Op;

// Upstream tensors by formula.
class FormulaSource final : public datasets::Source {
public:
    void rows(Op op, datasets::Rows rows, std::span<float> out) const override {
        const std::size_t columns = out.size() / static_cast<std::size_t>(rows.count);
        for (std::size_t i = 0; i < out.size(); ++i) {
            const auto row = rows.begin + static_cast<std::int64_t>(i / columns);
            const auto column =
                static_cast<std::int64_t>(i % columns) + std::max(rows.head, 0) * columns_per_head(op);
            out[i] = element(op, row, column);
        }
    }

    static float element(Op op, std::int64_t row, std::int64_t column) {
        switch (op) {
            case Op::attention_norm:
            case Op::context:
                return column == row ? 2.0F : 0.0F;
            case Op::query:
                return column == row % 2 ? 8.0F : 0.0F;
            case Op::key:
                return column == 0 ? static_cast<float>(row) : (column == 1 ? -1.0F : 5.0F);
            case Op::scores:
                return column == 0 ? 0.0F : static_cast<float>(-std::log(2.0));
            case Op::probabilities:
                return column == 1 ? -0.25F : 0.5F;
            default:
                return static_cast<float>(100 * row + column);
        }
    }

private:
    static std::int64_t columns_per_head(Op op) {
        return op == Op::scores || op == Op::probabilities ? 0 : head_width;
    }
};

struct Answer {
    std::vector<double> value;
    std::vector<double> magnitude;
};

Answer ask(Op op, datasets::Rows rows, const datasets::LayerCase& layer, std::int64_t columns) {
    Answer answer{std::vector<double>(static_cast<std::size_t>(rows.count * columns)), {}};
    answer.magnitude.resize(answer.value.size());
    oracle_rows(op, rows, layer, FormulaSource(), answer.value, answer.magnitude);
    return answer;
}

class Oracle : public ::testing::Test {
protected:
    const datasets::LayerCase layer_ = random_layer({3, 2});
};

// The input has 2 on the diagonal: row i of a projection is twice column i of its weight, plus the bias.
TEST_F(Oracle, ProjectionsMultiplyByTheTransposedWeightAndAddTheBias) {
    const auto& [query, key, value, output] = layer_.weights.attention;
    for (const auto& [op, linear] :
         {std::pair{Op::query, &query}, {Op::key, &key}, {Op::value, &value}, {Op::output, &output}}) {
        const Answer got = ask(op, {-1, 1, 2}, layer_, 128);
        for (std::size_t i = 0; i < 2; ++i) {
            for (std::size_t j = 0; j < 128; ++j) {
                const double weight{linear->weight[j * 128 + i + 1]};
                const double bias = op == Op::key ? 0 : double{linear->bias[j]};
                ASSERT_DOUBLE_EQ(got.value[i * 128 + j], 2 * weight + bias) << datasets::name(op);
                ASSERT_DOUBLE_EQ(got.magnitude[i * 128 + j], 2 * std::abs(weight) + std::abs(bias));
            }
        }
        if (op != Op::output) {
            const Answer second = ask(op, {1, 1, 2}, layer_, 64);
            EXPECT_EQ(second.value[3], got.value[64 + 3]);
            EXPECT_EQ(second.value[64 + 63], got.value[128 + 127]);
        }
    }
}

TEST_F(Oracle, ScoresAreProductsOverEight) {
    const Answer got = ask(Op::scores, {0, 0, 3}, layer_, 3);
    // Even rows look at channel 0 of the keys (0, 1, 2), odd ones at channel 1 (-1).
    EXPECT_EQ(got.value, (std::vector<double>{0, 1, 2, -1, -1, -1, 0, 1, 2}));
    EXPECT_EQ(got.magnitude, (std::vector<double>{0, 1, 2, 1, 1, 1, 0, 1, 2}));
}

TEST_F(Oracle, ProbabilitiesAreSharesOfExponentials) {
    const Answer got = ask(Op::probabilities, {1, 2, 1}, layer_, 3);
    const double expected[] = {0.5, 0.25, 0.25};
    for (std::size_t j = 0; j < 3; ++j) {
        EXPECT_NEAR(got.value[j], expected[j], 1e-8);
        EXPECT_NEAR(got.magnitude[j], j == 0 ? 0 : std::log(2.0), 1e-7);
    }
}

// Values are 100 row + column: 0.5 (c) - 0.25 (100 + c) + 0.5 (200 + c) = 75 + 0.75 c.
TEST_F(Oracle, ContextWeighsTheValues) {
    const Answer got = ask(Op::context, {-1, 0, 1}, layer_, 128);
    for (std::size_t c = 0; c < 128; ++c) {
        const auto column = static_cast<double>(c);
        ASSERT_DOUBLE_EQ(got.value[c], 75 + 0.75 * column);
        ASSERT_DOUBLE_EQ(got.magnitude[c], 125 + 1.25 * column);
    }
    const Answer second = ask(Op::context, {1, 0, 1}, layer_, 64);
    EXPECT_EQ(second.value[5], got.value[64 + 5]);
}

TEST_F(Oracle, RefusesRowsThatDoNotExist) {
    const auto refuses = [&](Op op, datasets::Rows rows, std::size_t size) {
        std::vector<double> value(size);
        EXPECT_THROW(oracle_rows(op, rows, layer_, FormulaSource(), value, {}), std::invalid_argument)
            << datasets::name(op) << " " << rows.head << " " << rows.begin << " " << rows.count;
    };
    refuses(Op::attention_norm, {-1, 0, 1}, 128);
    refuses(Op::fc1, {-1, 0, 1}, 512);
    refuses(Op::embedding, {-1, 0, 1}, 128);
    refuses(Op::encoder, {-1, 0, 1}, 128);
    refuses(Op::scores, {-1, 0, 1}, 3);
    refuses(Op::scores, {2, 0, 1}, 3);
    refuses(Op::scores, {0, 0, 4}, 12);
    refuses(Op::scores, {0, -1, 1}, 3);
    refuses(Op::output, {0, 0, 1}, 64);
    refuses(Op::query, {0, 0, 1}, 63);
    refuses(Op::query, {-3, 0, 1}, 128);
}

}  // namespace
}  // namespace reference
