// Where an op errs, small enough for run.json: a letter for each 64x64 tile.
//
//   .      no error
//   a..z   octave of the tile's largest |error| / bound: a up to 2^-8, i ends at the bound, z beyond 2^16
//   !      an element, or its error over its bound, that is not finite
//
// The letters come from the ratios that a comparison keeps anyway: no element is looked at twice.
#pragma once

#include <string>
#include <vector>

namespace harness {

// One head, or a whole op without heads (head -1).
struct HeadErrorMap {
    int head = -1;
    double rho = 0;                  // largest |error| / bound
    std::vector<std::string> tiles;  // a line of letters per 64 rows
};

// Of a failed row: the heads with an element beyond its bound, the worst first; where none is, the nearest.
inline constexpr std::size_t most_mapped_heads = 4;

// Of a run: maps of its first failed rows, until either is used up (keep_first_error_maps).
inline constexpr std::size_t most_mapped_rows = 20;
inline constexpr std::size_t most_map_letters = std::size_t{1} << 18U;

// `ratio`: the largest |error| / bound of a tile, infinite where it is not finite.
char error_letter(double ratio);

}  // namespace harness
