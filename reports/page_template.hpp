// The page that reports/page builds, empty of data, as it travels in the program.
#pragma once

#include <string_view>

namespace reports {

// Empty where the page was not built.
extern const std::string_view page_template;

// Why it was not, and how to mend that; empty where it was.
extern const std::string_view page_absence;

}  // namespace reports
