// What the error of one op looks like: figures that a report draws, and nothing it would have to compute.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datasets/op.hpp"

namespace harness {

// The largest |error| / bound of each cell of one head (or of the op, head -1): cells are 64 rows high and
// ErrorPicture::cell_columns wide. Infinite where an element is not finite.
struct ErrorMap {
    int head = -1;
    std::int64_t rows = 0;     // cells
    std::int64_t columns = 0;  // cells
    std::vector<double> cells;
};

struct RowError {
    int head = -1;
    std::int64_t row = 0;
    double relative_error = 0;  // against the golden row
    double rho = 0;             // largest |error| / bound
};

// log2(|error| / bound) in steps of one: bin 0 holds what is below 2^-16 and no error at all, the last but
// one what is 2^16 and more, the last what is not finite.
inline constexpr int ratio_bins = 35;
inline constexpr int ratio_first_exponent = -16;

// |expected| by log2 in steps of one, from 2^-40 to 2^23, and error / bound in steps of 1/5 from -2 to 2; the
// outermost bins hold all beyond.
inline constexpr int magnitude_bins = 64;
inline constexpr int magnitude_first_exponent = -40;
inline constexpr int signed_bins = 21;
inline constexpr double signed_step = 0.2;

// z = (got - golden - predicted mean) / predicted deviation in steps of 1/2 from -8 to 8: bin 0 holds what is
// below, the last what is 8 and more. Elements that are not finite are in none.
inline constexpr int z_bins = 34;
inline constexpr double z_first = -8;
inline constexpr double z_step = 0.5;

struct ErrorPicture {
    std::string title;
    datasets::Op op{};
    std::int64_t cell_columns = 64;
    std::vector<ErrorMap> maps;        // by head
    std::vector<RowError> worst_rows;  // worst first
    std::array<std::int64_t, ratio_bins> ratios{};
    std::array<std::array<std::int64_t, magnitude_bins>, signed_bins>
        scatter{};                                      // [error / bound, |expected|]
    std::optional<std::array<std::int64_t, z_bins>> z;  // where an error was predicted
};

}  // namespace harness
