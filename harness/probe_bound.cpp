#include "harness/probe_bound.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "harness/bounds.hpp"

namespace harness {
namespace {

using datasets::Op;

// Below this difference exp may flush to nothing (bounds.cpp).
constexpr double exp_underflow = -86.0;

double argument_unit(const datasets::Arithmetic& arithmetic) {
    return arithmetic.exp_argument == datasets::DType::f32
               ? 0x1p-24
               : 0x1p-24 + datasets::bf16_unit(arithmetic.exp_argument_rounding);
}

}  // namespace

ProbeBound::ProbeBound(const datasets::Path& path, std::int64_t keys)
    : fused_(!path.emits(Op::probabilities)),
      keys_(keys),
      softmax_(path.arithmetic(fused_ ? Op::context : Op::probabilities)),
      context_(path.arithmetic(Op::context)) {}

double ProbeBound::row_sum_of(double mismatch) const {
    return row_sum_bound(softmax_, double(keys_), mismatch);
}

MeanError ProbeBound::context(Weights weights, double row_sum) const {
    const AttentionTerms terms = attention_terms(context_, double(keys_));
    const double unit = store_unit(context_);
    if (fused_) {
        const double sums = terms.context / (1 - terms.context) * (1 + terms.finish) * (1 + unit);
        return {sums + (terms.finish + unit) * (1 + terms.finish), sums};
    }
    // The sum of one tile is rounded where it leaves the accumulator; sums of nothing do not err.
    const double tiles = weights == Weights::single ? terms.one_tile : terms.all_tiles;
    const double product = (1 + terms.product) * (1 + tiles) - 1;
    if (weights == Weights::equal) {
        return {(row_sum + unit) * (1 + unit), product * (1 + row_sum) * (1 + unit)};
    }
    return {unit, ((1 + row_sum) * (1 + product) - 1) * (1 + unit)};
}

double ProbeBound::row_sum(std::span<const float> scores) const {
    if (fused_) {
        return 0;
    }
    const double top{*std::ranges::max_element(scores)};
    const auto keys = static_cast<std::int64_t>(scores.size());
    const std::int64_t tile = softmax_.key_tile > 0 ? softmax_.key_tile : keys;
    // Growths behind each tile, from its maximum and those after it.
    std::vector<double> maxima;
    for (std::int64_t first = 0; first < keys; first += tile) {
        maxima.push_back(*std::ranges::max_element(
            scores.subspan(std::size_t(first), std::size_t(std::min(tile, keys - first)))));
    }
    std::vector<int> growths(maxima.size());
    double running = -std::numeric_limits<double>::infinity();
    int seen = 0;
    for (std::size_t t = 0; t < maxima.size(); ++t) {
        seen += t > 0 && maxima[t] > running ? 1 : 0;
        running = std::max(running, maxima[t]);
        growths[t] = seen;
    }
    std::vector<double> powers{(1 + softmax_.exp_error) * (1 + softmax_.exp_error)};
    for (int growth = 0; growth < seen; ++growth) {
        powers.push_back(powers.back() * (1 + softmax_.exp_error));
    }
    const double unit = 2 * argument_unit(softmax_);
    double mismatch = 0;
    double total = 0;
    for (std::size_t j = 0; j < scores.size(); ++j) {
        const int growth = seen - growths[j / std::size_t(tile)];
        const float d = static_cast<float>(double{scores[j]} - top);
        const double weight{std::exp(d)};
        if (growth == 0) {
            total += weight;
            continue;
        }
        double h = powers[std::size_t(growth)] * std::exp(-unit * double{d}) - 1;
        h = double{d} < exp_underflow ? std::max(1.0, h) : h;
        mismatch += weight * (1 + h) * h;
        total += weight / (1 + h);
    }
    return row_sum_of(mismatch / total);
}

}  // namespace harness
