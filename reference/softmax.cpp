#include "reference/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "reference/softmax.cpp"
// Compiles this file once per instruction set; comes before the rest of Highway.
#include "hwy/foreach_target.h"

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reference::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using F64 = hn::ScalableTag<double>;
using VF32 = hn::Vec<F32>;
using VF64 = hn::Vec<F64>;

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

// exp of values below this is not a normal float: ln(2^-126), rounded up. It is taken as 0: denormals would
// slow the product with the values down.
constexpr float lowest_argument = -87.33654F;

// e^x for x <= 0 as 2^y: y = x log2(e) = n + f with |f| <= 1/2; 2^f by a polynomial of degree 5 with the
// least largest relative error (1.1e-7; Chebyshev nodes, reweighted least squares), times 2^n. Rounding y
// gives e^x a relative error of up to |x| 2^-24, which matters the less the smaller e^x is. A NaN stays one.
HWY_INLINE VF32 exponential(F32 d, VF32 x) {
    const hn::RebindToUnsigned<F32> bits;
    // Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the sum; 127 more makes it the exponent
    // of 2^n.
    const auto to_integer = hn::Set(d, 12582912.0F + 127.0F);
    const auto log2_e = hn::Set(d, 1.44269504F);
    const auto shifted = hn::MulAdd(x, log2_e, to_integer);
    const auto power = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(bits, shifted)));
    const auto f = hn::MulSub(x, log2_e, hn::Sub(shifted, to_integer));
    auto p = hn::MulAdd(f, hn::Set(d, 0.00132647273F), hn::Set(d, 0.00967151299F));
    p = hn::MulAdd(p, f, hn::Set(d, 0.0555073358F));
    p = hn::MulAdd(p, f, hn::Set(d, 0.240222424F));
    p = hn::MulAdd(p, f, hn::Set(d, 0.693147004F));
    p = hn::MulAdd(p, f, hn::Set(d, 1.0F));
    const auto too_small = hn::Lt(x, hn::Set(d, lowest_argument));
    return hn::IfThenZeroElse(too_small, hn::Mul(p, power));
}

// The tail of a row as a whole vector, filled up with -infinity: neutral for the maximum, and its exponential
// is 0.
struct Tail {
    HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];

    Tail(const float* from, std::size_t count) {
        std::fill(std::begin(lanes), std::end(lanes), minus_infinity);
        std::copy_n(from, count, lanes);
    }
};

float row_maximum(const float* HWY_RESTRICT row, std::size_t columns) {
    const F32 d;
    const std::size_t width = hn::Lanes(d);
    auto first = hn::Set(d, minus_infinity);
    auto second = first;
    std::size_t j = 0;
    for (; j + 2 * width <= columns; j += 2 * width) {
        first = hn::Max(first, hn::LoadU(d, row + j));
        second = hn::Max(second, hn::LoadU(d, row + j + width));
    }
    for (; j < columns; j += width) {
        const Tail tail(row + j, std::min(width, columns - j));
        first = hn::Max(first, hn::Load(d, tail.lanes));
    }
    return hn::GetLane(hn::MaxOfLanes(d, hn::Max(first, second)));
}

HWY_INLINE VF32 exponential_at(F32 d, float* HWY_RESTRICT at, VF32 maximum) {
    const auto result = exponential(d, hn::Sub(hn::LoadU(d, at), maximum));
    hn::StoreU(result, d, at);
    return result;
}

float exponentials_of_row(float* HWY_RESTRICT row, std::size_t columns, float maximum) {
    const F32 d;
    const std::size_t width = hn::Lanes(d);
    const auto shift = hn::Set(d, maximum);
    // Four sums, so that as many exponentials are under way at once.
    auto sum0 = hn::Zero(d);
    auto sum1 = sum0;
    auto sum2 = sum0;
    auto sum3 = sum0;
    std::size_t j = 0;
    for (; j + 4 * width <= columns; j += 4 * width) {
        sum0 = hn::Add(sum0, exponential_at(d, row + j, shift));
        sum1 = hn::Add(sum1, exponential_at(d, row + j + width, shift));
        sum2 = hn::Add(sum2, exponential_at(d, row + j + 2 * width, shift));
        sum3 = hn::Add(sum3, exponential_at(d, row + j + 3 * width, shift));
    }
    for (; j < columns; j += width) {
        const std::size_t count = std::min(width, columns - j);
        Tail tail(row + j, count);
        sum0 = hn::Add(sum0, exponential_at(d, tail.lanes, shift));
        std::copy_n(tail.lanes, count, row + j);
    }
    return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
}

void exponentials(Matrix<float> scores, std::span<float> row_max, std::span<float> row_sum) {
    const auto columns = static_cast<std::size_t>(scores.columns);
    for (std::int64_t i = 0; i < scores.rows; ++i) {
        const auto index = static_cast<std::size_t>(i);
        float* row = scores.row(i).data();
        row_max[index] = row_maximum(row, columns);
        row_sum[index] = exponentials_of_row(row, columns, row_max[index]);
    }
}

void divide_rows(Matrix<float> values, std::span<const float> divisor) {
    const F32 d;
    const std::size_t width = hn::Lanes(d);
    const auto columns = static_cast<std::size_t>(values.columns);
    for (std::int64_t i = 0; i < values.rows; ++i) {
        const float by = divisor[static_cast<std::size_t>(i)];
        float* HWY_RESTRICT row = values.row(i).data();
        std::size_t j = 0;
        for (; j + width <= columns; j += width) {
            hn::StoreU(hn::Div(hn::LoadU(d, row + j), hn::Set(d, by)), d, row + j);
        }
        for (; j < columns; ++j) {
            row[j] /= by;
        }
    }
}

void wide_exponentials(std::span<double> differences) {
    const F64 d;
    const std::size_t width = hn::Lanes(d);
    double* HWY_RESTRICT at = differences.data();
    std::size_t j = 0;
    for (; j + width <= differences.size(); j += width) {
        hn::StoreU(hn::Exp(d, hn::LoadU(d, at + j)), d, at + j);
    }
    for (; j < differences.size(); ++j) {
        at[j] = std::exp(at[j]);
    }
}

}  // namespace reference::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reference {

HWY_EXPORT(exponentials);
HWY_EXPORT(divide_rows);
HWY_EXPORT(wide_exponentials);

void exponentials(Matrix<float> scores, std::span<float> row_max, std::span<float> row_sum) {
    HWY_DYNAMIC_DISPATCH(exponentials)(scores, row_max, row_sum);
}

void divide_rows(Matrix<float> values, std::span<const float> divisor) {
    HWY_DYNAMIC_DISPATCH(divide_rows)(values, divisor);
}

void wide_softmax_row(std::span<const float> scores, std::span<double> value, std::span<float> distance) {
    const double maximum = static_cast<double>(*std::ranges::max_element(scores));
    for (std::size_t j = 0; j < scores.size(); ++j) {
        value[j] = static_cast<double>(scores[j]) - maximum;
    }
    if (!distance.empty()) {
        std::ranges::transform(value, distance.begin(), [](double x) { return static_cast<float>(-x); });
    }
    HWY_DYNAMIC_DISPATCH(wide_exponentials)(value);
    double sum = 0;
    for (const double exponential : value) {
        sum += exponential;
    }
    for (double& probability : value) {
        probability /= sum;
    }
}

}  // namespace reference
#endif  // HWY_ONCE
