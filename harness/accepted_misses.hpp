// Misses of the match criterion that the owner of a run knows and accepts. What an honest design costs is no
// fault of the night that measures it, and a report that is red every night is read by nobody.
//
// Only a headline that misses the match can be accepted, as far as the entry says: integrity, bounds, probes
// and bits that differ are judged as ever. The verdict says `accepted`, never `passed`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/run_record.hpp"

namespace harness {

struct AcceptedMiss {
    std::string design;
    std::string clip;
    std::int64_t context = 0;  // rows T of the recording
    std::string reason;
    double match_at_least = 0;  // percent, of every layer
    // What else a headline is judged by, as relative errors: at their limits, nothing more is accepted.
    double worst_row_at_most = limit(Quantity::worst_row).limit;
    double worst_tile_at_most = limit(Quantity::worst_tile).limit;
};

// Of a JSON file:
//   {"schema": "npu-attention-accepted-misses", "schema_version": 1,
//    "misses": [{"design": "fused", "clip": "hard-20240607", "context": 3001, "reason": "...",
//                "match_at_least": 99.8, "worst_row_at_most": 0.1, "worst_tile_at_most": 0.05}]}
// where the last two may be left out. Throws datasets::ReadError, which names the entry and the field: for an
// unknown design, two entries for the same runs, figures that accept nothing, or no reason.
std::vector<AcceptedMiss> parse_accepted_misses(const std::string& text, const std::string& file);
std::vector<AcceptedMiss> read_accepted_misses(const std::string& file);

// Gives the headlines of `record` that one of `misses` covers the verdict `accepted`. Returns a line for each
// entry for this run that none of its headlines needs. The verdict of the whole record is left to sum_up.
std::vector<std::string> accept_misses(RunRecord& record, const std::vector<AcceptedMiss>& misses);

}  // namespace harness
