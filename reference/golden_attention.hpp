// Scores, softmax and context of the golden path, over row blocks of one head.
#pragma once

#include "reference/golden_run.hpp"

namespace reference {

// The softmax statistics of every row of the scaled scores, [head, time] each. log_sum_exp includes the
// maximum.
struct RowStatistics {
    std::vector<float> max;
    std::vector<float> log_sum_exp;
};

// The part of scores .. context that is in the run's range, of all its heads. Query, key, value and context
// lie in its tensors, where the range reads or makes them. `statistics` may be null, else takes the rows that
// go through the softmax. Returns the wall time, split over the ops.
OpSeconds attend(const Run& run, std::int64_t context, RowStatistics* statistics);

}  // namespace reference
