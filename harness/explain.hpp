// One row of a run, computed again and looked at closely.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "datasets/recording_block.hpp"
#include "harness/error_picture.hpp"
#include "harness/run_record.hpp"
#include "harness/second_run.hpp"

namespace harness {

struct Explanation {
    OpStatistics statistics;
    std::optional<datasets::Site> site;  // that made the worst element, where any is beyond its bound
    std::optional<Diagnosis> diagnosis;
    ErrorPicture picture;
    // Of the worst block, or, where every element is within its bound, the first: inputs by name (as the
    // design declares to read them), golden, expected and bound in fp64, got, difference = got - expected.
    datasets::Block block;
};

// Runs what `run` names twice: for the figures, and for the block. `errors`: predicts those of the run; null:
// there is no z to draw. Throws std::runtime_error where the second run does not yield that block,
// npu_impl::IntegrityError, and std::invalid_argument where the row reads what a file lacks.
Explanation explain(const OpRow& row, const SecondRun& run, const ErrorModel* errors = nullptr);

// The row by its index, or by `layer/op[/input]`, where layer is a number or `end`; the first failed of
// several, else the first. Throws std::invalid_argument, whose one line lists the rows that there are.
std::size_t find_row(const RunRecord& record, const std::string& name);

// "0/query/isolated", "end/encoder/chained"
std::string row_name(const OpRow& row);

}  // namespace harness
