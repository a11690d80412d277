#include "harness/rank_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "harness/interrupt.hpp"
#include "harness/rank_schedule.hpp"
#include "harness/run_record_whole.hpp"

namespace harness {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = WorkerEvent::Kind;

// A rank sends signs of life while its worker is silent. One that stays away longer is given up: only its
// machine or its MPI process can be gone, and most launchers end the whole job then.
constexpr milliseconds sign_of_life{1000};
constexpr seconds longest_silence{60};
constexpr milliseconds poll_time{5};
constexpr seconds between_lines{5};

// From a rank to rank 0: the kind of a worker's event and its text, or one of these.
constexpr char kind_alive = 'a';
constexpr char kind_host = 'h';

// From rank 0: a share, "2/5", or this.
constexpr const char* order_stop = "stop";

std::string packed(const WorkerEvent& event) {
    return std::string(1, char(event.kind)) + event.text;
}

// What a worker says when it is ready.
struct Ready {
    int most_shards = 0;
    int stages = 0;
    std::string identity;
};

Ready parse_ready(const std::string& text) {
    Ready ready;
    std::istringstream numbers(text);
    numbers >> ready.most_shards >> ready.stages;
    ready.identity = text.substr(text.find('\n') + 1);
    return ready;
}

// A rank behind the first: passes on what its worker says, and the orders that come for it.
void follow(RankTeam& team, RankWorker& worker) {
    team.send(0, kind_host + team.host());
    auto said = Clock::now();
    while (true) {
        throw_if_interrupted();
        if (const auto event = worker.wait(poll_time)) {
            team.send(0, packed(*event));
            said = Clock::now();
        } else if (Clock::now() - said > sign_of_life) {
            team.send(0, std::string(1, kind_alive));
            said = Clock::now();
        }
        if (const auto order = team.receive()) {
            if (order->text == order_stop) {
                return;
            }
            worker.start(parse_share(order->text));
        }
    }
}

// Rank 0.
class Lead {
public:
    Lead(RankTeam& team, RankWorker& worker, const Say& say)
        : team_(team), worker_(worker), say_(say), ranks_(std::size_t(team.size())) {
        ranks_[0].host = team.host();
    }

    RankedRun run() {
        while (!over()) {
            try {
                throw_if_interrupted();
            } catch (const Interrupted&) {
                result_.interrupted = true;
                break;
            }
            if (const auto event = worker_.wait(poll_time)) {
                take(0, char(event->kind), event->text);
            }
            while (const auto message = team_.receive()) {
                take(message->from, message->text.front(), message->text.substr(1));
            }
            give_up_the_silent();
        }
        finish();
        return std::move(result_);
    }

private:
    struct Rank {
        std::string host;
        std::string stage;  // that it was at last
        bool ready = false;
        std::string gone;      // why; empty: it is there
        bool unheard = false;  // its process may be gone as well
        bool worked = false;
        int shard = 0;  // 0: idle
        Clock::time_point heard = Clock::now();

        [[nodiscard]] bool is_gone() const { return !gone.empty(); }
    };

    [[nodiscard]] std::string name(int rank) const {
        return fmt::format("rank {} on {}", rank, ranks_[std::size_t(rank)].host);
    }

    [[nodiscard]] bool over() const {
        const bool all_gone = std::ranges::all_of(ranks_, &Rank::is_gone);
        return all_gone || (schedule_ && schedule_->over());
    }

    void take(int from, char kind, const std::string& text) {
        Rank& rank = ranks_[std::size_t(from)];
        rank.heard = Clock::now();
        if (rank.is_gone()) {
            return;
        }
        if (kind == kind_host) {
            rank.host = text;
        } else if (kind == char(Kind::stage)) {
            rank.stage = text;
            ++stages_begun_;
            if (schedule_) {
                tell_how_far();
            }
        } else if (kind == char(Kind::ready)) {
            begin(from, parse_ready(text));
        } else if (kind == char(Kind::result)) {
            keep(from, text);
        } else if (kind == char(Kind::refused)) {
            result_.refusals.push_back({Kind::refused, text});
            lose(from, "cannot go on: " + text.substr(text.find('\n') + 1));
        } else if (kind == char(Kind::died)) {
            lose(from, text);
        }
        deal();
    }

