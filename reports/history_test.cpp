#include "reports/history.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <random>
#include <sstream>
#include <thread>

#include "reports/history_database.hpp"
#include "reports/history_text.hpp"
#include "reports/history_trends.hpp"

namespace reports {
namespace {

using harness::Figure;
using harness::FigureKind;
using harness::RunFigures;
using harness::Verdict;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class HistoryFile : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "history-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder = pattern;
        file = (folder / "deep" / "history.sqlite").string();
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    std::filesystem::path folder;
    std::string file;
};

std::string at(int day, int hour = 3) {
    const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1} +
                                           std::chrono::days{day}};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:00:00Z", int(date.year()), unsigned(date.month()),
                       unsigned(date.day()), hour);
}

// A run of `layers` layers with four figures of scores each, whose times are `ms`.
RunFigures run(int day, double ms = 10, int layers = 2) {
    RunFigures out;
    out.created_utc = at(day);
    out.sha256 = fmt::format("{}-{}-{}", day, ms, layers);
    out.commit = fmt::format("commit{}", day);
    out.command = "harness --compare";
    out.scope = fmt::format("0-{}", layers - 1);
    out.verdict = Verdict::passed;
    out.key.cpu = "a processor";
    for (int layer = 0; layer < layers; ++layer) {
        const std::string part = fmt::format("layer {}", layer);
        out.figures.push_back({"scores",
                               part,
                               "clip",
                               "",
                               "CPU ms",
                               FigureKind::measured,
                               ms + layer,
                               {ms + layer - 0.5, ms + layer, ms + layer + 0.25},
                               {}});
        out.figures.push_back({"scores", part, "clip", "", "NPU ms", FigureKind::modelled, 2 * ms, {}, {}});
        out.figures.push_back({"scores",
                               part,
                               "clip",
                               "isolated",
                               "match %",
                               FigureKind::computed,
                               99.9 + 0.01 * layer,
                               {},
                               Verdict::passed});
        out.figures.push_back({"scores",
                               part,
                               "clip",
                               "isolated",
                               "verdict",
                               FigureKind::computed,
                               std::nan(""),
                               {},
                               Verdict::covered});
    }
    return out;
}

std::string bytes_of(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
}

std::string refusal(const std::string& file, HistoryAccess access = HistoryAccess::write) {
    try {
        History history(file, access);
        (void)history.add(run(99));
    } catch (const HistoryError& error) {
        return error.what();
    }
    return "";
}

TEST_F(HistoryFile, GivesBackWhatWasAddedToTheBit) {
    RunFigures added = run(1, 10.1);
    for (const harness::KeyField& field : harness::key_fields()) {
        added.key.*field.value = fmt::format("{} with 'quotes' and \xC3\xA4", field.name);
    }
    added.exit_code = 1;
    added.verdict = Verdict::mistrusted;
    History history(file, HistoryAccess::write);
    EXPECT_TRUE(history.add(added));
    const std::vector<HistoryRun> runs = History(file, HistoryAccess::read).runs();
    ASSERT_EQ(runs.size(), 1U);
    const RunFigures read = history.with_figures(runs[0]);
    EXPECT_EQ(read.created_utc, added.created_utc);
    EXPECT_EQ(read.sha256, added.sha256);
    EXPECT_EQ(read.commit, added.commit);
    EXPECT_EQ(read.command, added.command);
    EXPECT_EQ(read.scope, added.scope);
    EXPECT_EQ(read.verdict, added.verdict);
    EXPECT_EQ(read.exit_code, added.exit_code);
    EXPECT_EQ(harness::key_difference(read.key, added.key), "");
    ASSERT_EQ(read.figures.size(), added.figures.size());
    for (std::size_t i = 0; i < read.figures.size(); ++i) {
        EXPECT_EQ(read.figures[i].row, added.figures[i].row);
        EXPECT_EQ(read.figures[i].part, added.figures[i].part);
        EXPECT_EQ(read.figures[i].input, added.figures[i].input);
        EXPECT_EQ(read.figures[i].quantity, added.figures[i].quantity);
        EXPECT_EQ(read.figures[i].kind, added.figures[i].kind);
        EXPECT_EQ(read.figures[i].samples, added.figures[i].samples);
        EXPECT_EQ(read.figures[i].verdict, added.figures[i].verdict);
        EXPECT_TRUE(read.figures[i].value == added.figures[i].value ||
                    (std::isnan(read.figures[i].value) && std::isnan(added.figures[i].value)));
    }
}

