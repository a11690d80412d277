// The table of measured launches: where the time of a device with a clock went, beside what the model says.
#pragma once

#include <string>

#include "harness/run_record.hpp"

namespace reports {

// The NPU of the run, a line of the report's heading; empty where the device is one of this program.
std::string npu_lines(const harness::RunRecord& record);

// Of every op's step, per layer, mean over the layers; empty where nothing was measured.
std::string launch_table(const harness::RunRecord& record);

}  // namespace reports
