// A run in ranks without MPI: rank 0 with a worker of its own and a team whose other ranks answer as a test
// says, and a rank behind the first. Whoever fails, the run ends, says so, and loses nothing that was done.
#include "harness/rank_run.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>

#include "harness/options.hpp"

namespace harness {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* identity = R"({"environment": {"cpu": "this"}})";
constexpr const char* other_identity = R"({"environment": {"cpu": "that"}})";

// A team whose others answer every message at once, as the test says.
class FakeTeam final : public RankTeam {
public:
    // What rank `to` says to `text`: messages as they go over the wire, a letter for the kind first.
    using Answer = std::function<std::vector<std::string>(int to, const std::string& text)>;

    FakeTeam(int rank, int size, Answer answer) : rank_(rank), size_(size), answer_(std::move(answer)) {}

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] std::string host() const override { return "here"; }
    void send(int to, const std::string& text) override {
        sent.push_back({to, text});
        for (std::string& said : answer_(to, text)) {
            waiting.push_back({to, std::move(said)});
        }
    }
    std::optional<RankMessage> receive() override {
        if (waiting.empty() || !may_speak()) {
            return std::nullopt;
        }
        RankMessage message = std::move(waiting.front());
        waiting.pop_front();
        return message;
    }
    void give_up() override { gave_up = true; }

    // Another rank has started, and is ready.
    void arrive(int rank, const std::string& host, const std::string& its_identity = identity) {
        waiting.push_back({rank, "h" + host});
        waiting.push_back({rank, fmt::format("r4 8\n{}", its_identity)});
    }
    [[nodiscard]] std::vector<std::string> sent_to(int rank) const {
        std::vector<std::string> out;
        for (const RankMessage& message : sent) {
            if (message.from == rank) {
                out.push_back(message.text);
            }
        }
        return out;
    }

    std::vector<RankMessage> sent;  // `from`: to whom
    std::deque<RankMessage> waiting;
    std::function<bool()> may_speak = [] { return true; };
    bool gave_up = false;

private:
    int rank_;
    int size_;
    Answer answer_;
};

std::string record_of(Share share) {
    return fmt::format("record of {}/{}", share.index, share.of);
}

// A worker of four shards of two stages each, or what `run` does instead.
PreparedJob job(ShardJob run = {}, int most_shards = 4) {
    if (!run) {
        run = [](Share share, const Progress& progress) {
            progress("golden");
            progress("timing");
            return record_of(share);
        };
    }
    return {most_shards, 2 * most_shards, identity, std::move(run)};
}

// Another rank that does what it is told.
std::vector<std::string> obey(int /*to*/, const std::string& order) {
    if (order == "stop") {
        return {};
    }
    return {"sgolden", "d" + record_of(parse_share(order))};
}

class RankRun : public testing::Test {
protected:
    RankRun() {
        std::string name = (std::filesystem::temp_directory_path() / "rank_run_XXXXXX").string();
        folder_ = mkdtemp(name.data());
    }
    ~RankRun() override { std::filesystem::remove_all(folder_); }

    RankedRun run(FakeTeam& team, const std::function<PreparedJob()>& prepare) {
        RankWorker worker(prepare);
        return *run_in_ranks(team, worker, say_);
    }

    static void expect_all_done(const RankedRun& ranked, int of) {
        EXPECT_EQ(int(ranked.records.size()), of);
        for (const auto& [shard, record] : ranked.records) {
            EXPECT_EQ(record, record_of({shard, of}));
        }
        EXPECT_TRUE(ranked.why_missing.empty());
    }

    std::string folder_;
    std::vector<std::string> losses_;
    std::vector<std::string> progress_;
    Say say_ = [this](Telling kind, const std::string& line) {
        (kind == Telling::loss ? losses_ : progress_).push_back(line);
    };
};

