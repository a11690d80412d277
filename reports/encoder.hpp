// A run over whole encoders as text for a terminal of 100 columns: times by op, piece and placement,
// real-time factors, drift.
#pragma once

#include <string>

#include "harness/run_record.hpp"

namespace reports {

// Ends with the verdict line, which says the exit code.
std::string encoder_report(const harness::RunRecord& record, bool color);

}  // namespace reports
