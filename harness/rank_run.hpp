// A run in ranks: every process of a team has a worker; rank 0 deals the shards out to them, one at a time,
// and gathers their records. A rank whose worker dies is named, and what it was at is run by another.
#pragma once

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
    std::vector<std::string> lost;           // ranks that died, in words
    std::vector<WorkerEvent> refusals;       // of workers that could not begin
    bool interrupted = false;
};

// On rank 0: the run; `say` is told in one line who died and how far it is. On other ranks: nothing, after
// the work is done. `worker` was started before the team was joined.
std::optional<RankedRun> run_in_ranks(RankTeam& team, RankWorker& worker,
                                      const std::function<void(const std::string&)>& say);

}  // namespace harness