TEST_F(RankRun, EveryPartIsDoneOnceAndEverybodyIsSentHome) {
    FakeTeam team(0, 3, obey);
    team.arrive(1, "there");
    team.arrive(2, "there");
    const RankedRun ranked = run(team, [] { return job(); });
    expect_all_done(ranked, 4);
    EXPECT_TRUE(ranked.lost.empty());
    EXPECT_TRUE(losses_.empty());
    EXPECT_THAT(progress_.back(), HasSubstr("4 of 4 parts done by 3 ranks in "));
    for (const int rank : {1, 2}) {
        EXPECT_EQ(team.sent_to(rank).back(), "stop");
    }
    EXPECT_FALSE(team.gave_up);
}

TEST_F(RankRun, ARankWhoseWorkerDiesIsNamedAndItsPartIsRunByAnother) {
    FakeTeam team(0, 2, [](int, const std::string& order) -> std::vector<std::string> {
        if (order == "stop") {
            return {};
        }
        return {"sclip layer 3: golden", "kwas killed by signal 9 (Killed)"};
    });
    team.arrive(1, "there");
    const RankedRun ranked = run(team, [] { return job(); });
    expect_all_done(ranked, 4);
    EXPECT_THAT(ranked.lost,
                ElementsAre("rank 1 on there was killed by signal 9 (Killed) at clip layer 3: golden"));
    EXPECT_EQ(losses_, ranked.lost) << "said when it happens, whoever wants no progress";
    EXPECT_EQ(team.sent_to(1).size(), 2U) << "one part, and home";
}

// Its part could never be merged: hours of work would be for nothing.
TEST_F(RankRun, ARankOfAnotherEnvironmentGetsNoPart) {
    FakeTeam team(0, 3, obey);
    team.arrive(1, "there");
    team.arrive(2, "elsewhere", other_identity);
    const RankedRun ranked = run(team, [] { return job(); });
    expect_all_done(ranked, 4);
    EXPECT_THAT(ranked.lost,
                ElementsAre(AllOf(HasSubstr("rank 2 on elsewhere cannot take part: environment.cpu: is "),
                                  HasSubstr("\"that\" in rank 2 on elsewhere"))));
    EXPECT_EQ(losses_, ranked.lost);
    EXPECT_THAT(team.sent_to(2), ElementsAre("stop"));
}

TEST_F(RankRun, AWorkerThatThrowsIsNamedAndItsPartIsRunByAnother) {
    FakeTeam team(0, 2, obey);
    say_ = [&](Telling kind, const std::string&) {
        if (kind == Telling::loss) {
            team.arrive(1, "there");
        }
    };
    const RankedRun ranked = run(team, [] {
        return job([](Share, const Progress&) -> std::string { throw std::runtime_error("no memory"); });
    });
    expect_all_done(ranked, 4);
    for (const auto& [shard, owner] : ranked.owner) {
        EXPECT_EQ(owner, "rank 1 on there");
    }
    EXPECT_THAT(ranked.lost, ElementsAre("rank 0 on here cannot go on: no memory"));
}

TEST_F(RankRun, WhereNobodyCanBeginItSaysWhy) {
    FakeTeam team(0, 2, obey);
    team.waiting.push_back({1, "hthere"});
    team.waiting.push_back({1, "x2\n--clip a: no such clip"});
    const RankedRun ranked = run(team, []() -> PreparedJob { throw UsageError("--clip a: no such clip"); });
    EXPECT_TRUE(ranked.records.empty());
    ASSERT_EQ(ranked.refusals.size(), 2U);
    for (const WorkerEvent& refusal : ranked.refusals) {
        EXPECT_EQ(refusal.text, "2\n--clip a: no such clip");
    }
    EXPECT_EQ(ranked.lost.size(), 2U);
    EXPECT_TRUE(losses_.empty()) << "whoever asked for the run tells it, once";
}

