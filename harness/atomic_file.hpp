// Files that are there whole or not at all.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

namespace harness {

// Throws std::runtime_error, which names the file and the mend, where it could not be written now: before a
// long computation, whose result would be lost.
void require_writable(const std::string& file);

// Writes into a temporary beside `file`, then renames. Throws std::runtime_error that names the file, and
// what `write` throws; either leaves what was there before, and no temporary.
void write_atomically(const std::string& file, const std::string& text);
void write_atomically(const std::string& file, const std::function<void(std::ostream&)>& write);

}  // namespace harness
