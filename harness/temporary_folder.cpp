#include "harness/temporary_folder.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace harness {

TemporaryFolder::TemporaryFolder() {
    std::error_code error;
    const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
    std::string name = (parent / "harness-XXXXXX").string();
    if (error) {
        throw std::runtime_error(fmt::format("there is no folder for temporary files: {}", error.message()));
    }
    if (mkdtemp(name.data()) == nullptr) {
        throw std::runtime_error(
            fmt::format("cannot make a temporary folder {}: {}", name, std::strerror(errno)));
    }
    path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

}  // namespace harness
