#include "reference/layer_norm.hpp"

#include <cmath>
#include <stdexcept>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "reference/layer_norm.cpp"
// Compiles this file once per instruction set; comes before the rest of Highway.
#include "hwy/foreach_target.h"

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reference::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F64 = hn::ScalableTag<double>;
// As many floats as there are doubles in a vector.
using Narrow = hn::Rebind<float, F64>;
using VF64 = hn::Vec<F64>;

constexpr double norm_epsilon = 1e-5;

HWY_INLINE VF64 wide(F64 d, const float* at) {
    return hn::PromoteTo(d, hn::LoadU(Narrow(), at));
}

double sum_of(const float* x, std::size_t columns) {
    const F64 d;
    const std::size_t width = hn::Lanes(d);
    auto sum0 = hn::Zero(d);
    auto sum1 = sum0;
    std::size_t j = 0;
    for (; j + 2 * width <= columns; j += 2 * width) {
        sum0 = hn::Add(sum0, wide(d, x + j));
        sum1 = hn::Add(sum1, wide(d, x + j + width));
    }
    double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
    for (; j < columns; ++j) {
        sum += double{x[j]};
    }
    return sum;
}

double centred_squares(const float* x, std::size_t columns, double mean) {
    const F64 d;
    const std::size_t width = hn::Lanes(d);
    const auto centre = hn::Set(d, mean);
    auto sum0 = hn::Zero(d);
    auto sum1 = sum0;
    std::size_t j = 0;
    for (; j + 2 * width <= columns; j += 2 * width) {
        const auto first = hn::Sub(wide(d, x + j), centre);
        const auto second = hn::Sub(wide(d, x + j + width), centre);
        sum0 = hn::MulAdd(first, first, sum0);
        sum1 = hn::MulAdd(second, second, sum1);
    }
    double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
    for (; j < columns; ++j) {
        const double centred = double{x[j]} - mean;
        sum += centred * centred;
    }
    return sum;
}

// gain and bias have `columns` elements. Not marked as free of aliases: the result may be x.
void normalise_row(const float* x, const float* gain, const float* bias, float* result, std::size_t columns) {
    const F64 d;
    const Narrow narrow;
    const std::size_t width = hn::Lanes(d);
    const double mean = sum_of(x, columns) / static_cast<double>(columns);
    const double variance = centred_squares(x, columns, mean) / static_cast<double>(columns);
    const double factor = 1 / std::sqrt(variance + norm_epsilon);
    std::size_t j = 0;
    for (; j + width <= columns; j += width) {
        const auto normal = hn::Mul(hn::Sub(wide(d, x + j), hn::Set(d, mean)), hn::Set(d, factor));
        const auto scaled = hn::MulAdd(normal, wide(d, gain + j), wide(d, bias + j));
        hn::StoreU(hn::DemoteTo(narrow, scaled), narrow, result + j);
    }
    for (; j < columns; ++j) {
        const double normal = (double{x[j]} - mean) * factor;
        result[j] = static_cast<float>(normal * double{gain[j]} + double{bias[j]});
    }
}

}  // namespace reference::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reference {

HWY_EXPORT(normalise_row);

void layer_norm(const datasets::Norm& norm, ConstMatrix<float> x, Matrix<float> result) {
    const auto width = static_cast<std::size_t>(x.columns);
    if (norm.gain.size() != width || norm.bias.size() != width || result.columns != x.columns ||
        result.rows != x.rows) {
        throw std::invalid_argument("a layer norm and its rows do not have the same width");
    }
    for (std::int64_t i = 0; i < x.rows; ++i) {
        HWY_DYNAMIC_DISPATCH(normalise_row)
        (x.row(i).data(), norm.gain.data(), norm.bias.data(), result.row(i).data(), width);
    }
}

}  // namespace reference
#endif  // HWY_ONCE
