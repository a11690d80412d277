// Parts of run.json that its readers share. Each throws datasets::ReadError for what it does not know.
#pragma once

#include <optional>
#include <vector>

#include "harness/gate.hpp"
#include "harness/run_record.hpp"
#include "harness/run_record_place.hpp"

namespace harness {

// What parse_run_record reads, in its two steps. `root`: the whole text.
Json json_of_run(const std::string& text, const std::string& file);
RunRecord run_record_of(const Place& root);

datasets::Op op_of(const Place& place);
datasets::OpRange range_of(const Place& place);

// Empty before minor version 2. `place`: the object that has them.
std::vector<Finding> findings_of(const Place& place);
Verdict verdict_of(const Place& place);
Judgement judgement_of(const Place& place);

// The limit that a word names.
Quantity quantity_of(const Place& word);

// None where `place`, the object that has it, has none.
std::optional<datasets::Site> site_of(const Place& place);

Element element_of(const Place& place);

// With samples and statistic, where it was measured.
Duration duration_of(const Place& place);

StepTime step_time_of(const Place& place);

}  // namespace harness
