#include "harness/error_passes.hpp"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "harness/error_passes.cpp"
// Compiles this file once per instruction set; comes before the rest of Highway.
#include "hwy/foreach_target.h"

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace harness::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Doubles = hn::ScalableTag<double>;
using Single = hn::CappedTag<float, 1>;
using SingleDouble = hn::CappedTag<double, 1>;

// step(d, j) for whole vectors, then step(single, j) for each element of the rest.
template <typename D, typename One, typename Step>
HWY_INLINE void over(D d, One single, std::size_t count, const Step& step) {
    const std::size_t width = hn::Lanes(d);
    std::size_t j = 0;
    for (; j + width <= count; j += width) {
        step(d, j);
    }
    for (; j < count; ++j) {
        step(single, j);
    }
}

// A sum in the lanes of a vector, and of the rest by itself.
template <typename D>
struct Sum {
    hn::Vec<D> lanes;
    hn::TFromD<D> rest = 0;

    HWY_INLINE Sum() : lanes(hn::Zero(D())) {}
    template <typename Any>
    HWY_INLINE void add(Any, hn::Vec<Any> v) {
        if constexpr (std::is_same_v<Any, D>) {
            lanes = hn::Add(lanes, v);
        } else {
            rest += hn::GetLane(v);
        }
    }
    HWY_INLINE auto total() const { return hn::GetLane(hn::SumOfLanes(D(), lanes)) + rest; }
};
using FloatSum = Sum<Floats>;
using DoubleSum = Sum<Doubles>;

// The squared spacing of bf16 about x: 2^-7 of its power of two.
template <typename D>
HWY_INLINE hn::Vec<D> squared_spacing(D d, hn::Vec<D> x) {
    const hn::RebindToUnsigned<D> bits;
    const auto power = hn::BitCast(d, hn::And(hn::BitCast(bits, x), hn::Set(bits, 0x7F800000U)));
    const auto spacing = hn::Mul(power, hn::Set(d, 0x1p-7F));
    return hn::Mul(spacing, spacing);
}

void add_bf16_variance(std::span<const float> value, Rounded rounded, std::span<float> variance) {
    over(Floats(), Single(), value.size(), [&](auto d, std::size_t j) HWY_ATTR {
        const auto x = hn::LoadU(d, &value[j]);
        auto added = hn::Mul(squared_spacing(d, x), hn::Set(d, 1.0F / 12));
        if (rounded == Rounded::known) {
            const hn::RebindToUnsigned<decltype(d)> bits;
            const auto cut = hn::And(hn::BitCast(bits, x), hn::Set(bits, 0xFFFFU));
            added = hn::IfThenZeroElse(hn::RebindMask(d, hn::Eq(cut, hn::Zero(bits))), added);
        }
        hn::StoreU(hn::Add(hn::LoadU(d, &variance[j]), added), d, &variance[j]);
    });
}

template <typename D>
HWY_INLINE hn::Vec<D> exp_variance(D d, hn::Vec<D> x, const ExpVariance& variance) {
    const auto at_zero = hn::Eq(x, hn::Zero(d));
    const auto function = hn::IfThenZeroElse(at_zero, hn::Set(d, variance.function));
    return hn::MulAdd(squared_spacing(d, x), hn::Set(d, variance.argument),
                      hn::Add(function, hn::Set(d, variance.rest)));
}

float exp_variance_at(float x, const ExpVariance& variance) {
    const Single d;
    return hn::GetLane(exp_variance(d, hn::Set(d, x), variance));
}

float weigh(std::span<const float> score, float top, std::span<const float> p, const ExpVariance& variance,
            std::span<float> weight) {
    FloatSum share;
    over(Floats(), Single(), score.size(), [&](auto d, std::size_t j) HWY_ATTR {
        const auto x = hn::Sub(hn::LoadU(d, &score[j]), hn::Set(d, top));
        const auto probability = hn::LoadU(d, &p[j]);
        const auto relative = hn::Add(hn::LoadU(d, &weight[j]), exp_variance(d, x, variance));
        hn::StoreU(hn::Mul(hn::Mul(probability, probability), relative), d, &weight[j]);
        share.add(d, probability);
    });
    return share.total();
}

