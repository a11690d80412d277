// Folders of the XDG base directory specification: the only variables of the environment that are read.
#pragma once

#include <filesystem>

namespace harness {

// What may be lost, such as default recordings: npu-attention-harness in $XDG_CACHE_HOME or ~/.cache. Both
// throw std::runtime_error where neither the variable nor HOME is set.
std::filesystem::path cache_folder();

// The history of runs, unless the command line names another: npu-attention-harness/history.sqlite in
// $XDG_DATA_HOME or ~/.local/share.
std::filesystem::path default_history_file();

}  // namespace harness
