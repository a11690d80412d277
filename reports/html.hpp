// A run as one HTML page that needs nothing else: no network, no other file.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "reports/trend.hpp"

namespace reports {

// Why this build has no page, and how to get one, in one line; empty where it has one.
std::string_view missing_page();

// The page of `run_json` (the text of run.json) and of the trends of its history (none: the page says how to
// get them). Both travel in it as base64 of gzip: as plain text, a run of 32 layers alone would be 3 MB. The
// same texts give the same page. Throws std::runtime_error where this build has no page.
std::string html_report(std::string_view run_json, std::span<const Trend> trends);

}  // namespace reports