// `width`: vectors of columns whose sums stay in registers.
template <std::size_t width, typename D>
HWY_INLINE void add_terms_to_columns(D d, std::span<const float> left, reference::ConstMatrix<float> right,
                                     std::size_t column, std::span<float> sums) {
    hn::Vec<D> sum[width];
    for (std::size_t i = 0; i < width; ++i) {
        sum[i] = hn::LoadU(d, &sums[column + i * hn::Lanes(d)]);
    }
    for (std::size_t k = 0; k < left.size(); ++k) {
        const auto factor = hn::Set(d, left[k]);
        const float* from = right.row(static_cast<std::int64_t>(k)).data() + column;
        for (std::size_t i = 0; i < width; ++i) {
            sum[i] = hn::MulAdd(factor, hn::LoadU(d, from + i * hn::Lanes(d)), sum[i]);
        }
    }
    for (std::size_t i = 0; i < width; ++i) {
        hn::StoreU(sum[i], d, &sums[column + i * hn::Lanes(d)]);
    }
}

void add_terms(reference::ConstMatrix<float> left, reference::ConstMatrix<float> right,
               std::span<float> sums) {
    constexpr std::size_t vectors = 4;
    const hn::CappedTag<float, 16> d;
    const auto columns = static_cast<std::size_t>(right.columns);
    for (std::int64_t row = 0; row < left.rows; ++row) {
        const auto of_row = sums.subspan(static_cast<std::size_t>(row) * columns, columns);
        std::size_t column = 0;
        for (; column + vectors * hn::Lanes(d) <= columns; column += vectors * hn::Lanes(d)) {
            add_terms_to_columns<vectors>(d, left.row(row), right, column, of_row);
        }
        for (; column < columns; ++column) {
            add_terms_to_columns<1>(Single(), left.row(row), right, column, of_row);
        }
    }
}

float sum_of(std::span<const float> values) {
    FloatSum sum;
    over(Floats(), Single(), values.size(),
         [&](auto d, std::size_t j) HWY_ATTR { sum.add(d, hn::LoadU(d, &values[j])); });
    return sum.total();
}

float largest_of(std::span<const float> values) {
    auto lanes = hn::Set(Floats(), values[0]);
    float rest = values[0];
    over(Floats(), Single(), values.size(), [&](auto d, std::size_t j) HWY_ATTR {
        const auto x = hn::LoadU(d, &values[j]);
        if constexpr (std::is_same_v<decltype(d), Floats>) {
            lanes = hn::Max(lanes, x);
        } else {
            rest = std::max(rest, hn::GetLane(x));
        }
    });
    return std::max(hn::GetLane(hn::MaxOfLanes(Floats(), lanes)), rest);
}

void divide_out_sum(std::span<const float> p, std::span<const float> weight, float shared, float least,
                    std::span<float> variance) {
    over(Floats(), Single(), p.size(), [&](auto d, std::size_t j) HWY_ATTR {
        const auto probability = hn::LoadU(d, &p[j]);
        const auto square = hn::Mul(probability, probability);
        const auto others = hn::NegMulAdd(hn::Set(d, 2.0F), probability, hn::Set(d, 1.0F));
        const auto own = hn::Mul(hn::LoadU(d, &weight[j]), others);
        const auto all = hn::MulAdd(square, hn::Set(d, shared), own);
        hn::StoreU(hn::Max(all, hn::Mul(square, hn::Set(d, least))), d, &variance[j]);
    });
}

void deviations(std::span<const float> variance, float least, std::span<float> sigma) {
    over(Floats(), Single(), variance.size(), [&](auto d, std::size_t j) HWY_ATTR {
        const auto root = hn::Sqrt(hn::LoadU(d, &variance[j]));
        hn::StoreU(hn::Max(root, hn::Set(d, least)), d, &sigma[j]);
    });
}

