#include "harness/error_map.hpp"

#include <algorithm>
#include <cmath>

namespace harness {
namespace {

constexpr int lowest_octave = -9;  // of a, which holds all below
constexpr int last_letter = 'z' - 'a';

}  // namespace

char error_letter(double ratio) {
    if (ratio == 0) {
        return '.';
    }
    if (!std::isfinite(ratio)) {
        return '!';
    }
    // Octaves are open below and closed above, so that what lies at its bound lies within it.
    const int floor = std::ilogb(ratio);
    const int octave = ratio == std::ldexp(1.0, floor) ? floor - 1 : floor;
    return static_cast<char>('a' + std::clamp(octave - lowest_octave, 0, last_letter));
}

}  // namespace harness
