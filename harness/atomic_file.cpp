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

void require_writable(const std::string& file) {
    namespace fs = std::filesystem;
    const auto refuse = [&](const std::string& reason) {
        throw std::runtime_error(fmt::format("{}: cannot write: {}", file, reason));
    };
    std::error_code ignored;
    const fs::file_type type = fs::status(file, ignored).type();
    if (type != fs::file_type::not_found && type != fs::file_type::regular) {
        refuse("it is there, and no regular file");
    }
    const fs::path parent = fs::path(file).parent_path();
    const std::string folder = parent.empty() ? "." : parent.string();
    if (!fs::is_directory(folder, ignored)) {
        refuse(fmt::format("there is no folder {}: create it", folder));
    }
    if (access(folder.c_str(), W_OK | X_OK) != 0) {
        refuse(fmt::format("the folder {} may not be written", folder));
    }
}

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
    require_writable(file);
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
