// The manual page harness.1, from the very texts of --help.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace harness {

// In roff, with the macros of man(7).
std::string manual_page(const CLI::App& app);

}  // namespace harness
