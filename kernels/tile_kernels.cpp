// The kernels of tile_kernels.hpp, compiled once for every vector instruction set (Highway includes this file
// again for each) and chosen when the table is asked for.
#include "kernels/tile_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/tile_kernels.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/vector_block-inl.hpp"
#include "kernels/vector_convert-inl.hpp"
#include "kernels/vector_multiply-inl.hpp"
#include "kernels/vector_softmax-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

void start(const std::uint16_t* bias, float* acc) {
    const Floats floats;
    for (int column = 0; column < tile; column += lanes) {
        const FloatVector value = bias == nullptr ? hn::Zero(floats) : load_bf16(bias + column);
        for (int row = 0; row < tile; ++row) {
            hn::StoreU(value, floats, acc + row * tile + column);
        }
    }
}

// out[i, j] = store(acc[i, j] * factors[i * stride]): stride 1 for a factor per row, 0 for one factor.
template <Store store>
HWY_INLINE void scale_and_store(const float* acc, const float* factors, int stride, void* out) {
    const Floats floats;
    for (int row = 0; row < tile; ++row) {
        const FloatVector factor = hn::Set(floats, factors[row * stride]);
        for (int column = 0; column < tile; column += lanes) {
            const int at = row * tile + column;
            const FloatVector value = hn::Mul(hn::LoadU(floats, acc + at), factor);
            if constexpr (store == Store::f32) {
                hn::StoreU(value, floats, static_cast<float*>(out) + at);
            } else {
                store_halves(round_bf16<store>(value), static_cast<std::uint16_t*>(out) + at);
            }
        }
    }
}

void scale_and_store_as(Store store, const float* acc, const float* factors, int stride, void* out) {
    switch (store) {
        case Store::f32:
            return scale_and_store<Store::f32>(acc, factors, stride, out);
        case Store::bf16_nearest_even:
            return scale_and_store<Store::bf16_nearest_even>(acc, factors, stride, out);
        case Store::bf16_toward_zero:
            return scale_and_store<Store::bf16_toward_zero>(acc, factors, stride, out);
        case Store::bf16_floor:
            return scale_and_store<Store::bf16_floor>(acc, factors, stride, out);
    }
}

void finish(const float* acc, float scale, Store store, void* out) {
    scale_and_store_as(store, acc, &scale, 0, out);
}

void multiply_stored(const std::uint16_t* left, const std::uint16_t* right, Right layout, Store store,
                     std::uint16_t* c) {
    HWY_ALIGN float acc[tile * tile];
    for (int i = 0; i < tile * tile; ++i) {
        acc[i] = hwy::F32FromBF16(hwy::bfloat16_t{c[i]});
    }
    multiply(left, right, layout, acc);
    finish(acc, 1.0F, store, c);
}

void attention_finish(const AttentionState& state, Store store, void* out) {
    float factors[tile];
    for (int row = 0; row < tile; ++row) {
        factors[row] = reciprocal(state.softmax.row_sum[row]);
    }
    scale_and_store_as(store, state.context, factors, 1, out);
}

const KernelTable* table_of_target() {
    static const KernelTable table{
        .target = hwy::TargetName(HWY_TARGET),
        .reset = [] {},
        .start = start,
        .multiply = multiply,
        .multiply_stored = multiply_stored,
        .finish = finish,
        .softmax_update = softmax_update,
        .softmax_finish = softmax_finish,
        .attention_update = attention_update,
        .attention_finish = attention_finish,
        .layer_norm = layer_norm,
        .gelu = gelu,
    };
    return &table;
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kernels {

HWY_EXPORT(table_of_target);

const KernelTable& tile_kernels() {
    return *HWY_DYNAMIC_DISPATCH(table_of_target)();
}

}  // namespace kernels
#endif
