// What a module for the CPU has beside its kernels: the core's reset, its rounding mode (aie::rounding_mode),
// and the level of x86-64 it was compiled for.
#include <aie_api/detail/rounding.hpp>

extern "C" {

void aie_reset_core() {
    aie::detail::reset_core();
}

void aie_set_core_rounding(unsigned mode) {
    aie::set_rounding(static_cast<aie::rounding_mode>(mode));
}

unsigned aie_core_rounding() {
    return static_cast<unsigned>(aie::get_rounding());
}

const char* aie_module_level() {
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
    return "x86-64-v4";
#elif defined(__AVX2__) && defined(__FMA__)
    return "x86-64-v3";
#else
    return "x86-64-v2";
#endif
}

}  // extern "C"
