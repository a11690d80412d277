// Numbers, and only numbers: how the blocks of one op differ from the fp64 result on the same operands (level
// 1) and from the golden tensor. What the numbers mean is decided in gate.cpp.
//
// Partials are kept per canonical 64-row block and summed in index order, so that the figures do not depend
// on the order or the thread in which blocks arrive.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "datasets/path.hpp"
#include "harness/bounds.hpp"
#include "harness/error_map.hpp"
#include "harness/z_statistics.hpp"

namespace harness {

// One element: where it is, what came, what was expected in fp64, and how far apart they may lie.
struct Element {
    int head = -1;
    std::int64_t row = 0;
    std::int64_t column = 0;
    double got = 0;
    double expected = 0;
    double bound = 0;
};

// Where the damage is: the worst block and how far the failure reaches, of elements outside their bound or
// stored as the declared rounding cannot.
struct Damage {
    Element first;               // by head, row and column
    Element worst;               // largest error over bound
    std::int64_t row_begin = 0;  // failing rows of the worst element's block, both ends included
    std::int64_t row_end = 0;
    std::int64_t blocks = 0;  // 64-row blocks that hold a failing element
    std::vector<int> heads;   // heads that hold one (empty for ops without heads)
};

struct OpStatistics {
    std::int64_t elements = 0;
    std::int64_t blocks_expected = 0;
    std::int64_t blocks_seen = 0;
    std::int64_t blocks_repeated = 0;
    std::int64_t nonfinite = 0;
    std::int64_t poisoned = 0;  // non-finite in the pattern that fills output buffers before a launch
    std::int64_t outside = 0;   // elements beyond their level 1 bound
    double rho = 0;             // largest |error| / bound; infinite where an element is not finite

    // Elements within their bound that no store with the declared rounding can give (StoreRange), and how
    // many of them lie below or nearer to zero than fp64.
    std::int64_t misrounded = 0;
    std::int64_t misrounded_below = 0;
    std::int64_t misrounded_shrunk = 0;
    std::int64_t unrepresentable = 0;  // finite elements that the declared store cannot hold

    // Of probabilities: |sum p - 1| over its bound, the largest of all rows, and how many lie beyond.
    std::optional<double> row_sum{};
    std::int64_t row_sums_outside = 0;
    int row_sum_head = -1;
    std::int64_t row_sum_row = 0;

    // Against the golden tensor. Not a number where an element is not finite.
    double match_percent = 0;   // 100 (1 - |a-b|^2 / |b - column mean of b|^2)
    double centred_energy = 0;  // |b - column mean|^2 / |b|^2
    double relative_error = 0;  // Frobenius
    double cosine = 0;
    double max_abs_error = 0;
    double worst_row = 0;  // relative error of the worst row, against max(its norm, rms row norm)
    int worst_row_head = -1;
    std::int64_t worst_row_index = 0;
    double worst_tile = 0;  // relative error of the worst 64x64 tile, against max(its norm, rms tile norm)
    int worst_tile_head = -1;
    std::int64_t worst_tile_row = 0;     // in tiles
    std::int64_t worst_tile_column = 0;  // in tiles

    std::optional<Damage> damage;
    std::optional<ZStatistics> z;  // where an error model was asked
};

// Collects one op. `add` may be called concurrently for different blocks.
class Comparison {
public:
    // `store`: what the op declares.
    Comparison(datasets::Op op, const datasets::LayerShape& shape, int only_head,
               datasets::DType store = datasets::DType::f32);

    // `golden`: dense, as large as the block. `predicted`: of its error against the golden; null where nobody
    // asks for level 2.
    void add(datasets::Rows rows, const datasets::TensorView& got, const Bounded& expected,
             std::span<const float> golden, const Predicted* predicted = nullptr);

    // Whether this block was added before; counts it then.
    bool repeats(datasets::Rows rows);

    [[nodiscard]] OpStatistics finish() const;

    // Where it errs: the heads with an element beyond its bound, the worst first and at most `most` of them;
    // the nearest one where none has.
    [[nodiscard]] std::vector<HeadErrorMap> error_maps(std::size_t most) const;

private:
    struct Energy {
        double error = 0;
        double golden = 0;
    };
    struct Block {
        int seen = 0;
        std::int64_t elements = 0, nonfinite = 0, poisoned = 0, outside = 0;
        std::int64_t misrounded = 0, misrounded_below = 0, misrounded_shrunk = 0, unrepresentable = 0;
        std::optional<double> row_sum;
        std::int64_t row_sums_outside = 0, row_sum_row = 0;
        std::int64_t faulty_row_begin = 0, faulty_row_end = 0;
        double worst_ratio = 0, rho = 0, error = 0, golden = 0, got = 0, product = 0, max_abs_error = 0;
        Element first, worst;
        std::vector<Energy> rows, tiles;
        std::vector<double> tile_rho;  // largest |error| / bound of each of `tiles`
        std::vector<double> column_sums;
        std::optional<ZBlock> z;
    };

    // The row or tile with the largest share of error in its energy.
    struct Worst {
        double ratio = 0;
        std::int64_t block = 0;
        std::int64_t index = 0;
    };

    // At most 64 elements of a row.
    struct Tile {
        std::size_t first_column;
        std::span<const float> got;
        std::span<const double> expected;
        std::span<const double> bound;
        std::optional<datasets::Rounding> store;
        std::span<const float> golden;
    };

    [[nodiscard]] std::size_t slot(datasets::Rows rows) const;
    static void add_row(Block& block, datasets::Rows rows, std::int64_t row, std::span<const float> got,
                        const Bounded& expected, std::span<const float> golden);
    static void add_row_sum(Block& block, datasets::Rows rows, std::int64_t row, std::span<const float> got,
                            double bound);
    // Notes an element outside its bound or misrounded.
    static void add_faulty(Block& block, const Element& element, double ratio);
    // A tile that may hold such elements, one by one.
    static void add_outlying(Block& block, datasets::Rows rows, std::int64_t row, const Tile& tile);
    void find_row_sum(OpStatistics& out) const;
    void sum_energies(OpStatistics& out) const;
    [[nodiscard]] Worst worst_of(std::vector<Energy> Block::*parts, double mean_energy) const;
    [[nodiscard]] int head_of(std::int64_t block) const;
    [[nodiscard]] HeadErrorMap error_map(int head) const;
    void find_worst(OpStatistics& out, double mean_row_energy, double mean_tile_energy) const;
    void locate_damage(OpStatistics& out) const;
    void sum_z(OpStatistics& out) const;

    datasets::LayerShape shape_;
    int first_head_;
    int heads_;  // 1 for an op without heads
    bool headed_;
    datasets::DType store_;
    std::vector<Block> blocks_;  // [head, block]
};

}  // namespace harness
