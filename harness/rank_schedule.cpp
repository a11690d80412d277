#include "harness/rank_schedule.hpp"

#include <fmt/format.h>

namespace harness {

RankSchedule::RankSchedule(int ranks, int shards) : ranks_(ranks), shards_(shards) {
    waiting_.push_back(shards);
    for (int shard = 1; shard < shards; ++shard) {
        waiting_.push_back(shard);
    }
}

std::optional<int> RankSchedule::next(int rank) {
    if (waiting_.empty() || !alive(rank) || at_.contains(rank)) {
        return std::nullopt;
    }
    const int shard = waiting_.front();
    waiting_.pop_front();
    at_[rank] = shard;
    return shard;
}

void RankSchedule::done(int rank) {
    done_ += int(at_.erase(rank));
}

void RankSchedule::lost(int rank, const std::string& why) {
    if (!lost_.insert(rank).second) {
        return;
    }
    last_loss_ = why;
    const auto at = at_.find(rank);
    if (at == at_.end()) {
        return;
    }
    const auto [before, first] = interrupted_.try_emplace(at->second, why);
    if (first) {
        waiting_.push_front(at->second);
    } else {
        given_up_[at->second] = fmt::format("{}, and before it {}", why, before->second);
    }
    at_.erase(at);
}

bool RankSchedule::over() const {
    return !any_alive() || (waiting_.empty() && at_.empty());
}

std::map<int, std::string> RankSchedule::why_missing() const {
    std::map<int, std::string> out = given_up_;
    for (const auto& [rank, shard] : at_) {
        out[shard] = fmt::format("the job was ended while rank {} was at it", rank);
    }
    for (const int shard : waiting_) {
        const auto died = interrupted_.find(shard);
        out[shard] = died != interrupted_.end()
                         ? fmt::format("{}, and nobody was left to run it", died->second)
                     : any_alive() ? std::string("the job was ended before it")
                                   : fmt::format("no rank was left to run it: {}", last_loss_);
    }
    return out;
}

}  // namespace harness
