// Reads run.json back, as far as a later command needs it: identities, command, verdicts, rows and layers.
// Times, clips, encoders and baselines are not read.
#pragma once

#include <string>

#include "harness/run_record.hpp"

namespace harness {

// Throws datasets::ReadError (one line: file, object, reason) for what is not a run record of this major
// schema version, or lacks or garbles something. A number that is null comes back as not a number, rho as
// infinite. A record before minor version 2 has no findings.
RunRecord read_run_record(const std::string& file);

// The same of JSON text; `file` is the name in errors.
RunRecord parse_run_record(const std::string& text, const std::string& file);

// The text of the file. Throws ReadError where it cannot be read.
std::string read_run_text(const std::string& file);

}  // namespace harness