TEST_F(HistoryFile, TheSameRunIsAddedOnce) {
    History history(file, HistoryAccess::write);
    EXPECT_TRUE(history.add(run(1)));
    const std::string before = bytes_of(file);
    EXPECT_FALSE(history.add(run(1)));
    EXPECT_EQ(history.runs().size(), 1U);
    EXPECT_EQ(bytes_of(file), before);
}

TEST_F(HistoryFile, RunsComeInOrderOfTimeHoweverTheyWereAdded) {
    History history(file, HistoryAccess::write);
    for (const int day : {3, 1, 2}) {
        ASSERT_TRUE(history.add(run(day)));
    }
    std::vector<std::string> order;
    for (const HistoryRun& one : history.runs(2)) {
        order.push_back(one.run.commit);
    }
    EXPECT_THAT(order, ElementsAre("commit2", "commit3"));
}

TEST_F(HistoryFile, GreenNightsAreDaysOnWhichARunPassed) {
    History history(file, HistoryAccess::write);
    for (int day = 1; day <= 6; ++day) {
        RunFigures one = run(day);
        one.verdict = day == 4 ? Verdict::failed : day == 6 ? Verdict::accepted : Verdict::passed;
        one.exit_code = day == 4 ? 1 : 0;
        ASSERT_TRUE(history.add(one));
    }
    RunFigures second = run(5, 11);
    second.created_utc = at(5, 20);
    ASSERT_TRUE(history.add(second));
    RunFigures elsewhere = run(3, 12);
    elsewhere.key.cpu = "another processor";
    ASSERT_TRUE(history.add(elsewhere));
    const auto days = [&](const BaselineFilter& filter, int nights) {
        std::vector<std::string> out;
        for (const HistoryRun& one : history.green_nights(filter, nights)) {
            out.push_back(one.run.created_utc.substr(8, 5));
        }
        return out;
    };
    const harness::EnvironmentKey key = run(1).key;
    EXPECT_THAT(days({key, at(30), {}}, 3), ElementsAre("04T03", "06T03", "06T20", "07T03"));
    // Neither later runs nor the compared one itself, which uses up no night.
    EXPECT_THAT(days({key, at(5), {run(5).sha256}}, 2), ElementsAre("03T03", "04T03"));
    EXPECT_THAT(days({elsewhere.key, at(30), {}}, 3), ElementsAre("04T03"));
    harness::EnvironmentKey unknown = key;
    unknown.threads = "64";
    EXPECT_THAT(days({unknown, at(30), {}}, 3), IsEmpty());
}

TEST_F(HistoryFile, AComparedRunOfSeveralDaysUsesUpNoNight) {
    History history(file, HistoryAccess::write);
    for (int day = 1; day <= 6; ++day) {
        ASSERT_TRUE(history.add(run(day)));
    }
    const auto nights =
        history.green_nights({run(1).key, at(30), {run(4).sha256, run(5).sha256, run(6).sha256}}, 2);
    ASSERT_EQ(nights.size(), 2U);
    EXPECT_EQ(nights[0].run.commit, "commit2");
    EXPECT_EQ(nights[1].run.commit, "commit3");
}

