// A small run record with one row of every verdict, for tests of what is written from it.
#pragma once

#include "harness/run_record.hpp"

namespace harness {

RunRecord example_record();

// The same on a device with a clock: an NPU, or an emulation of one.
RunRecord example_on_npu(bool hardware);

// The record of a whole encoder: two layers, nothing and the attention on the NPU, the design note beside it.
RunRecord example_encoder_record();

// Not made up: one layer at T = 130 on an emulated device that leaves tiles of zeros. In a file of its own
// (failing_run_example.cpp), which takes the whole harness.
RunRecord failing_run();

}  // namespace harness
