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

}  // namespace harness::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace harness {

HWY_EXPORT(weigh_keys);

void weigh_keys(std::span<const double> scores, std::span<const double> norms, const WeightError& error,
                std::span<double> weight, std::span<double> relative) {
    HWY_DYNAMIC_DISPATCH(weigh_keys)(scores, norms, error, weight, relative);
}

}  // namespace harness
#endif  // HWY_ONCE
