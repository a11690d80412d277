// Reads run.json back whole, for what is put together from several: nothing of a run over layers is left out.
#pragma once

#include <string>
#include <string_view>

#include "harness/run_record.hpp"

namespace harness {

// A run over layers (`harness --compare`, `harness judge`), with everything but what follows from its rows:
// the summaries by op and by clip and what moving each op is worth are left empty; verdict and exit code are
// as written. Throws datasets::ReadError as parse_run_record does, and for a record of whole encoders or with
// a published baseline.
RunRecord parse_whole_record(const std::string& text, const std::string& file);

// Where two JSON texts differ first, e.g. "environment.threads: is 2 in a.json and 4 in b.json"; empty:
// nowhere.
std::string first_difference(const std::string& a, const std::string& b, std::string_view a_name,
                             std::string_view b_name);

}  // namespace harness
