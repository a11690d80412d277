// Which op of the attention, or of the MLP, an error of its last op comes from.
//
// With out(i) the last op's result where the candidate computes its first i steps and exact ops (fp64,
// unrounded) the rest, its error is e = out(n) - out(0) = sum of e_i = out(i) - out(i - 1). The share of step
// i is <e, e_i> / <e, e>: shares add up to 1, and a step whose error another one cancels has a negative
// share. All of it comes from one chained run of the candidate: behind a square op the rest is computed block
// by block.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "datasets/path.hpp"
#include "harness/gate.hpp"

namespace harness {

// One step of the candidate in its chained run.
struct StepShare {
    datasets::OpRange step{};
    // Its budget: level 0 and 1, on what the candidate itself emitted upstream, and level 2, what the
    // declared roundings of this step and all before it explain.
    Judgement judgement;
    double rho = 0;    // largest |error| / bound
    double z_rms = 0;  // error against the golden over what is predicted; not a number where nothing is
    std::optional<Headroom> nearest{};  // the gated limit of level 2 with the least room
    double share = 0;                   // of the last op's error; not a number where it is not finite
    double relative_error = 0;          // |e_i| / |out(0)|
};

struct LayerBisection {
    std::string clip;
    int layer = 0;  // or end_layer (shard.hpp)
    datasets::OpRange range = datasets::attention_ops;
    std::string not_run;  // why there are no steps: the device failed
    std::vector<StepShare> steps;
    double relative_error = 0;          // |e| / |out(0)|
    std::optional<Judgement> headline;  // of the attention
    // The first step beyond its budget, and |e| / |out(0)| where that step alone is exact: what it reads is
    // what the candidate made (behind the candidate's scores: exact probabilities of exact scores), and the
    // candidate computes what follows.
    std::optional<std::size_t> first;
    double relative_error_without = 0;
};

// `range`: ops of one layer that end with `output` or `fc2`, and no residual sum among them. `golden` serves
// them and what they read. A device that fails leaves `not_run`. Throws std::invalid_argument where the
// candidate's steps do not make up the range.
LayerBisection bisect(const datasets::LayerCase& layer, const datasets::Source& golden,
                      datasets::Path& candidate, datasets::OpRange range = datasets::attention_ops);

// The norm behind the last layer: one step, whose error is all there is.
LayerBisection bisect_end(const datasets::EndCase& end, const std::string& clip,
                          const datasets::Source& golden, datasets::Path& candidate);

}  // namespace harness
