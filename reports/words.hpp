// How figures are written on a terminal.
#pragma once

#include <string>

#include "harness/run_record.hpp"

namespace reports {

// The verdict, padded to `width`, coloured where colours are wanted.
std::string painted(harness::Verdict verdict, int width, bool color);

// "12.34", from a second on "1234".
std::string milliseconds(double seconds);

std::string ratio(double value);  // "1.85x"

// A relative error: "0.0123".
std::string error(double value);

// Cut, not rounded, so that 99.89999 never reads 99.9. "-" where it is not a number.
std::string percent(double value);

// "layer 3"; "end" for the piece behind the last layer, whose number is negative.
std::string piece_name(int layer);

// "shard 1 of 2: not the whole"; empty where nothing of the run is missing.
std::string part_of_run(const harness::RunRecord& record);

// Where the damage of a failed row is and what it looks like, in lines that begin with `indent`; empty where
// its statistics name none and it was not diagnosed.
std::string damage_text(const harness::OpRow& row, const std::string& indent);

// The limits that failed, by level and name, in one line that begins with `indent`; empty where none is
// known.
std::string limits_text(const harness::Judgement& judgement, const std::string& indent);

// Tile, core and launch, and whether they ran or are those of the declared design's plan.
std::string site_text(const datasets::Site& site);

// Why something failed, in one line that begins with `indent`.
std::string diagnosis_text(const harness::Diagnosis& diagnosis, const std::string& indent);

// "measured", "modelled" or "no clock"
std::string kind(datasets::Clock clock);

}  // namespace reports
