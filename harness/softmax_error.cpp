#include "harness/softmax_error.hpp"

#include <algorithm>
#include <array>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "harness/softmax_error.cpp"
// Compiles this file once per instruction set; comes before the rest of Highway.
#include "hwy/foreach_target.h"

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace harness::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::ScalableTag<double>;
using Vector = hn::Vec<Doubles>;

// An upper bound of e^x for x >= 0, cheap where x <= 1: the terms past x^2 / 2 sum to less than x^3 / 4.
HWY_INLINE Vector exp_upper(Doubles d, Vector x) {
    const auto one = hn::Set(d, 1.0);
    const auto tail = hn::Add(hn::Set(d, 0.5), hn::Mul(hn::Set(d, 0.25), x));
    const auto polynomial = hn::Add(hn::Add(one, x), hn::Mul(hn::Mul(x, x), tail));
    const auto is_small = hn::Le(x, one);
    return HWY_LIKELY(hn::AllTrue(d, is_small)) ? polynomial
                                                : hn::IfThenElse(is_small, polynomial, hn::Exp(d, x));
}

struct Keys {
    const double* scores;
    const double* norms;  // null where per_norm is 0
    double* weight;
    double* relative;
};

HWY_INLINE void weigh(Doubles d, const WeightError& error, const Keys& keys) {
    const auto score = hn::LoadU(d, keys.scores);
    const auto top = hn::Set(d, error.top);
    const auto difference = hn::Sub(score, top);
    auto shift = hn::Mul(hn::Set(d, error.addition), hn::Add(hn::Abs(score), hn::Abs(top)));
    if (keys.norms != nullptr) {
        shift = hn::Add(shift, hn::Mul(hn::Set(d, error.per_norm), hn::LoadU(d, keys.norms)));
    }
    const auto distance = hn::Add(hn::Sub(shift, difference), hn::Set(d, error.score_error));
    const auto exponent = hn::Add(hn::Mul(hn::Set(d, error.argument), distance), shift);
    const auto one = hn::Set(d, 1.0);
    const auto single = hn::Sub(hn::Mul(hn::Set(d, error.factor), exp_upper(d, exponent)), one);
    const auto underflows = hn::Lt(difference, hn::Set(d, exp_underflow));
    hn::StoreU(hn::IfThenElse(underflows, hn::Max(one, single), single), d, keys.relative);
    hn::StoreU(hn::Exp(d, difference), d, keys.weight);
}

double largest(std::span<const double> values) {
    const Doubles d;
    const std::size_t width = hn::Lanes(d);
    std::array<Vector, 2> tops{hn::Set(d, values.front()), hn::Set(d, values.front())};
    std::size_t j = 0;
    for (; j + 2 * width <= values.size(); j += 2 * width) {
        tops[0] = hn::Max(tops[0], hn::LoadU(d, values.data() + j));
        tops[1] = hn::Max(tops[1], hn::LoadU(d, values.data() + j + width));
    }
    double top = hn::GetLane(hn::MaxOfLanes(d, hn::Max(tops[0], tops[1])));
    for (; j < values.size(); ++j) {
        top = std::max(top, values[j]);
    }
    return top;
}

void weigh_keys(std::span<const double> scores, std::span<const double> norms, const WeightError& error,
                std::span<double> weight, std::span<double> relative) {
    const Doubles d;
    const std::size_t width = hn::Lanes(d);
    const double* norm = norms.empty() ? nullptr : norms.data();
    std::size_t j = 0;
    for (; j + width <= scores.size(); j += width) {
        weigh(d, error,
              {scores.data() + j, norm == nullptr ? norm : norm + j, weight.data() + j, relative.data() + j});
    }
    if (j == scores.size()) {
        return;
    }
    // The rest as a whole vector, filled up with the top score.
    const std::size_t rest = scores.size() - j;
    std::array<double, HWY_MAX_BYTES / sizeof(double)> score;
    std::array<double, HWY_MAX_BYTES / sizeof(double)> key_norm{};
    std::array<double, HWY_MAX_BYTES / sizeof(double)> weights;
    std::array<double, HWY_MAX_BYTES / sizeof(double)> relatives;
    score.fill(error.top);
    std::copy_n(scores.data() + j, rest, score.data());
    if (norm != nullptr) {
        std::copy_n(norm + j, rest, key_norm.data());
    }
    weigh(d, error,
          {score.data(), norm == nullptr ? norm : key_norm.data(), weights.data(), relatives.data()});
    std::copy_n(weights.data(), rest, weight.data() + j);
    std::copy_n(relatives.data(), rest, relative.data() + j);
}

