// fp32 by fp32, elementwise. An AIE2 core has no such multiplier: the compilers emulate it with bf16
// products.
//
// Steps and their order: Xilinx/llvm-aie clang/lib/Headers/aiev2_core.h, mul_elem_16 and mac_elem_16 in their
// default form `accuracy_safe`, without AIE2_FP32_EMULATION_SET_RND_MODE; so the operands are split by the
// rounding mode in force. That AMD's chess compiler takes the same steps is not established.
#pragma once

#include "aie_api/detail/narrow.hpp"
#include "aie_api/detail/vmac.hpp"

namespace aie::detail {

// v = part[0] + part[1] + part[2], each the bf16 of what the ones before leave; 16 lanes.
struct FloatParts {
    explicit FloatParts(const float* v) {
        bfloat16 one[16];
        std::fill_n(one, 16, bfloat16::from_bits(0x3F80));
        alignas(64) float rest[16];
        std::copy_n(v, 16, rest);
        for (unsigned i = 0; i < 3; ++i) {
            round_to_bf16<16>(rest, part[i], get_rounding());
            if (i < 2) {
                FloatParts::negate(part[i]);
                vmac<1>(rest, &part[i][0].bits, &one[0].bits);
                FloatParts::negate(part[i]);
            }
        }
    }

    static void negate(bfloat16 (&values)[16]) {
        for (bfloat16& value : values) {
            value = -value;
        }
    }

    bfloat16 part[3][16];
};

// acc = v w, or acc + v w where `accumulate`, or -(v w) where `negative`: nine VMACs from the smallest
// product to the largest, whose last one adds the accumulator. 16 lanes.
template <bool accumulate, bool negative>
inline void multiply_floats(const float* v, const float* w, float* acc) {
    FloatParts left(v);
    const FloatParts right(w);
    if constexpr (negative) {
        for (auto& part : left.part) {
            FloatParts::negate(part);
        }
    }
    constexpr unsigned order[9][2] = {{2, 2}, {2, 1}, {1, 2}, {0, 2}, {1, 1}, {2, 0}, {1, 0}, {0, 1}, {0, 0}};
    alignas(64) float sum[16] = {};
    for (unsigned step = 0; step < 8; ++step) {
        vmac<1>(sum, &left.part[order[step][0]][0].bits, &right.part[order[step][1]][0].bits);
    }
    if constexpr (accumulate) {
        vmac<1, true>(sum, &left.part[0][0].bits, &right.part[0][0].bits, acc);
    } else {
        vmac<1>(sum, &left.part[0][0].bits, &right.part[0][0].bits);
    }
    std::copy_n(sum, 16, acc);
}

}  // namespace aie::detail
