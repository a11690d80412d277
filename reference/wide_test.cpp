#include "reference/wide.hpp"

#include <gtest/gtest.h>
#include <tbb/parallel_for.h>

#include <atomic>
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

INSTANTIATE_TEST_SUITE_P(Contexts, WideAgainstOracle, ::testing::Values(1, 65, 250));

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

TEST(Wide, GivesWholeOperands) {
    const datasets::LayerCase layer = random_layer({70, 3});
    const GoldenSource source(layer);
    const WideReference wide(layer, source);
    for (int head = 0; head < 3; ++head) {
        for (std::size_t i = 0; i < 70 * 64; ++i) {
            const std::size_t at = i / 64 * 192 + static_cast<std::size_t>(head) * 64 + i % 64;
            ASSERT_EQ(wide.key_matrix(head)[i], double{source.tensor(Op::key)[at]});
            ASSERT_EQ(wide.value_matrix(head)[i], double{source.tensor(Op::value)[at]});
            ASSERT_EQ(wide.value_magnitudes(head)[i], std::abs(source.tensor(Op::value)[at]));
        }
    }
    EXPECT_THROW(static_cast<void>(wide.key_matrix(3)), std::out_of_range);
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
    EXPECT_THROW(wide.rows(Op::block, {-1, 0, 1}, value, {}), std::invalid_argument);
}

}  // namespace
}  // namespace reference