TEST_F(RankRun, WhereNobodyIsLeftEveryMissingPartHasItsReason) {
    FakeTeam team(0, 1, obey);
    const RankedRun ranked = run(team, [] {
        return job([](Share, const Progress&) -> std::string {
            std::raise(SIGKILL);
            return {};
        });
    });
    EXPECT_TRUE(ranked.records.empty());
    ASSERT_EQ(ranked.why_missing.size(), 4U);
    for (const auto& [shard, why] : ranked.why_missing) {
        EXPECT_THAT(why, HasSubstr("rank 0 on here was killed by signal 9")) << shard;
    }
}

// A record each describes the whole: parts without end would take memory by their square.
TEST_F(RankRun, ALargeRunIsDealtOutInAFewPartsARank) {
    FakeTeam team(0, 2, obey);
    const RankedRun ranked = run(team, [] { return job({}, 1000); });
    expect_all_done(ranked, 2 * most_shards_of_a_rank);
}

TEST_F(RankRun, CountsThoseAtWorkOnOneHost) {
    for (const std::string host : {"here", "there"}) {
        const std::string begun = folder_ + "/begun on " + host;
        FakeTeam team(0, 3, obey);
        team.arrive(1, host);
        team.arrive(2, "here", other_identity);  // does nothing
        team.may_speak = [&] { return std::filesystem::exists(begun); };
        const RankedRun ranked = run(team, [&] {
            return job([&](Share share, const Progress& progress) {
                std::ofstream(begun).put('!');
                progress("golden");
                return record_of(share);
            });
        });
        expect_all_done(ranked, 4);
        EXPECT_EQ(ranked.ranks_on_a_host, host == "here" ? 2 : 1);
    }
}

// MPI itself fails: whoever waited for this process would wait for ever.
TEST_F(RankRun, WhateverThrowsGivesTheTeamUp) {
    FakeTeam lead(0, 2, [](int, const std::string&) -> std::vector<std::string> {
        throw std::runtime_error("MPI: send: no route");
    });
    lead.arrive(1, "there");
    EXPECT_THROW((void)run(lead, [] { return job(); }), std::runtime_error);
    EXPECT_TRUE(lead.gave_up);

    FakeTeam follower(1, 2, [](int, const std::string&) -> std::vector<std::string> {
        throw std::runtime_error("MPI: send: no route");
    });
    RankWorker worker([] { return job(); });
    EXPECT_THROW((void)run_in_ranks(follower, worker, say_), std::runtime_error);
    EXPECT_TRUE(follower.gave_up);
}

TEST_F(RankRun, ARankBehindTheFirstPassesOnWhatItsWorkerSays) {
    FakeTeam team(1, 2, [](int, const std::string& said) -> std::vector<std::string> {
        switch (said.front()) {
            case 'r':
                return {"3/4"};
            case 'd':
                return {"stop"};
            default:
                return {};
        }
    });
    RankWorker worker([] { return job(); });
    EXPECT_FALSE(run_in_ranks(team, worker, say_));
    EXPECT_THAT(team.sent_to(0), ElementsAre("hhere", fmt::format("r4 8\n{}", identity), "sgolden", "stiming",
                                             "drecord of 3/4"));
    EXPECT_FALSE(team.gave_up);
}

// What the worker holds, a device above all, is closed in order: it is not killed when its work is done.
TEST_F(RankRun, AWorkerEndsByItselfWhenItIsNoLongerNeeded) {
    const std::string closed = folder_ + "/closed";
    {
        RankWorker worker([&] {
            const std::shared_ptr<int> device(new int, [&](const int* one) {
                std::this_thread::sleep_for(std::chrono::milliseconds(50));
                std::ofstream(closed).put('!');
                delete one;
            });
            return job([device](Share share, const Progress&) { return record_of(share); });
        });
        while (!worker.wait(std::chrono::milliseconds(100))) {
        }
    }
    EXPECT_TRUE(std::filesystem::exists(closed));
}

}  // namespace
}  // namespace harness
