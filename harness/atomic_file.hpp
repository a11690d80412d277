// Files that are there whole or not at all.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

namespace harness {

// Writes into a temporary beside `file`, then renames. Throws std::runtime_error that names the file, and
// what `write` throws; either leaves what was there before, and no temporary.
void write_atomically(const std::string& file, const std::string& text);
void write_atomically(const std::string& file, const std::function<void(std::ostream&)>& write);

}  // namespace harness
