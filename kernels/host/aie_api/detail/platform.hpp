// Words that a kernel takes from the compiler for the array rather than from the API: pragmas of the loop
// scheduler, memory banks, trace events. They steer speed only, so that on the host they are empty.
//
// Spelling: chess_* as Xilinx/llvm-aie clang/lib/Headers/aiebase_chess.h, the bank qualifiers as
// Xilinx/aie_api aie_types.hpp, the architecture numbers as its detail/config.hpp (10 AIE, 20 AIE-ML / XDNA1,
// 21 XDNA2).
//
// Included last by aie_api/aie.hpp: `restrict` is a macro here, as in the compilers for the array.
#pragma once

#include <cassert>

#ifndef __AIE_ARCH__
#define __AIE_ARCH__ 20
#endif
static_assert(__AIE_ARCH__ == 20, "kernels/host stands for AIE2 (AIE-ML, XDNA1), whose __AIE_ARCH__ is 20");

#ifndef restrict
#define restrict __restrict
#endif

#define __aie_inline inline
#define __aie_noinline __attribute__((noinline))
#define __aie_dm_resource_a
#define __aie_dm_resource_b
#define __aie_dm_resource_c
#define __aie_dm_resource_d
#define __aie_dm_resource_stack

#define chess_const(x) __builtin_constant_p(x)
#define chess_copy(x) (x)
#define chess_dont_chain(x) (x)
#define chess_flatten_loop
#define chess_keep_sw_loop
#define chess_loop_count(x)
#define chess_loop_range(...)
#define chess_manifest(x) (__builtin_constant_p(x) && (x))
#define chess_modulo_scheduling_budget_ratio(x)
#define chess_no_hw_loop
#define chess_no_prepare_for_pipelining
#define chess_output
#define chess_peel_pipelined_loop(x)
#define chess_prepare_for_pipelining
#define chess_protect_access
#define chess_require_min_loop_count(x)
#define chess_separator()
#define chess_separator_scheduler(...)
#define chess_separator_scheduler_local(...)
#define chess_storage(x)
#define chess_unroll_loop(...)
#define chess_unroll_loop_preamble

// Trace events: marks in the array's trace, nothing a kernel computes with.
inline void event0() {}
inline void event1() {}

namespace aie {

// What the API is compiled for.
struct arch {
    enum ArchVersion : unsigned { AIE = 10, AIE_ML = 20, XDNA_2 = 21 };
    enum ArchGeneration : unsigned { Gen1 = 1, Gen2 = 2 };
    static constexpr ArchVersion version = AIE_ML;
    static constexpr ArchGeneration generation = Gen2;

    template <typename... T>
    static constexpr bool is(T... of) {
        return ((static_cast<unsigned>(of) == static_cast<unsigned>(version) ||
                 static_cast<unsigned>(of) == static_cast<unsigned>(generation)) ||
                ...);
    }
};

}  // namespace aie