TEST_F(HistoryFile, CommitsAreFoundByHashTagOrAllOfTheirName) {
    const std::string hash(40, 'a');
    const std::string other = std::string(39, 'a') + "b";
    History history(file, HistoryAccess::write);
    int day = 0;
    for (const std::string& build :
         {hash, hash + "-dirty", "v1.0-0-g" + other, "v1.0-3-g" + std::string(40, 'c')}) {
        RunFigures one = run(++day);
        one.commit = build;
        ASSERT_TRUE(history.add(one));
    }
    const BaselineFilter filter{run(1).key, at(30), {}};
    const auto days = [&](const std::string& commit) {
        std::vector<std::string> out;
        for (const HistoryRun& one : history.of_commit(filter, commit)) {
            out.push_back(one.run.created_utc.substr(8, 2));
        }
        return out;
    };
    EXPECT_THAT(days(hash), ElementsAre("02"));
    EXPECT_THAT(days(hash + "-dirty"), ElementsAre("03"));
    EXPECT_THAT(days(other), ElementsAre("04"));
    EXPECT_THAT(days("v1.0"), ElementsAre("04")) << "and not what came after the tag";
    EXPECT_THAT(days("ccccccc"), ElementsAre("05"));
    EXPECT_THAT(days("cccccc"), IsEmpty()) << "too short to mean one commit";
    EXPECT_THAT(days("v1"), IsEmpty());
    EXPECT_THROW(days("aaaaaaaaa"), HistoryError) << "two commits begin so";
    RunFigures tagged = run(++day);
    tagged.commit = "v1.1-0-g" + hash;
    ASSERT_TRUE(history.add(tagged));
    EXPECT_THAT(days(hash), ElementsAre("02", "06")) << "which a tag names otherwise";
}

TEST_F(HistoryFile, AReaderSeesOneMoment) {
    History writer(file, HistoryAccess::write);
    ASSERT_TRUE(writer.add(run(1)));
    const History reader(file, HistoryAccess::read);
    EXPECT_EQ(reader.runs().size(), 1U);
    ASSERT_TRUE(writer.add(run(2)));
    EXPECT_EQ(reader.runs().size(), 1U);
    EXPECT_EQ(History(file, HistoryAccess::read).runs().size(), 2U);
}

TEST_F(HistoryFile, TrendsFoldLayersAndKeepScopesApart) {
    History history(file, HistoryAccess::write);
    for (int day = 1; day <= 5; ++day) {
        ASSERT_TRUE(history.add(run(day, 10 + day)));
    }
    ASSERT_TRUE(history.add(run(3, 50, 1)));  // layer 0 only: not to be folded with the others
    const HistoryRun last = *history.latest();
    const std::vector<Trend> trends = history.trends(last, 3, {.row = "scores", .part = ""});
    ASSERT_EQ(trends.size(), 3U) << "a verdict has no value to draw";
    EXPECT_EQ(trends[0].quantity, "CPU ms");
    EXPECT_EQ(trends[0].kind, "measured");
    EXPECT_EQ(trends[1].quantity, "NPU ms");
    EXPECT_EQ(trends[1].kind, "modelled");
    EXPECT_EQ(trends[2].quantity, "match % (isolated)");
    std::vector<double> means;
    for (const TrendPoint& point : trends[0].points) {
        means.push_back(point.value);
    }
    EXPECT_THAT(means, ElementsAre(13.5, 14.5, 15.5));
    EXPECT_EQ(trends[0].points[0].commit, "commit3");
    EXPECT_EQ(trends[2].points[0].value, 99.9) << "the worst layer";
    EXPECT_EQ(history.trends(last, 3, {.row = "scores", .part = "layer 1"})[0].points[0].value, 14);
    EXPECT_THAT(history.trends(last, 3, {.row = "query", .part = ""}), IsEmpty());
    EXPECT_EQ(history.trends(last, 3).size(), 3U);
    // Of runs like one of them: its scope, and nothing later.
    EXPECT_EQ(history.trends_like(run(3, 50, 1), 9)[0].points.size(), 1U);
    EXPECT_EQ(history.trends_like(run(4), 9)[0].points.size(), 4U);
    RunFigures elsewhere = run(4);
    elsewhere.key.cpu = "another processor";
    EXPECT_THAT(history.trends_like(elsewhere, 9), IsEmpty());
}

