// Misses of the match criterion that the owner of a run knows and accepts. What an honest design costs is no
// fault of the night that measures it, and a report that is red every night is read by nobody.
//
// Only the headline of a named layer can be accepted, only where it misses the match, as far as the entry
// says, and where every op of that layer was judged and none failed. Integrity, bounds, probes and bits that
// differ are judged as ever. The verdict says `accepted`, never `passed`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/run_record.hpp"

namespace harness {

struct AcceptedMiss {
    std::string design;  // as npu_impl::compose names it
    std::string clip;
    std::int64_t context = 0;  // rows T of the recording
    std::vector<int> layers;
    std::string reason;
    double match_at_least = 0;  // percent
    // What else a headline is judged by, as relative errors: at their limits, nothing more is accepted.
    double worst_row_at_most = limit(Quantity::worst_row).limit;
    double worst_tile_at_most = limit(Quantity::worst_tile).limit;
};

// Beyond these nothing is accepted: such an output is another one.
inline constexpr double least_accepted_match = 90;
inline constexpr double largest_accepted_error = 0.5;

// Of a JSON file:
//   {"schema": "npu-attention-accepted-misses", "schema_version": 1,
//    "misses": [{"design": "fused", "clip": "hard-20240607", "context": 3001, "layers": [3], "reason": "...",
//                "match_at_least": 99.8, "worst_row_at_most": 0.1, "worst_tile_at_most": 0.05}]}
// where the last two may be left out. Throws datasets::ReadError, which names the entry and the field: for an
// unknown design or field, two entries for one layer, figures that accept nothing or everything, no reason.
std::vector<AcceptedMiss> parse_accepted_misses(const std::string& text, const std::string& file);

struct AcceptedMisses {
    std::vector<AcceptedMiss> entries;
    std::string sha256;  // of the file; empty: no list
};
AcceptedMisses read_accepted_misses(const std::string& file);

// Gives the headlines of `record` that one of `misses` covers the verdict `accepted`. Returns a line for each
// that passed though an entry names it. The verdict of the whole record is left to sum_up.
std::vector<std::string> accept_misses(RunRecord& record, const std::vector<AcceptedMiss>& misses);

}  // namespace harness
