// Runs a kernel on the cases of its role, in memory that shows what it reads and writes.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/kernel_gate/tile_case.hpp"

namespace harness::kernel_gate {

struct TileKernel {
    void* function = nullptr;
    std::function<void()> reset;                      // of its core
    std::function<unsigned()> rounding = {};          // the mode its core is in; empty: not looked at
    std::function<void(unsigned)> set_rounding = {};  // before a call; empty: always that of a reset
};

struct TileFaults {
    std::vector<std::string> lines;  // empty: nothing is wrong
    bool unsafe = false;             // it writes where it must not, throws, or starts processes
};

// What is wrong with the kernel on this case. Looked at, in this order:
//   it writes outside its tiles, or changes an input; the same call twice gives other bits;
//   it leaves output unwritten; results depend on memory that it was not given: its stack and heap, what lies
//   around its tiles, what its output held, padded keys; or on the core's rounding mode before the call;
//   the core's rounding mode and the CPU's floating-point mode that it leaves behind;
//   results against the expectation; signs of the rounding errors.
// A crash or an endless loop is the caller's to see. Call in a process that has no children.
TileFaults check_tile(const TileCase& one, const TileKernel& kernel);

struct Difference {
    int differing = 0;  // by their bits; a NaN is a NaN
    int elements = 0;   // of all that is written
};

// Of the results of two kernels.
Difference difference(const TileCase& one, const TileKernel& kernel, const TileKernel& other);

}  // namespace harness::kernel_gate