TEST_F(HistoryFile, ARunWithoutAValueIsAPointOfItsOwn) {
    History history(file, HistoryAccess::write);
    ASSERT_TRUE(history.add(run(1, 10)));
    RunFigures same_second = run(1, 11);
    ASSERT_TRUE(history.add(same_second));
    RunFigures failed = run(2, 12);
    failed.figures[0].value = std::nan("");                             // CPU ms of one layer
    failed.figures[2].value = std::numeric_limits<double>::infinity();  // match %, as an error may be
    failed.figures[6].value = std::nan("");                             // match % of the other layer
    std::erase_if(failed.figures, [](const Figure& one) { return one.quantity == "NPU ms"; });
    ASSERT_TRUE(history.add(failed));
    std::map<std::string, std::vector<double>> values;
    for (const Trend& trend : history.trends(*history.latest(), 9, {.row = "scores", .part = ""})) {
        for (const TrendPoint& point : trend.points) {
            values[trend.quantity].push_back(point.value);
        }
        EXPECT_EQ(trend.points.back().commit, "commit2");
    }
    EXPECT_THAT(values["CPU ms"], ElementsAre(10.5, 11.5, testing::IsNan())) << "no mean of what is left";
    EXPECT_THAT(values["match % (isolated)"], ElementsAre(99.9, 99.9, testing::IsNan()));
    EXPECT_THAT(values["NPU ms"], ElementsAre(20, 22, testing::IsNan()));
    const std::string table =
        trend_table(*history.latest(), history.trends(*history.latest(), 9, {.row = "scores", .part = ""}));
    EXPECT_THAT(table, HasSubstr("layers 0-1; 3 runs from 2026-01-02 to 2026-01-03\n"));
    EXPECT_THAT(table,
                HasSubstr("CPU ms                      measured           -         11       10.5       "
                          "11.5  ▁█ \n"));
}

TEST_F(HistoryFile, TheLatestRunWithARowOrAPartIsFoundByEnvironment) {
    History history(file, HistoryAccess::write);
    ASSERT_TRUE(history.add(run(1, 10, 3)));
    ASSERT_TRUE(history.add(run(2)));
    RunFigures other_row = run(3, 10, 1);
    for (Figure& figure : other_row.figures) {
        figure.row = "query";
    }
    ASSERT_TRUE(history.add(other_row));
    RunFigures elsewhere = run(4);
    elsewhere.key.cpu = "another processor";
    ASSERT_TRUE(history.add(elsewhere));
    const auto found = [&](const TrendFilter& filter) {
        std::vector<std::string> out;
        for (const HistoryRun& one : history.latest_with(filter)) {
            out.push_back(fmt::format("{} {}", one.run.commit, one.run.scope));
        }
        return out;
    };
    EXPECT_THAT(found({.row = "scores", .part = ""}), ElementsAre("commit4 0-1", "commit2 0-1"));
    EXPECT_THAT(found({.row = "scores", .part = "layer 2"}), ElementsAre("commit1 0-2"));
    EXPECT_THAT(found({.row = "query", .part = ""}), ElementsAre("commit3 0-0"));
    EXPECT_THAT(found({.row = "scores", .part = "layer 9"}), IsEmpty());
    EXPECT_THAT(history.parts_of("scores"), ElementsAre("layer 0", "layer 1", "layer 2"));
    EXPECT_THAT(history.parts_of("value"), IsEmpty());
}

