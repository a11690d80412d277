// Level 2 figures of one op: errors against the golden in units of what the error model predicts of each
// element, z = (got - golden - predicted mean) / sigma. Numbers only; what they mean is decided in gate.cpp.
// Elements that are not finite are left out: level 0 speaks of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "datasets/path.hpp"
#include "harness/error_model.hpp"

namespace harness {

struct ZStatistics {
    double rms = 0;
    double mean = 0;  // of z: a bias that nobody declared, in sigmas
    double gain = 0;  // least squares of (error - predicted mean) on the golden: a gain beyond the predicted
    double largest = 0;  // |z|
    int largest_head = -1;
    std::int64_t largest_row = 0;
    std::int64_t largest_column = 0;
    double worst_row = 0;  // rms z of a row (of a head) of at least 64 elements
    int worst_row_head = -1;
    std::int64_t worst_row_index = 0;
    double worst_tile = 0;  // rms z of a 64x64 tile with at least 64 of them
    int worst_tile_head = -1;
    std::int64_t worst_tile_row = 0;     // in tiles
    std::int64_t worst_tile_column = 0;  // in tiles
    double predicted_error = 0;  // relative to the golden, Frobenius: sqrt(sum sigma^2 + mean^2 / sum b^2)
    double measured_error = 0;   // the same of got - golden
    double predicted_match_percent = 0;  // 100 (1 - sum sigma^2 + mean^2 / centred energy)
};

// Of one 64-row block.
struct ZBlock {
    struct Part {
        double squares = 0;
        std::int64_t elements = 0;
    };
    double squares = 0, sum = 0, error_golden = 0, golden = 0, predicted = 0, error = 0, largest = 0;
    std::int64_t elements = 0;
    std::int64_t largest_row = 0, largest_column = 0;  // within the block
    std::vector<Part> rows, tiles;

    void add(const datasets::TensorView& got, std::span<const float> golden_rows, const Predicted& expected);
};

// Sums blocks in their order. `blocks_per_head`: of blocks laid out [head, block]; `first_head`: -1 for an op
// without heads. `centred_energy`: as a share of the golden's.
ZStatistics sum_blocks(std::span<const ZBlock* const> blocks, std::int64_t blocks_per_head, int first_head,
                       double centred_energy);

}  // namespace harness
