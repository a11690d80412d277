// The design note that this project grew from, as a baseline to be shown beside a run: what it published, and
// what its own figures give when they are added up.
//
// Source: Unicorn-Commander/Unicorn-Amanuensis, PHASE2_ATTENTION_OPTIMIZATION_PLAN.md of 2025-11-21: an
// encoder of base size, T = 3001, numpy on a Ryzen 9 8945HS, 5 s of audio.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/encoder_record.hpp"

namespace harness {

struct BaselineLine {
    std::string what;
    double published_seconds = 0;
    std::optional<Duration> here;  // the golden of this run, where its size is the same; layers: the mean
};

struct PublishedBaseline {
    std::string title;
    std::vector<BaselineLine> lines;
    std::vector<std::string> corrections;  // one sentence each
};

// Beside the golden of `row`.
PublishedBaseline design_note(const EncoderRow& row);

}  // namespace harness
