#include "reference/elementwise.hpp"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "reference/elementwise.cpp"
// Compiles this file once per instruction set; comes before the rest of Highway.
#include "hwy/foreach_target.h"

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reference::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using F64 = hn::ScalableTag<double>;
// As many floats as there are doubles in a vector.
using Narrow = hn::Rebind<float, F64>;
using VF64 = hn::Vec<F64>;
using VNarrow = hn::Vec<Narrow>;

// exp(-t^2 / 2) as 2^y: 2^f on |f| <= 1/2 by the polynomial of degree 6 with the least largest relative error
// (1.9e-9), times 2^n.
HWY_INLINE VF64 bell(F64 d, VF64 t) {
    const hn::RebindToUnsigned<F64> bits;
    // Adding 1.5 * 2^52 leaves the rounded integer in the low bits of the sum; 1023 more makes it the
    // exponent of 2^n.
    const auto to_integer = hn::Set(d, 6755399441055744.0 + 1023.0);
    const auto half_log2_e = hn::Set(d, -0.72134752044448170);
    const auto square = hn::Mul(t, t);
    const auto shifted = hn::MulAdd(square, half_log2_e, to_integer);
    const auto power = hn::BitCast(d, hn::ShiftLeft<52>(hn::BitCast(bits, shifted)));
    const auto f = hn::MulSub(square, half_log2_e, hn::Sub(shifted, to_integer));
    auto p = hn::MulAdd(f, hn::Set(d, 0.00015345799721190254), hn::Set(d, 0.0013399931119321834));
    p = hn::MulAdd(p, f, hn::Set(d, 0.009618489002742883));
    p = hn::MulAdd(p, f, hn::Set(d, 0.055503287772754796));
    p = hn::MulAdd(p, f, hn::Set(d, 0.2402264689021275));
    p = hn::MulAdd(p, f, hn::Set(d, 0.6931472057370764));
    p = hn::MulAdd(p, f, hn::Set(d, 1.000000000554221));
    return hn::Mul(p, power);
}

// Phi(-t) / exp(-t^2 / 2) for 0 <= t <= 16: u times a polynomial of degree 9 in u = 1 / (1 + 0.2375 t), again
// with the least largest relative error (2.4e-9, Chebyshev nodes, reweighted least squares). u comes from
// single precision by one step of Newton's.
HWY_INLINE VF64 scaled_tail(F64 d, VF64 t) {
    const Narrow narrow;
    const auto one = hn::Set(d, 1.0);
    const auto denominator = hn::MulAdd(t, hn::Set(d, 0.2375), one);
    const auto guess = hn::PromoteTo(d, hn::Div(hn::Set(narrow, 1.0F), hn::DemoteTo(narrow, denominator)));
    const auto u = hn::MulAdd(hn::NegMulAdd(denominator, guess, one), guess, guess);
    auto p = hn::MulAdd(u, hn::Set(d, 0.026895857660797922), hn::Set(d, -0.13694050712138614));
    p = hn::MulAdd(p, u, hn::Set(d, 0.24066811766824342));
    p = hn::MulAdd(p, u, hn::Set(d, -0.18652065107567706));
    p = hn::MulAdd(p, u, hn::Set(d, 0.17437531539964943));
    p = hn::MulAdd(p, u, hn::Set(d, 0.012543004645760789));
    p = hn::MulAdd(p, u, hn::Set(d, 0.09210076662285369));
    p = hn::MulAdd(p, u, hn::Set(d, 0.08717642804639511));
    p = hn::MulAdd(p, u, hn::Set(d, 0.0949617641787041));
    p = hn::MulAdd(p, u, hn::Set(d, 0.09473990339473878));
    return hn::Mul(p, u);
}

// x Phi(x) = max(x, 0) - |x| Phi(-|x|): no digit of the left tail is lost. Beyond 16, |x| Phi(-|x|) is less
// than any float.
HWY_INLINE void gelu_at(F64 d, float* at) {
    const Narrow narrow;
    const auto x = hn::PromoteTo(d, hn::LoadU(narrow, at));
    const auto t = hn::Min(hn::Abs(x), hn::Set(d, 16.0));
    const auto tail = hn::Mul(hn::Mul(t, scaled_tail(d, t)), bell(d, t));
    // Not Max: a NaN stays one.
    const auto positive = hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
    hn::StoreU(hn::DemoteTo(narrow, hn::Sub(positive, tail)), narrow, at);
}

void gelu(std::span<float> x) {
    const F64 d;
    const std::size_t width = hn::Lanes(d);
    float* at = x.data();
    std::size_t j = 0;
    // Two at a time, so that both chains of dependent operations are under way.
    for (; j + 2 * width <= x.size(); j += 2 * width) {
        gelu_at(d, at + j);
        gelu_at(d, at + j + width);
    }
    for (; j < x.size(); j += width) {
        HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(double)] = {};
        const std::size_t count = std::min(width, x.size() - j);
        std::copy_n(at + j, count, lanes);
        gelu_at(d, lanes);
        std::copy_n(lanes, count, at + j);
    }
}

// Not marked as free of aliases: the result may be one of the addends.
void add_row(const float* a, const float* b, float* result, std::size_t columns) {
    const F32 d;
    const std::size_t width = hn::Lanes(d);
    std::size_t j = 0;
    for (; j + width <= columns; j += width) {
        hn::StoreU(hn::Add(hn::LoadU(d, a + j), hn::LoadU(d, b + j)), d, result + j);
    }
    for (; j < columns; ++j) {
        result[j] = a[j] + b[j];
    }
}

}  // namespace reference::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reference {

HWY_EXPORT(gelu);
HWY_EXPORT(add_row);

void gelu(std::span<float> x) {
    HWY_DYNAMIC_DISPATCH(gelu)(x);
}

void add(ConstMatrix<float> a, ConstMatrix<float> b, Matrix<float> result) {
    for (std::int64_t i = 0; i < result.rows; ++i) {
        const std::span<float> row = result.row(i);
        HWY_DYNAMIC_DISPATCH(add_row)(a.row(i).data(), b.row(i).data(), row.data(), row.size());
    }
}

void add_to_rows(Matrix<float> values, std::span<const float> addend) {
    for (std::int64_t i = 0; i < values.rows; ++i) {
        const std::span<float> row = values.row(i);
        HWY_DYNAMIC_DISPATCH(add_row)(row.data(), addend.data(), row.data(), row.size());
    }
}

}  // namespace reference
#endif  // HWY_ONCE
