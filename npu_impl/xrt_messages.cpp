#include "npu_impl/xrt_messages.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace npu_impl {

MessageFile::MessageFile() : descriptor_(memfd_create("messages", MFD_CLOEXEC)) {
    if (descriptor_ < 0) {
        throw std::system_error(errno, std::generic_category(), "memfd_create");
    }
    // By name: where there is no /proc, whoever logs would fail to open it, and say nothing.
    if (access(name().c_str(), W_OK) != 0) {
        throw std::system_error(errno, std::generic_category(), name());
    }
}

MessageFile::~MessageFile() {
    close(descriptor_);
}

std::string MessageFile::name() const {
    return fmt::format("/proc/self/fd/{}", descriptor_);
}

std::string MessageFile::take() {
    std::string text;
    std::array<char, 4096> piece;
    for (;;) {
        const ssize_t count = pread(descriptor_, piece.data(), piece.size(), taken_);
        if (count <= 0) {
            return text;
        }
        text.append(piece.data(), static_cast<std::size_t>(count));
        taken_ += count;
    }
}

}  // namespace npu_impl
