// The HTML page of a run, as every command writes it.
#pragma once

#include <string>

#include "harness/run_record.hpp"

namespace harness {

// Throws std::runtime_error where a page is wanted (`html`: its file) and this build has none: before the
// work, not after it.
void require_page(const std::string& html);

// Writes the page; nothing where `html` is empty. Throws std::runtime_error.
void write_page(const RunRecord& record, const std::string& html);

}  // namespace harness