TEST_F(HistoryFile, PruningRemovesRunsAndNothingElse) {
    History history(file, HistoryAccess::write);
    for (int day = 1; day <= 10; ++day) {
        ASSERT_TRUE(history.add(run(day)));
    }
    EXPECT_EQ(history.prune_older_than(4, at(10)), 5);
    EXPECT_EQ(history.runs().size(), 5U);
    EXPECT_EQ(history.prune_older_than(4, at(10)), 0);
    EXPECT_EQ(history.prune_to(2), 3);
    ASSERT_EQ(history.runs().size(), 2U);
    for (const HistoryRun& one : history.runs()) {
        EXPECT_EQ(history.with_figures(one).figures.size(), 8U);
    }
    EXPECT_EQ(history.prune_to(0), 2);
    EXPECT_FALSE(history.latest());
    EXPECT_TRUE(history.add(run(1)));
}

// ---- what is no history, or damaged ---------------------------------------------------------------------

TEST_F(HistoryFile, AForeignFileIsRefusedAndNotTouched) {
    std::filesystem::create_directories(folder / "deep");
    const auto is_refused = [&](const char* reason) {
        const std::string before = bytes_of(file);
        for (const HistoryAccess access : {HistoryAccess::read, HistoryAccess::write}) {
            EXPECT_THAT(refusal(file, access), HasSubstr(reason));
            EXPECT_THAT(refusal(file, access), Not(HasSubstr("\n")));
        }
        EXPECT_EQ(bytes_of(file), before);
        EXPECT_FALSE(std::filesystem::exists(file + "-wal"));
        EXPECT_FALSE(std::filesystem::exists(file + "-journal"));
    };
    std::ofstream(file) << "{\"schema\": \"npu-attention-run\"}" << std::string(200, ' ');
    is_refused("is no history: not a SQLite file");
    std::ofstream(file) << "short";
    is_refused("is no history: not a SQLite file");

    std::filesystem::remove(file);
    sqlite3* other = nullptr;
    ASSERT_EQ(sqlite3_open(file.c_str(), &other), SQLITE_OK);
    sqlite3_exec(other, "CREATE TABLE run(id)", nullptr, nullptr, nullptr);
    sqlite3_close(other);
    is_refused("is a database of another program");

    std::filesystem::remove(file);
    ASSERT_EQ(sqlite3_open(file.c_str(), &other), SQLITE_OK);
    sqlite3_exec(other,
                 fmt::format("CREATE TABLE run(id); PRAGMA application_id = {}; PRAGMA user_version = {}",
                             history_application, history_schema + 1)
                     .c_str(),
                 nullptr, nullptr, nullptr);
    sqlite3_close(other);
    is_refused(
        fmt::format("has schema {}, and this program knows {}", history_schema + 1, history_schema).c_str());
}

TEST_F(HistoryFile, WhatIsNotThereIsReadByNobody) {
    EXPECT_THAT(refusal(file, HistoryAccess::read), HasSubstr("is not there"));
    EXPECT_FALSE(std::filesystem::exists(file));
    EXPECT_THAT(refusal(folder.string(), HistoryAccess::write), HasSubstr("is no regular file"));
    std::ofstream(folder / "file") << "x";
    EXPECT_THAT(refusal((folder / "file" / "history.sqlite").string()), HasSubstr("cannot be created"));
}

TEST_F(HistoryFile, WhatCannotBeReachedIsRefusedInTheSystemsWords) {
    const std::string loop = (folder / "loop").string();
    std::filesystem::create_symlink("loop", loop);
    for (const HistoryAccess access : {HistoryAccess::read, HistoryAccess::write}) {
        EXPECT_THAT(refusal(loop, access), HasSubstr("(Too many levels of symbolic links): mend that"));
        EXPECT_THAT(refusal(folder / std::string(300, 'a'), access), HasSubstr("(File name too long)"));
    }
}

