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

constexpr double steepness = 0.2375;

// t Phi(-t) for 0 <= t <= 16. Phi(-t) / exp(-t^2 / 2) is u times a polynomial of degree 9 in u = 1 / (1 +
// 0.2375 t), again with the least largest relative error (2.4e-9, Chebyshev nodes, reweighted least squares).
// u comes from `guess`, its value in single precision, by one step of Newton's.
HWY_INLINE VF64 tail(F64 d, VF64 t, VF64 guess) {
    const auto one = hn::Set(d, 1.0);
    const auto denominator = hn::MulAdd(t, hn::Set(d, steepness), one);
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
    return hn::Mul(hn::Mul(hn::Mul(t, u), p), bell(d, t));
}

// Elements that pass through gelu together: a whole number of vectors of every instruction set.
constexpr std::size_t batch = 64;
static_assert(batch % (HWY_MAX_BYTES / sizeof(float)) == 0);

// x Phi(x) = max(x, 0) - |x| Phi(-|x|): no digit of the left tail is lost. Beyond 16, |x| Phi(-|x|) is less
// than any float. What needs no more than single precision is done in whole vectors of it.
void gelu_of_batch(float* HWY_RESTRICT x) {
    const F32 d;
    const F64 wide;
    const Narrow narrow;
    HWY_ALIGN float size[batch];
    HWY_ALIGN float guess[batch];
    const auto one = hn::Set(d, 1.0F);
    for (std::size_t j = 0; j < batch; j += hn::Lanes(d)) {
        const auto t = hn::Min(hn::Abs(hn::LoadU(d, x + j)), hn::Set(d, 16.0F));
        const auto denominator = hn::MulAdd(t, hn::Set(d, static_cast<float>(steepness)), one);
        hn::Store(t, d, size + j);
        hn::Store(hn::Div(one, denominator), d, guess + j);
    }
    for (std::size_t j = 0; j < batch; j += hn::Lanes(wide)) {
        const auto t = hn::PromoteTo(wide, hn::Load(narrow, size + j));
        const auto result = tail(wide, t, hn::PromoteTo(wide, hn::Load(narrow, guess + j)));
        hn::Store(hn::DemoteTo(narrow, result), narrow, size + j);
    }
    for (std::size_t j = 0; j < batch; j += hn::Lanes(d)) {
        const auto value = hn::LoadU(d, x + j);
        // Not Max: a NaN stays one.
        const auto positive = hn::IfThenZeroElse(hn::Lt(value, hn::Zero(d)), value);
        hn::StoreU(hn::Sub(positive, hn::Load(d, size + j)), d, x + j);
    }
}

void gelu(std::span<float> x) {
    std::size_t j = 0;
    for (; j + batch <= x.size(); j += batch) {
        gelu_of_batch(x.data() + j);
    }
    if (j < x.size()) {
        HWY_ALIGN float rest[batch] = {};
        std::copy(x.begin() + static_cast<std::ptrdiff_t>(j), x.end(), rest);
        gelu_of_batch(rest);
        std::copy_n(rest, x.size() - j, x.data() + j);
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
