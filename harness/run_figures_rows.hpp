// What a run.json that was parsed holds of figures. Shared by its readers alone.
#pragma once

#include <string>
#include <vector>

#include "harness/run_figures.hpp"
#include "harness/run_record_json.hpp"

namespace harness {

// A text that must be there.
std::string text_of(const Json& json, const char* key);

// Every figure, place by place. These throw Json::exception where one is absent or of another type, and
// std::invalid_argument for words that are unknown.
std::vector<Figure> figures_of(const Json& json);

}  // namespace harness
