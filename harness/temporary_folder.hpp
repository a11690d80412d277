// A folder of this process, gone with the object.
#pragma once

#include <filesystem>

namespace harness {

class TemporaryFolder {
public:
    // Throws std::runtime_error.
    TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder();

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

}  // namespace harness
