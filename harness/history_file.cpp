#include "harness/history_file.hpp"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace harness {

std::string default_history_file() {
    const std::filesystem::path name = "npu-attention-harness/history.sqlite";
    // The specification names these two variables; nothing else of the environment is read.
    const char* data = std::getenv("XDG_DATA_HOME");
    if (data != nullptr && *data == '/') {
        return data / name;
    }
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0') {
        throw std::runtime_error("no data folder: set XDG_DATA_HOME or HOME, or name a file with --history");
    }
    return std::filesystem::path(home) / ".local" / "share" / name;
}

}  // namespace harness
