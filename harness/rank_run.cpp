#include "harness/rank_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "harness/interrupt.hpp"
#include "harness/rank_schedule.hpp"

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

// From rank 0: the number of a shard, or this.
constexpr const char* order_stop = "stop";

std::string packed(const WorkerEvent& event) {
    return std::string(1, char(event.kind)) + event.text;
}

int number(const std::string& text) {
    int value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
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
            worker.start(number(order->text));
        }
    }
}

// Rank 0.
class Lead {
public:
    Lead(RankTeam& team, RankWorker& worker, const std::function<void(const std::string&)>& say)
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
        bool gone = false;
        bool unheard = false;  // its process may be gone as well
        int shard = 0;         // 0: idle
        Clock::time_point heard = Clock::now();
    };

    [[nodiscard]] std::string name(int rank) const {
        return fmt::format("rank {} on {}", rank, ranks_[std::size_t(rank)].host);
    }

    [[nodiscard]] bool over() const {
        const bool all_gone = std::ranges::all_of(ranks_, &Rank::gone);
        return all_gone || (schedule_ && schedule_->over());
    }

    void take(int from, char kind, const std::string& text) {
        Rank& rank = ranks_[std::size_t(from)];
        rank.heard = Clock::now();
        if (rank.gone) {
            return;
        }
        if (kind == kind_host) {
            rank.host = text;
        } else if (kind == char(Kind::stage)) {
            rank.stage = text;
        } else if (kind == char(Kind::ready)) {
            rank.ready = true;
            begin(number(text));
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

    void begin(int shards) {
        if (!schedule_) {
            shards_ = shards;
            schedule_.emplace(team_.size(), shards);
            for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
                if (ranks_[rank].gone) {
                    schedule_->lost(int(rank), result_.lost.front());
                }
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
        lost.gone = true;
        lost.shard = 0;
        const std::string why = fmt::format("{} {}{}", name(rank), how,
                                            lost.stage.empty() ? "" : fmt::format(" at {}", lost.stage));
        result_.lost.push_back(why);
        say_(why);
        if (schedule_) {
            schedule_->lost(rank, why);
        }
    }

    void give_up_the_silent() {
        for (int rank = 1; rank < team_.size(); ++rank) {
            Rank& one = ranks_[std::size_t(rank)];
            if (!one.gone && Clock::now() - one.heard > longest_silence) {
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
            if (!one.ready || one.gone || one.shard != 0) {
                continue;
            }
            if (const auto shard = schedule_->next(rank)) {
                one.shard = *shard;
                if (rank == 0) {
                    worker_.start(*shard);
                } else {
                    team_.send(rank, fmt::to_string(*shard));
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
        say_(fmt::format("{} of {} parts done by {} ranks{}", done, shards_, team_.size(),
                         done < shards_ ? fmt::format(", {:.0f} s left", passed / done * (shards_ - done))
                                        : fmt::format(" in {:.1f} s", passed)));
    }

    void finish() {
        if (schedule_) {
            result_.why_missing = schedule_->why_missing();
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
    const std::function<void(const std::string&)>& say_;
    std::vector<Rank> ranks_;
    std::optional<RankSchedule> schedule_;
    int shards_ = 0;
    Clock::time_point begun_ = Clock::now();
    Clock::time_point told_ = begun_;
    RankedRun result_;
};

}  // namespace

std::optional<RankedRun> run_in_ranks(RankTeam& team, RankWorker& worker,
                                      const std::function<void(const std::string&)>& say) {
    if (team.rank() == 0) {
        return Lead(team, worker, say).run();
    }
    try {
        follow(team, worker);
    } catch (const Interrupted&) {
        team.give_up();  // the others are being ended too
        throw;
    }
    return std::nullopt;
}

}  // namespace harness
