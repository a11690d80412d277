// The input of a fuzz target as a file that readers can open by name, in memory.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace datasets {

class FuzzFile {
public:
    FuzzFile(const std::uint8_t* data, std::size_t size) : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
        while (size > 0) {
            const ssize_t count = write(descriptor_, data, size);
            if (count <= 0) {
                std::abort();  // the machine's fault, not the reader's
            }
            data += count;
            size -= static_cast<std::size_t>(count);
        }
    }
    ~FuzzFile() { close(descriptor_); }
    FuzzFile(const FuzzFile&) = delete;
    FuzzFile& operator=(const FuzzFile&) = delete;

    [[nodiscard]] std::string name() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

private:
    int descriptor_;
};

}  // namespace datasets
