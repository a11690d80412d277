// Predicted beside measured errors, and the room that is left to the limits of level 2.
#pragma once

#include <string>

#include "harness/run_record.hpp"

namespace reports {

// Empty where no row was judged by level 2.
std::string accuracy_table(const harness::RunRecord& record);

}  // namespace reports
