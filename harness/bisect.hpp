// Which op of the attention an error of its output comes from.
//
// With out(i) the output where the candidate computes its first i steps and exact ops (fp64, unrounded) the
// rest, the output's error is e = out(n) - out(0) = sum of e_i = out(i) - out(i - 1). The share of step i is
// <e, e_i> / <e, e>: shares add up to 1, and a step whose error another one cancels has a negative share. All
// of it comes from one chained run of the candidate: behind a square op the rest is computed block by block.
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
    Judgement judgement;        // level 0 and 1, on what the candidate itself emitted upstream: its budget
    double rho = 0;             // largest |error| / bound
    double share = 0;           // of the output's error; not a number where it is not finite
    double relative_error = 0;  // |e_i| / |out(0)|
};

struct LayerBisection {
    std::string clip;
    int layer = 0;
    std::vector<StepShare> steps;
    double relative_error = 0;  // |e| / |out(0)|
    Judgement headline;
    // The first step beyond its bounds, and |e| / |out(0)| where that step alone is exact: what it reads is
    // what the candidate made (behind the candidate's scores: exact probabilities of exact scores), and the
    // candidate computes what follows.
    std::optional<std::size_t> first;
    double relative_error_without = 0;
};

// The attention of one layer. `golden` serves attention_norm and the attention's ops. Throws
// std::invalid_argument where the candidate's steps do not make up the attention, or cover only a part.
LayerBisection bisect(const datasets::LayerCase& layer, const datasets::Source& golden,
                      datasets::Path& candidate);

}  // namespace harness
