// HDF5 1.10 crashes, or never ends, on some damaged files (about 1 in 70 of randomly damaged ones). What
// reads the structure of a file is therefore tried in a child process first.
#pragma once

#include <functional>
#include <string>

namespace datasets {

// Runs `action` in a child process, where it may do anything but matter. "" if it came to an end, by return
// or by exception; else how it died. Throws Refusal if there is no child process to be had.
std::string died_in_trial(const std::function<void()>& action);

}  // namespace datasets
