#include "harness/user_folder.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <stdexcept>

namespace harness {
namespace {

// `option`: what makes the folder unnecessary.
std::filesystem::path folder_of(const char* variable, const char* in_home, const char* option) {
    const std::filesystem::path name = "npu-attention-harness";
    const char* folder = std::getenv(variable);
    if (folder != nullptr && *folder == '/') {
        return folder / name;
    }
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0') {
        throw std::runtime_error(
            fmt::format("{} and HOME are not set: set one, or name a file with {}", variable, option));
    }
    return std::filesystem::path(home) / in_home / name;
}

}  // namespace

std::filesystem::path cache_folder() {
    return folder_of("XDG_CACHE_HOME", ".cache", "--dataset");
}

std::filesystem::path default_history_file() {
    return folder_of("XDG_DATA_HOME", ".local/share", "--history") / "history.sqlite";
}

}  // namespace harness
