#include "harness/row_comparison.hpp"

#include <algorithm>
#include <array>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "harness/row_comparison.cpp"
// Compiles this file once per instruction set; comes before the rest of Highway.
#include "hwy/foreach_target.h"

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace harness::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::ScalableTag<double>;
using Vector = hn::Vec<Doubles>;
using Mask = hn::Mask<Doubles>;
using Floats = hn::Rebind<float, Doubles>;

// The lanes of a TileComparison.
struct Lanes {
    Vector rho, error, golden, got, product, max_abs_error;
    Mask outside;
};

struct Elements {
    const float* got;
    const double* expected;
    const double* bound;
    const float* golden;
};

using Store = std::optional<datasets::Rounding>;

// To the 8 significant bits of bf16, at any exponent.
HWY_INLINE Vector to_bf16_bits(Doubles d, Vector value, datasets::Rounding rounding) {
    const hn::RebindToUnsigned<Doubles> whole;
    const hn::RebindToSigned<Doubles> integral;
    const auto below = hn::Set(whole, (std::uint64_t{1} << 45U) - 1);
    auto bits = hn::BitCast(whole, value);
    if (rounding == datasets::Rounding::nearest_even) {
        const auto odd = hn::And(hn::ShiftRight<45>(bits), hn::Set(whole, 1));
        bits = hn::Add(bits, hn::Add(hn::ShiftRight<1>(below), odd));
    } else if (rounding == datasets::Rounding::floor) {
        const auto negative = hn::BroadcastSignBit(hn::BitCast(integral, value));
        bits = hn::Add(bits, hn::And(hn::BitCast(whole, negative), below));
    }
    return hn::BitCast(d, hn::AndNot(below, bits));
}

// StoreRange::allows.
HWY_INLINE Mask store_allows(Doubles d, Vector got, Vector expected, Vector bound,
                             datasets::Rounding rounding) {
    const auto unit = hn::Set(d, datasets::bf16_unit(rounding) * (1 - 0x1p-40));
    const auto before = hn::Sub(bound, hn::Mul(unit, hn::Abs(expected)));
    const auto low = to_bf16_bits(d, hn::Sub(expected, before), rounding);
    const auto high = to_bf16_bits(d, hn::Add(expected, before), rounding);
    const auto within = hn::And(hn::Le(low, got), hn::Le(got, high));
    return hn::Or(within, hn::Lt(hn::Abs(got), hn::Set(d, 0x1p-126)));
}

HWY_INLINE void compare(Doubles d, const Elements& at, Store store, Lanes& lanes) {
    const Floats narrow;
    const auto got = hn::PromoteTo(d, hn::LoadU(narrow, at.got));
    const auto golden = hn::PromoteTo(d, hn::LoadU(narrow, at.golden));
    const auto expected = hn::LoadU(d, at.expected);
    const auto bound = hn::LoadU(d, at.bound);
    const auto error = hn::Abs(hn::Sub(got, expected));
    const auto zero = hn::Zero(d);
    // Written so that a NaN or an infinite bound is outside.
    const auto inside =
        hn::And(hn::Le(error, bound), hn::Lt(bound, hn::Set(d, std::numeric_limits<double>::infinity())));
    lanes.outside = hn::Or(lanes.outside, hn::Not(inside));
    const auto ratio = hn::IfThenElse(hn::Eq(error, zero), zero, hn::Div(error, bound));
    lanes.rho = hn::Max(lanes.rho, ratio);
    if (store) {
        lanes.outside = hn::Or(lanes.outside, hn::Not(store_allows(d, got, expected, bound, *store)));
    }
    const auto difference = hn::Sub(got, golden);
    lanes.error = hn::Add(lanes.error, hn::Mul(difference, difference));
    lanes.golden = hn::Add(lanes.golden, hn::Mul(golden, golden));
    lanes.got = hn::Add(lanes.got, hn::Mul(got, got));
    lanes.product = hn::Add(lanes.product, hn::Mul(got, golden));
    lanes.max_abs_error = hn::Max(lanes.max_abs_error, hn::Abs(difference));
}

void add_to(std::span<double> column_sums, std::span<const float> golden) {
    const Doubles d;
    const std::size_t width = hn::Lanes(d);
    std::size_t j = 0;
    for (; j + width <= golden.size(); j += width) {
        const auto more = hn::PromoteTo(d, hn::LoadU(Floats(), &golden[j]));
        hn::StoreU(hn::Add(hn::LoadU(d, &column_sums[j]), more), d, &column_sums[j]);
    }
    for (; j < golden.size(); ++j) {
        column_sums[j] += double{golden[j]};
    }
}

// A tail as whole vectors, filled up with zeros, which add nothing.
struct Tail {
    static constexpr std::size_t most = HWY_MAX_BYTES / sizeof(double);
    std::array<float, most> got{}, golden{};
    std::array<double, most> expected{}, bound{};
};

TileComparison compare_tile(std::span<const float> got, std::span<const double> expected,
                            std::span<const double> bound, Store store, std::span<const float> golden,
                            std::span<double> column_sums) {
    const Doubles d;
    const std::size_t width = hn::Lanes(d);
    const auto zero = hn::Zero(d);
    Lanes lanes{zero, zero, zero, zero, zero, zero, hn::Lt(zero, zero)};
    std::size_t j = 0;
    for (; j + width <= got.size(); j += width) {
        compare(d, {&got[j], &expected[j], &bound[j], &golden[j]}, store, lanes);
    }
    if (const std::size_t rest = got.size() - j; rest > 0) {
        Tail tail;
        std::copy_n(&got[j], rest, tail.got.data());
        std::copy_n(&golden[j], rest, tail.golden.data());
        std::copy_n(&expected[j], rest, tail.expected.data());
        std::copy_n(&bound[j], rest, tail.bound.data());
        compare(d, {tail.got.data(), tail.expected.data(), tail.bound.data(), tail.golden.data()}, store,
                lanes);
    }
    TileComparison out;
    out.inside = hn::AllFalse(d, lanes.outside);
    if (!out.inside) {
        return out;
    }
    add_to(column_sums, golden);
    const auto sum = [&](Vector v) { return hn::GetLane(hn::SumOfLanes(d, v)); };
    out.rho = hn::GetLane(hn::MaxOfLanes(d, lanes.rho));
    out.error = sum(lanes.error);
    out.golden = sum(lanes.golden);
    out.got = sum(lanes.got);
    out.product = sum(lanes.product);
    out.max_abs_error = hn::GetLane(hn::MaxOfLanes(d, lanes.max_abs_error));
    return out;
}

}  // namespace harness::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace harness {

HWY_EXPORT(compare_tile);

TileComparison compare_tile(std::span<const float> got, std::span<const double> expected,
                            std::span<const double> bound, std::optional<datasets::Rounding> store,
                            std::span<const float> golden, std::span<double> column_sums) {
    return HWY_DYNAMIC_DISPATCH(compare_tile)(got, expected, bound, store, golden, column_sums);
}

}  // namespace harness
#endif  // HWY_ONCE
