// A run in ranks: every process of a team has a worker; rank 0 deals the shards out to them, one at a time,
// and gathers their records. A rank whose worker dies is named, and what it was at is run by another.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/rank_team.hpp"
#include "harness/rank_worker.hpp"

namespace harness {

struct RankedRun {
    std::map<int, std::string> records;      // shard -> JSON
    std::map<int, std::string> owner;        // shard -> "rank 1 on node7"
    std::map<int, std::string> why_missing;  // of the other shards
    std::vector<std::string> lost;           // ranks that died or do not fit, in words
    std::vector<WorkerEvent> refusals;       // of workers that could not begin
    int ranks_on_a_host = 1;                 // of those that worked, the most
    bool interrupted = false;
};

// How far a run is, or that it has lost something.
enum class Telling : std::uint8_t { progress, loss };
using Say = std::function<void(Telling kind, const std::string& line)>;

// A run is dealt out in at most so many shards a rank: enough for all to end at about the same time. Each
// record describes the whole run, so that a record a case would take memory by the square of the cases.
inline constexpr int most_shards_of_a_rank = 16;

// On rank 0: the run. On other ranks: nothing, after the work is done. `worker` was started before the team
// was joined. A rank whose run is not that of the first rank to be ready does nothing. Whatever throws here
// gives the team up.
std::optional<RankedRun> run_in_ranks(RankTeam& team, RankWorker& worker, const Say& say);

}  // namespace harness
