// HDF5 1.10.8 crashes, never ends or takes 4 GiB of memory on some damaged files: on 4 of 4000 randomly
// damaged files of ours, and on 2 of 400 written by h5py, whose texts are of variable length. Reading is
// therefore tried in a child process first.
#pragma once

#include <functional>
#include <string>

namespace datasets {

// Runs `action` in a child process, where it may do anything but matter. "" if it came to an end, by return
// or by exception; else how it died. Throws Refusal if there is no child process to be had.
std::string died_in_trial(const std::function<void()>& action);

}  // namespace datasets