TEST_F(HistoryFile, ANameIsAPathWhateverSQLiteWouldReadIntoIt) {
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(folder);
    for (const char* name : {":memory:", "file:x?mode=memory", "file::memory:?cache=shared", "a?b#c%41"}) {
        EXPECT_TRUE(History(name, HistoryAccess::write).add(run(1))) << name;
        EXPECT_TRUE(std::filesystem::is_regular_file(folder / name)) << name;
        EXPECT_EQ(History(name, HistoryAccess::read).runs().size(), 1U) << name;
    }
    std::filesystem::current_path(before);
}

// ---- readers who may not write --------------------------------------------------------------------------

// Makes this process another user, who owns nothing here, and undoes it.
class AnotherUser {
public:
    AnotherUser() : group_(getegid()), is_done_(setegid(1001) == 0 && seteuid(1001) == 0) {}
    ~AnotherUser() {
        EXPECT_EQ(seteuid(0), 0);
        EXPECT_EQ(setegid(group_), 0);
    }
    AnotherUser(const AnotherUser&) = delete;
    AnotherUser& operator=(const AnotherUser&) = delete;
    [[nodiscard]] bool is_done() const { return is_done_; }

private:
    gid_t group_;
    bool is_done_;
};

class HistoryOfAnother : public HistoryFile {
protected:
    void SetUp() override {
        if (geteuid() != 0) {
            GTEST_SKIP() << "only root can become another user";
        }
        HistoryFile::SetUp();
        file = (folder / "a? #%" / "history.sqlite").string();
        ASSERT_TRUE(History(file, HistoryAccess::write).add(run(1)));
        std::filesystem::permissions(folder, std::filesystem::perms(0755));
        std::filesystem::permissions(file, std::filesystem::perms(0644));
        allow(0777);
    }
    void allow(unsigned mode) {
        std::filesystem::permissions(std::filesystem::path(file).parent_path(), std::filesystem::perms(mode));
    }
    std::vector<std::string> beside() {
        std::vector<std::string> out;
        for (const auto& entry :
             std::filesystem::directory_iterator(std::filesystem::path(file).parent_path())) {
            out.push_back(entry.path().filename().string());
        }
        return out;
    }
};

TEST_F(HistoryOfAnother, IsReadWithoutLeavingAnything) {
    for (const unsigned mode : {0777U, 0555U}) {
        allow(mode);
        const AnotherUser somebody;
        ASSERT_TRUE(somebody.is_done());
        EXPECT_EQ(History(file, HistoryAccess::read).runs().size(), 1U);
        EXPECT_THAT(beside(), ElementsAre("history.sqlite"));
    }
    allow(0755);
    EXPECT_EQ(History(file, HistoryAccess::read).runs().size(), 1U);
    EXPECT_THAT(beside(), ElementsAre("history.sqlite")) << "nor by a reader who may write";
}

TEST_F(HistoryOfAnother, IsReadThroughTheJournalOfAWriterAtWork) {
    History writer(file, HistoryAccess::write);
    ASSERT_TRUE(writer.add(run(2)));
    const AnotherUser somebody;
    ASSERT_TRUE(somebody.is_done());
    EXPECT_EQ(History(file, HistoryAccess::read).runs().size(), 2U);
}

TEST_F(HistoryOfAnother, SaysThatItWasWrittenMeanwhile) {
    const auto read = [this] {
        const AnotherUser somebody;
        EXPECT_TRUE(somebody.is_done());
        return History(file, HistoryAccess::read);
    };
    const auto complaint = [](const History& reader) -> std::string {
        try {
            (void)reader.runs();
        } catch (const HistoryError& error) {
            return error.what();
        }
        return "";
    };
    const std::string expected = file + ": history: was written while it was read: try again";
    const History before = read();
    EXPECT_EQ(complaint(before), "");
    {
        History writer(file, HistoryAccess::write);
        ASSERT_TRUE(writer.add(run(2)));
        EXPECT_EQ(complaint(before), expected) << "while the writer is at work";
    }
    EXPECT_EQ(complaint(before), expected) << "and when it is done";
    EXPECT_EQ(complaint(read()), "");
}

