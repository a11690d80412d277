#include "harness/atomic_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace harness {

void write_atomically(const std::string& file, const std::string& text) {
    write_atomically(
        file, [&](std::ostream& out) { out.write(text.data(), static_cast<std::streamsize>(text.size())); });
}

void write_atomically(const std::string& file, const std::function<void(std::ostream&)>& write) {
    const std::string temporary = fmt::format("{}.partial-{}", file, getpid());
    const auto fail = [&](std::string_view reason) {
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        throw std::runtime_error(fmt::format("{}: cannot write: {}", file, reason));
    };
    std::error_code ignored;
    const auto type = std::filesystem::status(file, ignored).type();
    if (type != std::filesystem::file_type::not_found && type != std::filesystem::file_type::regular) {
        throw std::runtime_error(fmt::format("{}: cannot write: it is there, and no regular file", file));
    }
    errno = 0;
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    try {
        write(out);
    } catch (...) {
        std::error_code unremoved;
        std::filesystem::remove(temporary, unremoved);
        throw;
    }
    out.close();
    if (!out) {
        fail(errno != 0 ? std::strerror(errno) : "unknown error");
    }
    std::error_code error;
    std::filesystem::rename(temporary, file, error);
    if (error) {
        fail(error.message());
    }
}

}  // namespace harness
