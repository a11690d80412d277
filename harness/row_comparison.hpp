// One row of a block against its expected values, in fp64 vectors (Highway, chosen at run time): the judge
// compares 18 million elements of a square tensor in a layer of Whisper base.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "datasets/bf16.hpp"

namespace harness {

// What one tile of a row, at most 64 elements, adds to its block.
struct TileComparison {
    // Every element is finite, within its finite bound and as its store may round it; else the rest is void.
    bool inside = true;
    double rho = 0;  // largest |got - expected| / bound; 0 / 0 counts as 0
    double error = 0, golden = 0, got = 0, product = 0, max_abs_error = 0;  // against golden: sums of squares
};

// Spans of one length. `store`: of Bounded. Adds the golden to `column_sums`, but where not `inside`.
TileComparison compare_tile(std::span<const float> got, std::span<const double> expected,
                            std::span<const double> bound, std::optional<datasets::Rounding> store,
                            std::span<const float> golden, std::span<double> column_sums);

}  // namespace harness
