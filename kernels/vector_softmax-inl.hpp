// Running softmax and fused attention on tiles. Included once per vector target by tile_kernels.cpp.
//
// Every multiplication and addition below is one fp32 rounding (no fused multiply-add: these products are not
// exact), and sums run in an order that does not depend on the vector width. The exponentials of a tile are
// looked up one by one between two vector passes, which takes as long as gather instructions do where those
// are fast (measured on Sapphire Rapids).
#include <stdexcept>

#include "kernels/exp_table.hpp"
#include "kernels/vector_convert-inl.hpp"
#include "kernels/vector_multiply-inl.hpp"

#if defined(KERNELS_VECTOR_SOFTMAX_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_VECTOR_SOFTMAX_INL
#undef KERNELS_VECTOR_SOFTMAX_INL
#else
#define KERNELS_VECTOR_SOFTMAX_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

constexpr int sum_lanes = 16;

// Folds values (aligned) upon themselves, halves upon halves, down to one: i with i + count / 2, and so on.
#if HWY_TARGET == HWY_SCALAR
template <int count, typename Combine>
HWY_INLINE float fold(float* values, const Combine& combine) {
    const Floats one;
    for (int half = count / 2; half >= 1; half /= 2) {
        for (int i = 0; i < half; ++i) {
            hn::Store(combine(hn::Load(one, values + i), hn::Load(one, values + i + half)), one, values + i);
        }
    }
    return values[0];
}
#else
template <int count, typename Combine>
HWY_INLINE float fold(const float* values, const Combine& combine) {
    const hn::FixedTag<float, 4> quad;
    decltype(hn::Zero(quad)) parts[count / 4];
    for (int i = 0; i < count / 4; ++i) {
        parts[i] = hn::Load(quad, values + 4 * i);
    }
    for (int half = count / 8; half >= 1; half /= 2) {
        for (int i = 0; i < half; ++i) {
            parts[i] = combine(parts[i], parts[i + half]);
        }
    }
    const auto pair = combine(parts[0], hn::Shuffle1032(parts[0]));
    return hn::GetLane(combine(pair, hn::Shuffle2301(pair)));
}
#endif

// The largest of `previous` and the real scores of one row. A NaN is never larger. Adding zero turns a -0, of
// which the order of comparison decides, into +0.
HWY_INLINE float row_maximum(const float* scores, int keys, float previous) {
    const Floats floats;
    FloatVector maximum = hn::Set(floats, previous);
    for (int column = 0; column < keys; column += lanes) {
        const FloatVector score = hn::LoadU(floats, scores + column);
        const FloatMask larger = hn::And(real_keys(column, keys), hn::Gt(score, maximum));
        maximum = hn::IfThenElse(larger, score, maximum);
    }
    // Not hn::MaxOfLanes: of -infinity in all lanes it makes the lowest finite number on some targets.
    HWY_ALIGN float of_lane[lanes];
    hn::Store(maximum, floats, of_lane);
    return fold<lanes>(of_lane, [](auto a, auto b) HWY_ATTR { return hn::IfThenElse(hn::Gt(b, a), b, a); }) +
           0.0F;
}

// Entries of look_up_exponentials for one row: that of exp_difference(score, maximum) for the real keys, that
// of 0 for the padded ones.
HWY_INLINE void row_entries(const float* scores, int keys, float maximum, std::uint16_t* entries) {
    const Floats floats;
    const Words words;
    const FloatVector lowest = hn::Set(floats, exp_lowest_argument);
    const FloatVector row_maximum = hn::Set(floats, maximum);
    const FloatVector nan_entry = hn::BitCast(floats, hn::Set(words, std::uint32_t{exp_nan_entry}));
    const FloatVector zero_entry = hn::BitCast(floats, hn::Set(words, std::uint32_t{exp_zero_entry}));
    for (int column = 0; column < tile; column += lanes) {
        const FloatVector difference = hn::Sub(hn::LoadU(floats, scores + column), row_maximum);
        const FloatVector clamped = hn::IfThenElse(hn::Lt(difference, lowest), lowest, difference);
        const WordVector magnitude = round_bf16<Store::bf16_nearest_even>(hn::Abs(clamped));
        const FloatMask valid = hn::Le(difference, hn::Zero(floats));
        const FloatVector entry = hn::IfThenElse(valid, hn::BitCast(floats, magnitude), nan_entry);
        const FloatVector real = hn::IfThenElse(real_keys(column, keys), entry, zero_entry);
        store_halves(hn::BitCast(words, real), entries + column);
    }
}

// exponentials[i, j] = bf16 bits of exp_difference(scores[i, j], row_max[i]), 0 for the padded keys.
HWY_INLINE void exponentiate(const float* scores, int keys, const float* row_max,
                             std::uint16_t* exponentials) {
    for (int row = 0; row < tile; ++row) {
        row_entries(scores + row * tile, keys, row_max[row], exponentials + row * tile);
    }
    look_up_exponentials({exponentials, tile_size});
}

