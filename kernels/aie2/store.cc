// How a tile of sums begins and leaves: bias or zero in, a power of two times the sums out.
//
// Contract: kernels.h. start_tile and zero_tile are exact, scale_tile is exact but for underflow, to 0.
// store_tile rounds once, to bf16; the multiplication by a power of two after it is exact, so that it rounds
// scale * c itself wherever neither leaves the range of normal bf16.
// L1: c 16 KB, out 8 KB, bias 128 B. VMACs: store_tile 256, the others none.
#include <aie_api/aie.hpp>

#include "kernels.h"
#include "wide.h"

namespace kernels::aie2 {
namespace {

constexpr unsigned vectors = tile * tile / lanes;
constexpr unsigned column_blocks = tile / 4;

// A number is infinite or NaN where its bits without the sign are at least these, and denormal or 0 where
// they are below normal_bits.
constexpr int32 infinity_bits = 0x7F800000;
constexpr int32 normal_bits = 0x00800000;
constexpr int32 one_bits = 0x3F800000;  // of 1.0
constexpr int32 sign_bit = -0x7FFFFFFF - 1;

template <aie::rounding_mode rounding>
inline void store(const float* __restrict c, float scale, bfloat16* __restrict out) {
    aie::set_rounding(rounding);
    const Bf16s factor = aie::broadcast<bfloat16, lanes>(bfloat16(scale));
    for (unsigned i = 0; i < vectors; ++i) {
        const Bf16s rounded = Accum(aie::load_v<lanes>(c + i * lanes)).to_vector<bfloat16>();
        aie::store_v(out + i * lanes, aie::mul(rounded, factor).template to_vector<bfloat16>());
    }
    aie::set_rounding(aie::rounding_mode::floor);
}

inline void start(const bfloat16* __restrict bias, float* __restrict c) {
    for (unsigned first = 0; first < tile; first += lanes) {
        const Floats wide = Accum(aie::load_v<lanes>(bias + first)).to_vector<float>();
        for (unsigned part = 0; part < lanes / 4; ++part) {
            const Floats block = wide.extract<4>(part).grow_replicate<lanes>();
            float* column = c + (first / 4 + part) * lanes;
            for (unsigned row = 0; row < tile / 4; ++row) {
                aie::store_v(column + row * column_blocks * lanes, block);
            }
        }
    }
}

inline void zero(float* c) {
    const Floats zero = aie::zeros<float, lanes>();
    for (unsigned i = 0; i < vectors; ++i) {
        aie::store_v(c + i * lanes, zero);
    }
}

// A power of two moves the exponent: an addition to the bits, no VMAC. Where the product leaves the normal
// numbers it is 0 or infinite, of its sign.
inline void scale(float* c, float by) {
    const int32 factor = aie::broadcast<float, lanes>(by).cast_to<int32>().get(0);
    const int32 flip = factor < 0 ? sign_bit : 0;
    const int32 step = (factor ^ flip) - one_bits;
    const int32 highest = infinity_bits - (step > 0 ? step : 0);
    const int32 lowest = normal_bits - (step < 0 ? step : 0);
    for (unsigned i = 0; i < vectors; ++i) {
        const Words x = aie::bit_xor(flip, aie::load_v<lanes>(c + i * lanes).cast_to<int32>());
        const Words magnitude = aie::bit_and(int32(0x7FFFFFFF), x);
        const Words sign = aie::bit_xor(magnitude, x);
        const Words product = aie::add(sign, aie::add(aie::min(magnitude, highest), step));
        const Words flushed = aie::select(product, sign, aie::lt(magnitude, lowest));
        const Words result = aie::select(flushed, x, aie::ge(magnitude, infinity_bits));
        aie::store_v(c + i * lanes, result.cast_to<float>());
    }
}

}  // namespace
}  // namespace kernels::aie2

extern "C" {

void start_tile(const bfloat16* bias, float* c) {
    kernels::aie2::start(bias, c);
}

void zero_tile(float* c) {
    kernels::aie2::zero(c);
}

void store_tile_even(const float* c, float scale, bfloat16* out) {
    kernels::aie2::store<aie::rounding_mode::conv_even>(c, scale, out);
}

void store_tile_floor(const float* c, float scale, bfloat16* out) {
    kernels::aie2::store<aie::rounding_mode::floor>(c, scale, out);
}

void scale_tile(float* c, float scale) {
    kernels::aie2::scale(c, scale);
}

}  // extern "C"
