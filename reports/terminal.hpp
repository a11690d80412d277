// The result of a run as text for a terminal of 100 columns.
#pragma once

#include <string>

#include "harness/run_record.hpp"

namespace reports {

// Tables per op, per layer and per clip, then every failed row with the command that reproduces it. `color`:
// ANSI colours for the verdicts.
std::string terminal_report(const harness::RunRecord& record, bool color);

}  // namespace reports
