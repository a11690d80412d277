// The control state of a core that conversions read: rounding and saturation mode. On the array it lives in a
// control register of every core; here every thread is a core.
//
// Names and numbers as Xilinx/aie_api aie_types.hpp and the crRnd field of the AIE-ML core.
#pragma once

namespace aie {

// What is dropped decides (floor, ceil and their symmetric forms), or the nearest value is taken and the name
// says where a tie goes.
enum class rounding_mode : unsigned {
    floor = 0,            // toward minus infinity; the mode after reset
    ceil = 1,             // toward plus infinity
    symmetric_floor = 2,  // toward zero
    symmetric_ceil = 3,   // away from zero
    negative_inf = 8,     // nearest, ties toward minus infinity
    positive_inf = 9,     // nearest, ties toward plus infinity
    symmetric_zero = 10,  // nearest, ties toward zero
    symmetric_inf = 11,   // nearest, ties away from zero
    conv_even = 12,       // nearest, ties to even
    conv_odd = 13,        // nearest, ties to odd
};

// How an accumulator leaves for a narrower integer. Floating-point conversions do not read it.
enum class saturation_mode : unsigned {
    none = 0,
    saturate = 1,
    symmetric = 3,
};

namespace detail {

struct CoreState {
    rounding_mode rounding = rounding_mode::floor;
    saturation_mode saturation = saturation_mode::none;
};

inline thread_local CoreState core_state;

// The state after reset of the core.
inline void reset_core() {
    core_state = CoreState{};
}

}  // namespace detail

inline void set_rounding(rounding_mode mode) {
    detail::core_state.rounding = mode;
}

inline rounding_mode get_rounding() {
    return detail::core_state.rounding;
}

inline void set_saturation(saturation_mode mode) {
    detail::core_state.saturation = mode;
}

inline saturation_mode get_saturation() {
    return detail::core_state.saturation;
}

// The same state by way of the core itself.
class tile {
public:
    static tile current() { return {}; }
    void set_rounding(rounding_mode mode) const { aie::set_rounding(mode); }
    rounding_mode get_rounding() const { return aie::get_rounding(); }
    void set_saturation(saturation_mode mode) const { aie::set_saturation(mode); }
    saturation_mode get_saturation() const { return aie::get_saturation(); }
};

}  // namespace aie

// As the compilers' own functions spell it, by number.
inline void set_rnd(unsigned mode) {
    aie::set_rounding(static_cast<aie::rounding_mode>(mode));
}
inline unsigned get_rnd() {
    return static_cast<unsigned>(aie::get_rounding());
}