ZSums z_sums(std::span<const float> got, std::span<const float> golden, std::span<const float> mean,
             std::span<const float> sigma) {
    DoubleSum squares, sum, error_golden, golden_energy, predicted, error;
    double largest = 0;
    std::int64_t elements = 0;
    over(Doubles(), SingleDouble(), got.size(), [&](auto d, std::size_t j) HWY_ATTR {
        const hn::Rebind<float, decltype(d)> narrow;
        const auto value = hn::PromoteTo(d, hn::LoadU(narrow, &got[j]));
        const auto finite = hn::IsFinite(value);
        const auto only_finite = [&](auto v) HWY_ATTR { return hn::IfThenElseZero(finite, v); };
        const auto b = only_finite(hn::PromoteTo(d, hn::LoadU(narrow, &golden[j])));
        const auto m = only_finite(hn::PromoteTo(d, hn::LoadU(narrow, &mean[j])));
        const auto s = hn::PromoteTo(d, hn::LoadU(narrow, &sigma[j]));
        const auto difference = hn::Sub(only_finite(value), b);
        const auto rest = hn::Sub(difference, m);
        const auto z = hn::Div(rest, s);
        squares.add(d, hn::Mul(z, z));
        sum.add(d, z);
        error_golden.add(d, hn::Mul(rest, b));
        golden_energy.add(d, hn::Mul(b, b));
        predicted.add(d, only_finite(hn::MulAdd(s, s, hn::Mul(m, m))));
        error.add(d, hn::Mul(difference, difference));
        largest = std::max(largest, hn::GetLane(hn::MaxOfLanes(d, hn::Abs(z))));
        elements += static_cast<std::int64_t>(hn::CountTrue(d, finite));
    });
    return {squares.total(),
            sum.total(),
            error_golden.total(),
            golden_energy.total(),
            predicted.total(),
            error.total(),
            largest,
            elements};
}

}  // namespace harness::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace harness {

HWY_EXPORT(add_bf16_variance);
HWY_EXPORT(exp_variance_at);
HWY_EXPORT(weigh);
HWY_EXPORT(add_terms);
HWY_EXPORT(sum_of);
HWY_EXPORT(largest_of);
HWY_EXPORT(divide_out_sum);
HWY_EXPORT(deviations);
HWY_EXPORT(z_sums);

void add_bf16_variance(std::span<const float> value, Rounded rounded, std::span<float> variance) {
    HWY_DYNAMIC_DISPATCH(add_bf16_variance)(value, rounded, variance);
}

float ExpVariance::at(float x) const {
    return HWY_DYNAMIC_DISPATCH(exp_variance_at)(x, *this);
}

float weigh(std::span<const float> score, float top, std::span<const float> p, const ExpVariance& variance,
            std::span<float> weight) {
    return HWY_DYNAMIC_DISPATCH(weigh)(score, top, p, variance, weight);
}

void add_terms(reference::ConstMatrix<float> left, reference::ConstMatrix<float> right,
               std::span<float> sums) {
    HWY_DYNAMIC_DISPATCH(add_terms)(left, right, sums);
}

float sum_of(std::span<const float> values) {
    return HWY_DYNAMIC_DISPATCH(sum_of)(values);
}

float largest_of(std::span<const float> values) {
    return HWY_DYNAMIC_DISPATCH(largest_of)(values);
}

void divide_out_sum(std::span<const float> p, std::span<const float> weight, float shared, float least,
                    std::span<float> variance) {
    HWY_DYNAMIC_DISPATCH(divide_out_sum)(p, weight, shared, least, variance);
}

void deviations(std::span<const float> variance, float least, std::span<float> sigma) {
    HWY_DYNAMIC_DISPATCH(deviations)(variance, least, sigma);
}

ZSums z_sums(std::span<const float> got, std::span<const float> golden, std::span<const float> mean,
             std::span<const float> sigma) {
    return HWY_DYNAMIC_DISPATCH(z_sums)(got, golden, mean, sigma);
}

}  // namespace harness
#endif  // HWY_ONCE
