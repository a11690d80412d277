// Where the history is, unless the command line says otherwise.
#pragma once

#include <string>

namespace harness {

// npu-attention-harness/history.sqlite in the data folder of the XDG base directory specification. Throws
// std::runtime_error where neither XDG_DATA_HOME nor HOME is set.
std::string default_history_file();

}  // namespace harness
