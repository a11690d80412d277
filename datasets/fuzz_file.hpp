// The input of a fuzz target as a file that readers can open by name. On disk: HDF5 resolves names itself,
// and refuses files that live in memory only.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace datasets {

class FuzzFile {
public:
    FuzzFile(const std::uint8_t* data, std::size_t size)
        : name_((std::filesystem::temp_directory_path() / "fuzz_XXXXXX").string()) {
        const int descriptor = mkstemp(name_.data());
        while (size > 0) {
            const ssize_t count = write(descriptor, data, size);
            if (count <= 0) {
                std::abort();  // the machine's fault, not the reader's
            }
            data += count;
            size -= static_cast<std::size_t>(count);
        }
        close(descriptor);
    }
    ~FuzzFile() { unlink(name_.c_str()); }
    FuzzFile(const FuzzFile&) = delete;
    FuzzFile& operator=(const FuzzFile&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; }

private:
    std::string name_;
};

}  // namespace datasets
