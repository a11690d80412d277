// The verdicts of a run as JUnit XML, one test case per row, as CI servers read it.
#pragma once

#include <string>

#include "harness/run_record.hpp"

namespace reports {

// Failed and mistrusted rows are failures, unstable and not_run rows are errors, covered rows are skipped.
std::string junit_report(const harness::RunRecord& record);

}  // namespace reports
