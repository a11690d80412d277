// Modelled time of a run for a terminal.
#pragma once

#include <string>

#include "harness/run_record.hpp"

namespace reports {

// Op by op what bounds it, its share of the device's peak and its interval, and what moving it is worth;
// empty where the run has no modelled times.
std::string time_model_table(const harness::RunRecord& record);

}  // namespace reports
