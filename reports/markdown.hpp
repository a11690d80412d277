// A run, and what it is held against, as Markdown for the comment on a pull request.
#pragma once

#include <string>

#include "harness/regression.hpp"
#include "harness/run_record.hpp"

namespace reports {

// The verdict line first, then every failed row with its place, hypothesis and command, then what regressed;
// the tables are folded. `regression`: null where nothing was compared. It fits into a comment (65,536
// characters on GitHub): what does not is counted.
std::string markdown_report(const harness::RunRecord& record, const harness::Regression* regression);

// A comparison alone, where there is no single run to tell of.
std::string markdown_report(const harness::Regression& regression);

}  // namespace reports
