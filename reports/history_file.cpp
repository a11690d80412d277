#include "reports/history_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace reports {
namespace {

std::int32_t big_endian(const std::array<char, 100>& header, std::size_t at) {
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        out = out << 8U | static_cast<unsigned char>(header[at + i]);
    }
    return static_cast<std::int32_t>(out);
}

// With a slash, so that ":memory:" and "file:..." are names of files to SQLite too.
std::string as_path(const std::string& file) {
    return file.starts_with('/') ? file : "./" + file;
}

// As sqlite.org/uri.html wants it.
std::string as_uri(const std::string& file, std::string_view parameters) {
    const std::string path = as_path(file);
    std::string out = path.starts_with('/') ? "file://" : "file:";
    for (const char c : path) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                              std::string_view("/-._").find(c) != std::string_view::npos;
        out += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return fmt::format("{}?{}", out, parameters);
}

// Where SQLite puts -wal and -shm: beside what a link means.
std::string real_file(const std::string& file) {
    std::error_code error;
    const auto real = std::filesystem::canonical(file, error);
    return error ? as_path(file) : real.string();
}

bool may_write(const std::string& path) {
    return faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}

std::int64_t bytes_of(const std::string& file) {
    struct stat found {};
    return stat(file.c_str(), &found) == 0 ? std::int64_t{found.st_size} : 0;
}

}  // namespace

// An empty file is one that somebody was killed while creating.
void refuse_foreign(const std::string& file, HistoryAccess access) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (status.type() == std::filesystem::file_type::not_found) {
        if (access == HistoryAccess::read) {
            throw HistoryError(file, "is not there: begin it with harness history add RUN.json");
        }
        return;
    }
    if (status.type() == std::filesystem::file_type::none) {
        throw HistoryError(file, fmt::format("cannot be reached ({}): mend that, or name another file with "
                                             "--history",
                                             error.message()));
    }
    if (status.type() != std::filesystem::file_type::regular) {
        throw HistoryError(file, "is no regular file: name another with --history");
    }
    std::array<char, 100> header{};
    std::ifstream in(file, std::ios::binary);
    if (!in) {
        throw HistoryError(file, fmt::format("cannot be read ({}): give read access to it, or name another "
                                             "file with --history",
                                             std::strerror(errno)));
    }
    in.read(header.data(), header.size());
    if (in.gcount() == 0) {
        if (access == HistoryAccess::read) {
            throw HistoryError(file, "is empty: begin it with harness history add RUN.json");
        }
        return;
    }
    constexpr std::string_view magic("SQLite format 3\0", 16);
    if (in.gcount() < std::ssize(header) || std::string_view(header.data(), magic.size()) != magic) {
        throw HistoryError(file, "is no history: not a SQLite file; name another with --history");
    }
    if (big_endian(header, 68) != history_application) {
        throw HistoryError(file, "is a database of another program; name another file with --history");
    }
    if (const std::int32_t version = big_endian(header, 60); version != history_schema) {
        throw HistoryError(file, fmt::format("has schema {}, and this program knows {}: use the program that "
                                             "made it, or name another file with --history",
                                             version, history_schema));
    }
}

HistoryFileState history_file_state(const std::string& file) {
    const std::string real = real_file(file);
    struct stat found {};
    if (stat(real.c_str(), &found) != 0) {
        return {};
    }
    constexpr std::int64_t second_ns = 1'000'000'000;
    return {found.st_ino, found.st_size, found.st_mtim.tv_sec * second_ns + found.st_mtim.tv_nsec,
            bytes_of(real + "-wal") + bytes_of(real + "-journal")};
}

// SQLite makes -wal and -shm beside the file for a reader too, and removes them only where he may write.
// Those of a reader who may not would be his for good, and the owner could no longer write.
HistoryOpening history_opening(const std::string& file, HistoryAccess access) {
    if (access == HistoryAccess::write) {
        return {as_path(file), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, {}};
    }
    const std::string real = real_file(file);
    if (may_write(real) && may_write(std::filesystem::path(real).parent_path().string())) {
        return {as_path(file), SQLITE_OPEN_READWRITE, {}};
    }
    constexpr int read_uri = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
    if (const HistoryFileState state = history_file_state(file); state.journal_bytes == 0) {
        return {as_uri(file, "immutable=1"), read_uri, state};
    }
    return {as_uri(file, "readonly_shm=1"), read_uri, {}};
}

std::string history_write_hindrance(const std::string& file) {
    const std::string real = real_file(file);
    std::vector<std::string> left;
    for (const char* suffix : {"-wal", "-shm"}) {
        if (std::error_code error;
            std::filesystem::exists(real + suffix, error) && !may_write(real + suffix)) {
            left.push_back(real + suffix);
        }
    }
    return left.empty() ? "may not be written: give write access to it and its folder, or name another file"
                        : fmt::format("may not be written while {} may not: give write access to that too",
                                      fmt::join(left, " and "));
}

}  // namespace reports