// The sum of 64 bf16: 16 partial sums of every 16th in ascending order, then halves added to halves: 8, 4,
// 2, 1.
HWY_INLINE float row_total(const std::uint16_t* exponentials) {
    const Floats floats;
    HWY_ALIGN float partial[sum_lanes];
    for (int lane = 0; lane < sum_lanes; lane += lanes) {
        FloatVector sum = load_bf16(exponentials + lane);
        for (int column = lane + sum_lanes; column < tile; column += sum_lanes) {
            sum = hn::Add(sum, load_bf16(exponentials + column));
        }
        hn::Store(sum, floats, partial + lane);
    }
    return fold<sum_lanes>(partial, [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); });
}

// softmax_update, which also leaves the exponentials and each row's factor exp(m - m') behind.
HWY_INLINE void update_softmax(const float* scores, int keys, const SoftmaxState& state,
                               std::uint16_t* exponentials, float* rescale) {
    for (int row = 0; row < tile; ++row) {
        const float previous = state.row_max[row];
        const float maximum = row_maximum(scores + row * tile, keys, previous);
        rescale[row] = maximum == previous ? 1.0F : exp_difference(previous, maximum);
        state.row_max[row] = maximum;
    }
    exponentiate(scores, keys, state.row_max, exponentials);
    for (int row = 0; row < tile; ++row) {
        const float kept = state.row_sum[row] * rescale[row];
        state.row_sum[row] = kept + row_total(exponentials + row * tile);
    }
}

// 1 / row_sum; 0 where no key was ever taken in, so that such rows come out as zeros.
HWY_INLINE float reciprocal(float row_sum) {
    return row_sum == 0.0F ? 0.0F : 1.0F / row_sum;
}

void softmax_update(const float* scores, int keys, const SoftmaxState& state) {
    if (keys <= 0) {
        return;
    }
    HWY_ALIGN std::uint16_t exponentials[tile_size];
    HWY_ALIGN float rescale[tile];
    update_softmax(scores, keys, state, exponentials, rescale);
}

template <Store store>
HWY_INLINE void normalise(const std::uint16_t* exponentials, int keys, const float* row_sum,
                          std::uint16_t* p) {
    const Floats floats;
    for (int row = 0; row < tile; ++row) {
        const FloatVector inverse = hn::Set(floats, reciprocal(row_sum[row]));
        const auto widened = [&](FloatVector value) HWY_ATTR {
            return hn::BitCast(floats, hn::ShiftLeft<16>(round_bf16<Store::bf16_nearest_even>(value)));
        };
        const FloatVector high = widened(inverse);
        const FloatVector low = widened(hn::Sub(inverse, high));
        for (int column = 0; column < tile; column += lanes) {
            const FloatVector e = load_bf16(exponentials + row * tile + column);
            const FloatVector probability = hn::Add(hn::Mul(e, high), hn::Mul(e, low));
            const FloatVector real = hn::IfThenElseZero(real_keys(column, keys), probability);
            store_halves(round_bf16<store>(real), p + row * tile + column);
        }
    }
}

void softmax_finish(const float* scores, int keys, const SoftmaxState& state, Store store, std::uint16_t* p) {
    HWY_ALIGN std::uint16_t exponentials[tile_size];
    exponentiate(scores, keys, state.row_max, exponentials);
    switch (store) {
        case Store::bf16_nearest_even:
            return normalise<Store::bf16_nearest_even>(exponentials, keys, state.row_sum, p);
        case Store::bf16_toward_zero:
            return normalise<Store::bf16_toward_zero>(exponentials, keys, state.row_sum, p);
        case Store::bf16_floor:
            return normalise<Store::bf16_floor>(exponentials, keys, state.row_sum, p);
        case Store::f32:
            break;
    }
    throw std::invalid_argument("softmax_finish: probabilities leave the core as bf16, not as fp32");
}

// values[i] *= factor over `count` values.
HWY_INLINE void scale_values(float* values, std::size_t count, float factor) {
    const Floats floats;
    for (std::size_t i = 0; i < count; i += lanes) {
        hn::StoreU(hn::Mul(hn::LoadU(floats, values + i), hn::Set(floats, factor)), floats, values + i);
    }
}

void attention_update(const std::uint16_t* query, const std::uint16_t* key, const std::uint16_t* value,
                      int keys, float scale, const AttentionState& state) {
    if (keys <= 0) {
        return;
    }
    HWY_ALIGN float wide[tile_size];
    HWY_ALIGN float scores[tile_size] = {};
    HWY_ALIGN std::uint16_t exponentials[tile_size];
    HWY_ALIGN float rescale[tile];
    widen_transposed(key, wide);
    multiply_wide(query, wide, tile, scores);
    scale_values(scores, tile_size, scale);
    update_softmax(scores, keys, state.softmax, exponentials, rescale);
    for (int row = 0; row < tile; ++row) {
        if (rescale[row] != 1.0F) {
            scale_values(state.context + row * tile, tile, rescale[row]);
        }
    }
    widen(value, wide);
    multiply_wide(exponentials, wide, keys, state.context);
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
