// The few functions of the compilers for the array that public bf16 kernels call past the API, at global
// scope.
//
// Names: Xilinx/llvm-aie clang/lib/Headers aiev2 intrinsics, as used in mlir-aie aie_kernels/aie2 and
// mlir-air programming_examples.
#pragma once

#include "aie_api/detail/accum.hpp"
#include "aie_api/detail/compare.hpp"
#include "aie_api/detail/lookup.hpp"
#include "aie_api/detail/shuffle.hpp"
#include "aie_api/detail/vector.hpp"

// fp32 to bf16 by the rounding mode in force.
inline v16bfloat16 to_v16bfloat16(const v16accfloat& acc) {
    return acc.to_vector<bfloat16>();
}

// floor(x * 2^shift) to int32, whatever the rounding mode.
inline v16int32 bfloat16_to_int(const v16bfloat16& v, int shift) {
    v16int32 out;
    for (unsigned i = 0; i < 16; ++i) {
        out.host_data()[i] = aie::detail::floor_to_int(v.host_data()[i], shift);
    }
    return out;
}

// The bytes of `v`, then those of `w`, from byte `bytes` on.
template <typename T, unsigned N>
aie::vector<T, N> shift_bytes(const aie::vector<T, N>& v, const aie::vector<T, N>& w, unsigned bytes) {
    aie::detail::require(bytes % sizeof(T) == 0 && bytes <= N * sizeof(T),
                         "shift_bytes: a whole number of elements, at most one vector");
    return aie::shuffle_down_fill(v, w, bytes / static_cast<unsigned>(sizeof(T)));
}

inline v32bfloat16 broadcast_zero_bfloat16() {
    return aie::detail::spread<bfloat16, 32>(bfloat16::from_bits(0));
}
inline v32bfloat16 broadcast_zero_to_v32bfloat16() {
    return broadcast_zero_bfloat16();
}
inline v32bfloat16 broadcast_one_to_v32bfloat16() {
    return aie::detail::spread<bfloat16, 32>(bfloat16::from_bits(0x3F80));
}

inline v16int32 broadcast_to_v16int32(int32 value) {
    return aie::detail::spread<int32, 16>(value);
}
template <typename T, unsigned N>
T extract_elem(const aie::vector<T, N>& v, unsigned lane) {
    return v.get(lane);
}

inline v16bfloat16 extract_v16bfloat16(const v32bfloat16& v, int part) {
    return v.extract<16>(static_cast<unsigned>(part));
}
inline v8bfloat16 extract_v8bfloat16(const v16bfloat16& v, int part) {
    return v.extract<8>(static_cast<unsigned>(part));
}
inline v8bfloat16 extract_v8bfloat16(const v32bfloat16& v, int part) {
    return v.extract<8>(static_cast<unsigned>(part));
}
