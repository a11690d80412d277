#include "harness/softmax_error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace harness {
namespace {

// Of every length up to some vectors and a tail, so that every path through them is taken.
class SoftmaxError : public ::testing::TestWithParam<std::size_t> {
protected:
    std::vector<double> random(double lowest, double highest) {
        std::uniform_real_distribution<double> of(lowest, highest);
        std::vector<double> out(GetParam());
        std::ranges::generate(out, [&] { return of(engine_); });
        return out;
    }

private:
    std::mt19937_64 engine_{GetParam()};
};

TEST_P(SoftmaxError, FindsTheLargestWhereverItStands) {
    std::vector<double> values = random(-200, -100);
    EXPECT_EQ(largest(values), *std::ranges::max_element(values));
    for (double& value : values) {
        const double before = value;
        value = -99;
        EXPECT_EQ(largest(values), -99);
        value = before;
    }
}

TEST_P(SoftmaxError, WeighsEachKeyAsTheFormulaSays) {
    std::vector<double> scores = random(-120, 80);
    const std::vector<double> norms = random(0, 30);
    const WeightError error{*std::ranges::max_element(scores), 1e-3, 1.01, 1e-6, 1e-4, 1e-3};
    std::vector<double> weight(scores.size());
    std::vector<double> relative(scores.size());
    for (const bool with_norms : {false, true}) {
        weigh_keys(scores, with_norms ? norms : std::vector<double>{}, error, weight, relative);
        for (std::size_t j = 0; j < scores.size(); ++j) {
            const double difference = scores[j] - error.top;
            const double shift = (with_norms ? error.per_norm * norms[j] : 0) +
                                 error.addition * (std::abs(scores[j]) + std::abs(error.top));
            const double exponent = error.argument * (shift + error.score_error - difference) + shift;
            const double least = error.factor * std::exp(exponent) - 1;
            const double floor = difference < exp_underflow ? std::max(1.0, least) : least;
            EXPECT_NEAR(weight[j], std::exp(difference), 1e-14 * std::exp(difference));
            EXPECT_GE(relative[j], floor * (1 - 1e-14));
            EXPECT_LE(relative[j], floor + 0.1 * error.factor * exponent * exponent * exponent + 1e-14);
        }
    }
}

TEST_P(SoftmaxError, SumsAndBoundsAsTheFormulasSay) {
    const std::vector<double> weight = random(0, 1);
    const std::vector<double> relative = random(0, 0.1);
    const double rescaled = 1.02;
    double sum = 0;
    double errors = 0;
    for (std::size_t j = 0; j < weight.size(); ++j) {
        sum += weight[j];
        errors += weight[j] * ((1 + relative[j]) * rescaled - 1);
    }
    const WeightSums sums = sum_weights(weight, relative, rescaled);
    EXPECT_NEAR(sums.weight, sum, 1e-13 * sum);
    EXPECT_NEAR(sums.error, errors, 1e-13 * sum);

    const RowShare row{1 / sum, 1.03, 1e-7};
    std::vector<double> probability(weight.size());
    std::vector<double> bound(weight.size());
    bound_probabilities(weight, relative, row, probability, bound);
    for (std::size_t j = 0; j < weight.size(); ++j) {
        const double share = weight[j] / sum;
        EXPECT_NEAR(probability[j], share, 1e-15);
        EXPECT_NEAR(bound[j], share * ((1 + relative[j]) * row.error - 1) + row.flushed, 1e-15);
    }
}

TEST_P(SoftmaxError, SumsWhatTheRunningSumHoldsOtherwise) {
    const std::vector<double> weight = random(0, 1);
    const std::vector<double> relative = random(0, 0.02);
    const double rescaled = 1.01;
    double grown_weight = 0;
    double kept = 0;
    for (std::size_t j = 0; j < weight.size(); ++j) {
        const double held = (1 + relative[j]) * (1 + relative[j]) * rescaled;
        grown_weight += weight[j] * held * (held - 1);
        kept += weight[j] / held;
    }
    const Mismatch sums = sum_mismatch(weight, relative, rescaled);
    EXPECT_NEAR(sums.weight, grown_weight, 1e-13 * grown_weight);
    EXPECT_NEAR(sums.kept, kept, 1e-13 * kept);
}

INSTANTIATE_TEST_SUITE_P(Lengths, SoftmaxError,
                         ::testing::Values(1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 64, 65),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace harness