// Two sums at a time: an addition waits for the one before it.
WeightSums sum_weights(std::span<const double> weight, std::span<const double> relative, double rescaled) {
    const Doubles d;
    const std::size_t width = hn::Lanes(d);
    const auto zero = hn::Zero(d);
    const auto one = hn::Set(d, 1.0);
    const auto scale = hn::Set(d, rescaled);
    std::array<Vector, 2> weights{zero, zero};
    std::array<Vector, 2> errors{zero, zero};
    const auto add = [&](std::size_t at, std::size_t lane) {
        const auto w = hn::LoadU(d, weight.data() + at);
        const auto factor = hn::Sub(hn::Mul(hn::Add(one, hn::LoadU(d, relative.data() + at)), scale), one);
        weights[lane] = hn::Add(weights[lane], w);
        errors[lane] = hn::Add(errors[lane], hn::Mul(w, factor));
    };
    std::size_t j = 0;
    for (; j + 2 * width <= weight.size(); j += 2 * width) {
        add(j, 0);
        add(j + width, 1);
    }
    WeightSums out{hn::GetLane(hn::SumOfLanes(d, hn::Add(weights[0], weights[1]))),
                   hn::GetLane(hn::SumOfLanes(d, hn::Add(errors[0], errors[1])))};
    for (; j < weight.size(); ++j) {
        out.weight += weight[j];
        out.error += weight[j] * ((1 + relative[j]) * rescaled - 1);
    }
    return out;
}

Mismatch sum_mismatch(std::span<const double> weight, std::span<const double> relative, double rescaled) {
    const Doubles d;
    const std::size_t width = hn::Lanes(d);
    const auto one = hn::Set(d, 1.0);
    auto weights = hn::Zero(d);
    auto kept = hn::Zero(d);
    std::size_t j = 0;
    for (; j + width <= weight.size(); j += width) {
        const auto w = hn::LoadU(d, weight.data() + j);
        const auto held = hn::Add(one, hn::LoadU(d, relative.data() + j));
        const auto grown = hn::Mul(hn::Mul(held, held), hn::Set(d, rescaled));
        weights = hn::Add(weights, hn::Mul(hn::Mul(w, grown), hn::Sub(grown, one)));
        kept = hn::Add(kept, hn::Div(w, grown));
    }
    Mismatch out{hn::GetLane(hn::SumOfLanes(d, weights)), hn::GetLane(hn::SumOfLanes(d, kept))};
    for (; j < weight.size(); ++j) {
        const double grown = (1 + relative[j]) * (1 + relative[j]) * rescaled;
        out.weight += weight[j] * grown * (grown - 1);
        out.kept += weight[j] / grown;
    }
    return out;
}

void bound_probabilities(std::span<const double> weight, std::span<const double> relative,
                         const RowShare& row, std::span<double> probability, std::span<double> bound) {
    const Doubles d;
    const std::size_t width = hn::Lanes(d);
    const auto one = hn::Set(d, 1.0);
    std::size_t j = 0;
    for (; j + width <= weight.size(); j += width) {
        const auto p = hn::Mul(hn::LoadU(d, weight.data() + j), hn::Set(d, row.share));
        const auto factor = hn::Mul(hn::Add(one, hn::LoadU(d, relative.data() + j)), hn::Set(d, row.error));
        hn::StoreU(p, d, probability.data() + j);
        hn::StoreU(hn::Add(hn::Mul(p, hn::Sub(factor, one)), hn::Set(d, row.flushed)), d, bound.data() + j);
    }
    for (; j < weight.size(); ++j) {
        probability[j] = weight[j] * row.share;
        bound[j] = probability[j] * ((1 + relative[j]) * row.error - 1) + row.flushed;
    }
}

}  // namespace harness::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace harness {

HWY_EXPORT(largest);
HWY_EXPORT(weigh_keys);
HWY_EXPORT(sum_weights);
HWY_EXPORT(sum_mismatch);
HWY_EXPORT(bound_probabilities);

double largest(std::span<const double> values) {
    return HWY_DYNAMIC_DISPATCH(largest)(values);
}

void weigh_keys(std::span<const double> scores, std::span<const double> norms, const WeightError& error,
                std::span<double> weight, std::span<double> relative) {
    HWY_DYNAMIC_DISPATCH(weigh_keys)(scores, norms, error, weight, relative);
}

WeightSums sum_weights(std::span<const double> weight, std::span<const double> relative, double rescaled) {
    return HWY_DYNAMIC_DISPATCH(sum_weights)(weight, relative, rescaled);
}

Mismatch sum_mismatch(std::span<const double> weight, std::span<const double> relative, double rescaled) {
    return HWY_DYNAMIC_DISPATCH(sum_mismatch)(weight, relative, rescaled);
}

void bound_probabilities(std::span<const double> weight, std::span<const double> relative,
                         const RowShare& row, std::span<double> probability, std::span<double> bound) {
    HWY_DYNAMIC_DISPATCH(bound_probabilities)(weight, relative, row, probability, bound);
}

}  // namespace harness
#endif  // HWY_ONCE
