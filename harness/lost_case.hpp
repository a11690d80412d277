// The rows of a layer on which the device failed: it was asked for, and did not run.
#pragma once

#include <string>

#include "harness/experiment.hpp"

namespace harness {

// One row per op and input that `selection` asks for, each not_run for `reason`.
CaseResult lost_case(const std::string& clip, int layer, const Selection& selection,
                     const std::string& reason);

}  // namespace harness