TEST_F(HistoryOfAnother, NamesWhatStopsAWriter) {
    const std::string left = file + "-shm";
    std::ofstream(left) << "";
    ASSERT_EQ(chown(file.c_str(), 1001, 1001), 0);
    const AnotherUser owner;
    ASSERT_TRUE(owner.is_done());
    EXPECT_THAT(refusal(file), HasSubstr("may not be written while " + left + " may not: give write access"));
}

// ---- damage ---------------------------------------------------------------------------------------------

TEST_F(HistoryFile, DamageIsRefusedBeforeAnythingIsWritten) {
    {
        History history(file, HistoryAccess::write);
        for (int day = 0; day < 40; ++day) {
            ASSERT_TRUE(history.add(run(day, 10, 6)));
        }
    }
    const std::string whole = bytes_of(file);
    ASSERT_GT(whole.size(), 40000U);
    // Cut short, and with pages overwritten.
    std::ofstream(file, std::ios::binary) << whole.substr(0, whole.size() / 2);
    EXPECT_THAT(refusal(file), HasSubstr("is damaged"));
    EXPECT_THAT(refusal(file), Not(HasSubstr("\n")));
    for (const std::size_t page : {2U, 5U, 8U}) {
        std::string damaged = whole;
        damaged.replace(page * 4096, 2000, 2000, '\x5A');
        std::ofstream(file, std::ios::binary) << damaged;
        EXPECT_THAT(refusal(file), HasSubstr("is damaged")) << page;
        EXPECT_THAT(refusal(file), Not(HasSubstr("\n"))) << page;
        EXPECT_EQ(bytes_of(file), damaged) << page;
    }
}

TEST_F(HistoryFile, AWordThatNobodyWroteIsDamage) {
    { ASSERT_TRUE(History(file, HistoryAccess::write).add(run(1))); }
    { HistoryDatabase(file, HistoryAccess::write).execute("UPDATE run SET verdict = 'passd'"); }
    EXPECT_THROW((void)History(file, HistoryAccess::read).runs(), HistoryError);
    HistoryDatabase(file, HistoryAccess::write)
        .execute("UPDATE run SET verdict = 'passed'; UPDATE series SET quantity = 'furlongs' WHERE id = 1");
    const History history(file, HistoryAccess::read);
    const HistoryRun one = *history.latest();
    const auto names_the_word = testing::ThrowsMessage<HistoryError>(
        HasSubstr(file + ": history: 'furlongs' is no word of this program's: a newer one wrote it"));
    EXPECT_THAT([&] { (void)history.with_figures(one); }, names_the_word);
    EXPECT_THAT([&] { (void)history.trends(one, 9); }, names_the_word);
}

TEST_F(HistoryFile, AMissingTableIsDamage) {
    { History created(file, HistoryAccess::write); }
    HistoryDatabase(file, HistoryAccess::write).execute("DROP TABLE figure");
    EXPECT_THAT(refusal(file), HasSubstr(file + ": history: is damaged (no such table: figure)"));
}

