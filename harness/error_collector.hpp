// Collects the picture of one op's error, block by block, while it is judged.
#pragma once

#include <mutex>
#include <vector>

#include "harness/error_picture.hpp"
#include "harness/judge.hpp"

namespace harness {

class ErrorCollector {
public:
    // `only_head`: of a run of a single head, else -1.
    ErrorCollector(datasets::Op op, const datasets::LayerShape& shape, int only_head);

    // Blocks of other ops are ignored. `predicted`: of its error against the golden; null for every block of
    // an op, or for none. Thread-safe.
    void add(const JudgedBlock& block, const Predicted* predicted = nullptr);

    // With the `worst_rows` rows that err most.
    [[nodiscard]] ErrorPicture finish(std::size_t worst_rows) const;

private:
    // Sums of one task, merged under the lock.
    struct Sums {
        std::array<std::int64_t, ratio_bins> ratios{};
        std::array<std::array<std::int64_t, magnitude_bins>, signed_bins> scatter{};
        std::vector<double> cells;
        std::vector<RowError> rows;
    };

    void add_predicted(const JudgedBlock& block, const Predicted& predicted);
    void add_element(Sums& sums, double got, double expected, double bound, double& cell) const;

    datasets::Op op_;
    int first_head_;
    std::mutex mutex_;
    ErrorPicture picture_;
    std::vector<RowError> rows_;
};

}  // namespace harness
