// Reads the figures of a run from its run.json.
#pragma once

#include <string>

#include "harness/run_figures.hpp"

namespace harness {

// Throws datasets::ReadError (one line: file, object, reason) for what is not a run record of this major
// schema version, lacks or garbles a figure, or says no time of its creation.
RunFigures read_run_figures(const std::string& file);

// The same of JSON text; `file` is the name in errors.
RunFigures parse_run_figures(const std::string& text, const std::string& file);

}  // namespace harness
