// Runs what failed once more, to look at the block with the worst element and say why it failed.
//
// Nothing is kept of the first run but its figures: a block is 64 rows, the whole of a square op would be
// T x T per head.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "datasets/path.hpp"
#include "harness/judge.hpp"
#include "harness/run_record.hpp"

namespace harness {

// What failed and how to run it again; everything outlives the call.
struct SecondRun {
    datasets::PreparedLayer& prepared;
    datasets::Work work;
    const datasets::Source& golden;
    std::function<std::unique_ptr<Judge>()> judge;  // fresh, of the work and the input of the rows
    datasets::LayerOrEnd piece;                     // weights as they came
    datasets::LayerOrEnd rounded;                   // weights as declared
    datasets::LayerShape shape;
    bool poisons = true;  // outputs are filled before a launch: a NaN may say that none was written
};

// What a diagnosis of `block` may look at; `statistics` must outlive it.
Scene scene_of(const SecondRun& run, const JudgedBlock& block, const OpStatistics& statistics);

// Adds to every failed row with statistics the hypothesis for its worst block. Nothing runs where none
// failed. Faults of values alone: a row that failed by launches or missing blocks gets none.
void diagnose_failures(std::span<OpRow> rows, const SecondRun& run);

// The block that a diagnosis looks at: of the worst element, or, where all elements are within their bounds,
// the first.
datasets::Rows block_of(const OpRow& row, const datasets::LayerShape& shape, int only_head);

}  // namespace harness
