// Which rank does which shard of a run, while ranks come, finish and die. A pure value: no processes, no MPI.
//
// The last shard holds the probes of the design, which take longest, and is given out first; the others
// follow in their order. What a rank that dies was at goes to another one, but not a third time: then the
// work itself may be what kills.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace harness {

class RankSchedule {
public:
    // Shards are numbered from 1.
    RankSchedule(int ranks, int shards);

    // A shard for an idle rank, which is at it from now on; none where none is left to begin.
    std::optional<int> next(int rank);

    // What the rank was at is done.
    void done(int rank);

    // The rank does nothing any more: `why`, e.g. "rank 1 on node7 was killed by signal 9".
    void lost(int rank, const std::string& why);

    [[nodiscard]] bool alive(int rank) const { return !lost_.contains(rank); }
    [[nodiscard]] bool any_alive() const { return int(lost_.size()) < ranks_; }
    [[nodiscard]] int shards_done() const { return done_; }
    // Nothing is left to do, or nobody to do it.
    [[nodiscard]] bool over() const;

    // Of every shard that is not done, why.
    [[nodiscard]] std::map<int, std::string> why_missing() const;

private:
    int ranks_;
    int shards_;
    int done_ = 0;
    std::deque<int> waiting_;
    std::map<int, int> at_;                   // rank -> shard
    std::set<int> lost_;                      // ranks
    std::string last_loss_;                   // why
    std::map<int, std::string> interrupted_;  // shard -> who died at it
    std::map<int, std::string> given_up_;     // shard -> why
};

}  // namespace harness