    void begin(int from, const Ready& ready) {
        Rank& rank = ranks_[std::size_t(from)];
        rank.ready = true;
        if (schedule_) {
            if (ready.identity != first_.identity) {
                lose(from,
                     fmt::format("cannot take part: {}",
                                 first_difference(first_.identity, ready.identity, first_name_, name(from))));
            }
            return;
        }
        first_ = ready;
        first_name_ = name(from);
        shards_ = std::min(ready.most_shards, most_shards_of_a_rank * team_.size());
        schedule_.emplace(team_.size(), shards_);
        for (int other = 0; other < team_.size(); ++other) {
            if (ranks_[std::size_t(other)].is_gone()) {
                forget(other);
            }
        }
    }

    void keep(int from, const std::string& record) {
        Rank& rank = ranks_[std::size_t(from)];
        result_.owner[rank.shard] = name(from);
        result_.records[rank.shard] = record;
        rank.shard = 0;
        schedule_->done(from);
        tell_how_far();
    }

    void lose(int rank, const std::string& how) {
        Rank& lost = ranks_[std::size_t(rank)];
        lost.shard = 0;
        lost.gone = fmt::format("{} {}{}", name(rank), how,
                                lost.stage.empty() ? "" : fmt::format(" at {}", lost.stage));
        result_.lost.push_back(lost.gone);
        if (schedule_) {
            forget(rank);
        }
    }

    // A rank that is gone, when there is a run to be told of: where nobody can begin, the reason is the end.
    void forget(int rank) {
        const std::string& why = ranks_[std::size_t(rank)].gone;
        schedule_->lost(rank, why);
        say_(Telling::loss, why);
    }

    void give_up_the_silent() {
        for (int rank = 1; rank < team_.size(); ++rank) {
            Rank& one = ranks_[std::size_t(rank)];
            if (!one.is_gone() && Clock::now() - one.heard > longest_silence) {
                one.unheard = true;
                lose(rank, fmt::format("was not heard of for {} s", longest_silence.count()));
                team_.give_up();
                deal();
            }
        }
    }

    void deal() {
        for (int rank = 0; schedule_ && rank < team_.size(); ++rank) {
            Rank& one = ranks_[std::size_t(rank)];
            if (!one.ready || one.is_gone() || one.shard != 0) {
                continue;
            }
            if (const auto shard = schedule_->next(rank)) {
                one.shard = *shard;
                one.worked = true;
                if (rank == 0) {
                    worker_.start({*shard, shards_});
                } else {
                    team_.send(rank, fmt::format("{}/{}", *shard, shards_));
                }
            }
        }
    }

    void tell_how_far() {
        const auto now = Clock::now();
        const int done = schedule_->shards_done();
        if (done < shards_ && now - told_ < between_lines) {
            return;
        }
        told_ = now;
        const double passed = std::chrono::duration<double>(now - begun_).count();
        // A stage that is run anew counts twice.
        const double stages = std::min(stages_begun_, first_.stages);
        const double left = stages > 0 ? passed * (first_.stages - stages) / stages : 0;
        say_(Telling::progress,
             fmt::format("{} of {} parts done by {} ranks{}", done, shards_, team_.size(),
                         done < shards_ ? fmt::format(", {:.0f}% of all stages begun, {:.0f} s left",
                                                      100 * stages / std::max(1, first_.stages), left)
                                        : fmt::format(" in {:.1f} s", passed)));
    }

    void finish() {
        if (schedule_) {
            result_.why_missing = schedule_->why_missing();
        }
        std::map<std::string, int> at_work;
        for (const Rank& rank : ranks_) {
            if (rank.worked) {
                result_.ranks_on_a_host = std::max(result_.ranks_on_a_host, ++at_work[rank.host]);
            }
        }
        if (result_.interrupted) {
            team_.give_up();
            return;
        }
        for (int rank = 1; rank < team_.size(); ++rank) {
            if (!ranks_[std::size_t(rank)].unheard) {
                team_.send(rank, order_stop);
            }
        }
    }

    RankTeam& team_;
    RankWorker& worker_;
    const Say& say_;
    std::vector<Rank> ranks_;
    std::optional<RankSchedule> schedule_;
    Ready first_;             // of the first rank that was ready
    std::string first_name_;  // that rank
    int shards_ = 0;
    int stages_begun_ = 0;
    Clock::time_point begun_ = Clock::now();
    Clock::time_point told_ = begun_;
    RankedRun result_;
};

}  // namespace

std::optional<RankedRun> run_in_ranks(RankTeam& team, RankWorker& worker, const Say& say) {
    try {
        if (team.rank() == 0) {
            return Lead(team, worker, say).run();
        }
        follow(team, worker);
        return std::nullopt;
    } catch (...) {
        team.give_up();  // whoever waits for this process waits in vain
        throw;
    }
}

}  // namespace harness
