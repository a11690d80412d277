// The result of a regression check in words: for a terminal, and the figures that Markdown shares.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "harness/regression.hpp"

namespace reports {

// "PASSED: nothing slower, no verdict lost", "SLOWER: 2 of 48 ...": the line that comes first.
std::string regression_verdict(const harness::Regression& regression);

// What is compared with what, one line each.
std::vector<std::string> regression_subject(const harness::Regression& regression);

// A figure to as many digits as its quantity needs; "-" where it says nothing.
std::string figure_text(const harness::Figure& figure, double value);

// "1.12x" of candidate over baseline; "-" where there is none.
std::string change_ratio(const harness::ComparedFigure& figure);

// Of measured times: the threshold, A/A spread and p behind the verdict, and what makes it ambiguous.
std::string change_evidence(const harness::ComparedFigure& figure);

// Verdicts whose figures are listed one by one, in the order in which they are told, with their headings.
struct RegressionSection {
    harness::RegressionVerdict verdict{};
    const char* heading = "";
};
std::span<const RegressionSection> regression_sections();

// Whether an ambiguous figure may have changed, rather than lacking data.
bool may_have_changed(const harness::ComparedFigure& figure);

// What is only counted: ambiguous figures by reason, figures without data, and what stayed the same.
std::vector<std::string> regression_counts(const harness::Regression& regression);

// Everything, for a terminal of 100 columns.
std::string regression_report(const harness::Regression& regression, bool color);

}  // namespace reports
