// A small run record with one row of every verdict, for tests of what is written from it.
#pragma once

#include "harness/run_record.hpp"

namespace harness {

RunRecord example_record();

}  // namespace harness