TEST_F(HistoryFile, AFullDiskLeavesTheHistoryAsItWas) {
    ASSERT_TRUE(History(file, HistoryAccess::write).add(run(1)));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        const auto limit = static_cast<rlim_t>(std::filesystem::file_size(file) + 8192);
        const rlimit small{limit, limit};
        setrlimit(RLIMIT_FSIZE, &small);
        const std::string reason = refusal(file);
        RunFigures large = run(2, 10, 300);
        try {
            (void)History(file, HistoryAccess::write).add(large);
        } catch (const HistoryError& error) {
            _exit(std::string_view(error.what()).find("nothing was changed") != std::string_view::npos ? 0
                                                                                                       : 2);
        }
        _exit(1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    History history(file, HistoryAccess::write);
    for (const HistoryRun& one : history.runs()) {
        EXPECT_EQ(std::ssize(history.with_figures(one).figures), one.figures);
    }
    EXPECT_FALSE(history.add(run(1)));
    EXPECT_TRUE(history.add(run(3)));
}

// ---- several processes ----------------------------------------------------------------------------------

// A child that adds runs of many figures until it is killed, and says in a pipe which are added.
pid_t adding_child(const std::string& file, int first_day, int acknowledged) {
    const pid_t child = fork();
    if (child == 0) {
        for (int day = first_day;; ++day) {
            const bool is_added = History(file, HistoryAccess::write).add(run(day, 10, 60));
            if (!is_added || write(acknowledged, &day, sizeof day) != sizeof day) {
                _exit(1);
            }
        }
    }
    return child;
}

TEST_F(HistoryFile, AKilledWriterLeavesWhatWasThere) {
    // Killed at any point of the first few runs that it adds, however fast this machine is.
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(History((folder / "rehearsal.sqlite").string(), HistoryAccess::write).add(run(0, 10, 60)));
    const std::chrono::duration<double> one_run = std::chrono::steady_clock::now() - start;
    std::mt19937 random(3);
    std::uniform_real_distribution<> runs_until_killed(0, 4);
    int next_day = 1;
    std::size_t acknowledged = 0;
    for (int trial = 0; trial < 20; ++trial) {
        int pipe_ends[2] = {};
        ASSERT_EQ(pipe(pipe_ends), 0);
        const pid_t child = adding_child(file, next_day, pipe_ends[1]);
        ASSERT_GT(child, 0);
        close(pipe_ends[1]);
        std::this_thread::sleep_for(runs_until_killed(random) * one_run);
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        for (int day = 0; read(pipe_ends[0], &day, sizeof day) == sizeof day;) {
            ++acknowledged;
        }
        close(pipe_ends[0]);
        // What was reported as added is there, and every run that is there is whole.
        const History history(file, HistoryAccess::write);
        const std::vector<HistoryRun> runs = history.runs();
        ASSERT_GE(runs.size(), acknowledged);
        ASSERT_LE(runs.size(), acknowledged + 1);  // added, and killed before it could say so
        acknowledged = runs.size();
        for (const HistoryRun& one : runs) {
            ASSERT_EQ(std::ssize(history.with_figures(one).figures), 240);
        }
        next_day = runs.empty() ? 1 : int(runs.size()) + 1;
    }
    EXPECT_GT(acknowledged, 0U);
}

TEST_F(HistoryFile, WritersAtOnceAllLand) {
    constexpr int writers = 4;
    constexpr int each = 5;
    std::vector<pid_t> children;
    for (int writer = 0; writer < writers; ++writer) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            int failed = 0;
            for (int i = 0; i < each; ++i) {
                try {
                    failed += History(file, HistoryAccess::write).add(run(writer * each + i)) ? 0 : 1;
                } catch (const HistoryError& error) {
                    fmt::print(stderr, "{}\n", error.what());
                    ++failed;
                }
            }
            _exit(failed);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(History(file, HistoryAccess::read).runs().size(), std::size_t{writers * each});
}

// ---- speed ----------------------------------------------------------------------------------------------

TEST_F(HistoryFile, TrendsOfOneOpAreFoundByIndices) {
    { History created(file, HistoryAccess::write); }
    const HistoryDatabase database(file, HistoryAccess::read);
    const std::vector<std::string> plan = plan_of_trends(database);
    EXPECT_THAT(
        plan,
        ElementsAre(
            HasSubstr("SEARCH r USING INDEX run_of_environment (environment=? AND created>? AND created<?)"),
            HasSubstr("INDEX sqlite_autoindex_series_1 (row=?)"),
            HasSubstr("SEARCH f USING PRIMARY KEY (series=? AND run=?)")));
    EXPECT_THAT(plan, Each(Not(HasSubstr("SCAN"))));
}

}  // namespace
}  // namespace reports
