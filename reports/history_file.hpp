// The history's file before SQLite opens it: whether it is one, and how to open it so that nothing is left
// beside it that stops whoever writes next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "reports/history.hpp"

namespace reports {

// Header of the file, at the places that sqlite.org/fileformat2.html gives: who made it, and its schema.
inline constexpr std::int32_t history_application = 0x4E504148;  // "NPAH"
inline constexpr std::int32_t history_schema = 2;

// Looks at the bytes, so that what is not ours is not even opened. Throws HistoryError.
void refuse_foreign(const std::string& file, HistoryAccess access);

// Differs once somebody has written to the file, or is about to.
struct HistoryFileState {
    std::uint64_t inode = 0;
    std::int64_t bytes = 0;
    std::int64_t modified_ns = 0;
    std::int64_t journal_bytes =
        0;  // in the -wal or -journal beside it; 0: all that was added is in the file

    bool operator==(const HistoryFileState&) const = default;
};
HistoryFileState history_file_state(const std::string& file);

// What sqlite3_open_v2 is called with.
struct HistoryOpening {
    std::string name;
    int flags = 0;
    // Set where the file is read without locks: what is read counts only while this is its state.
    std::optional<HistoryFileState> at_rest;
};
HistoryOpening history_opening(const std::string& file, HistoryAccess access);

// Of a file that could not be opened or written: what may not be written, and the mend.
std::string history_write_hindrance(const std::string& file);

}  // namespace reports
