// bf16 <-> fp32 for vectors of any width up to 16 lanes. Included once per vector target by tile_kernels.cpp.
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/tile_kernels.hpp"

#if defined(KERNELS_VECTOR_CONVERT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_VECTOR_CONVERT_INL
#undef KERNELS_VECTOR_CONVERT_INL
#else
#define KERNELS_VECTOR_CONVERT_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Words = hn::Rebind<std::uint32_t, Floats>;
using Integers = hn::Rebind<std::int32_t, Floats>;
using Halves = hn::Rebind<std::uint16_t, Floats>;
using FloatVector = hn::Vec<Floats>;
using WordVector = hn::Vec<Words>;
using FloatMask = hn::Mask<Floats>;

constexpr int lanes = static_cast<int>(hn::MaxLanes(Floats()));
constexpr std::size_t tile_size = std::size_t{tile} * tile;

// The bf16 at `from`, as floats.
HWY_INLINE FloatVector load_bf16(const std::uint16_t* from) {
    const auto wide = hn::PromoteTo(Words(), hn::LoadU(Halves(), from));
    return hn::BitCast(Floats(), hn::ShiftLeft<16>(wide));
}

// The bf16 bits of `value` in the low half of each word. A NaN stays one, quiet; denormals are kept.
template <Store store>
HWY_INLINE WordVector round_bf16(FloatVector value) {
    const Words words;
    const WordVector bits = hn::BitCast(words, value);
    const WordVector upper = hn::ShiftRight<16>(bits);
    WordVector rounded = upper;
    if constexpr (store == Store::bf16_nearest_even) {
        const WordVector odd = hn::And(upper, hn::Set(words, 1U));
        rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(words, 0x7FFFU)), odd));
    } else if constexpr (store == Store::bf16_floor) {
        const WordVector negative = hn::BitCast(words, hn::ShiftRight<31>(hn::BitCast(Integers(), bits)));
        rounded = hn::ShiftRight<16>(hn::Add(bits, hn::And(negative, hn::Set(words, 0xFFFFU))));
    }
    const WordVector quiet = hn::Or(upper, hn::Set(words, 0x0040U));
    return hn::IfThenElse(hn::RebindMask(words, hn::IsNaN(value)), quiet, rounded);
}

HWY_INLINE void store_halves(WordVector words, std::uint16_t* to) {
    hn::StoreU(hn::DemoteTo(Halves(), hn::BitCast(Integers(), words)), Halves(), to);
}

// The lanes of a vector at `column` that lie before `keys`.
HWY_INLINE FloatMask real_keys(int column, int keys) {
    const int count = keys - column;
    return hn::FirstN(Floats(), static_cast<std::size_t>(count < 0 ? 0 : (count > lanes ? lanes : count)));
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
