// Whatever an isolated function does, the caller goes on and knows what happened and where.
#include "harness/kernel_gate/sandbox.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace harness::kernel_gate {
namespace {

using End = Outcome::End;
using testing::ElementsAre;

constexpr std::int64_t memory = std::int64_t{1} << 30;

struct Isolated {
    Outcome outcome;
    std::vector<std::string> said;
};

Isolated isolated(const std::function<void(const Reporter&)>& body, double limit = 60) {
    Isolated run;
    run.outcome = run_isolated(limit, memory, body, [&](const Message& message) {
        run.said.push_back(static_cast<char>(message.kind) + message.text);
    });
    return run;
}

TEST(Sandbox, DeliversEveryMessageInOrderAndTheEnd) {
    const std::string large(1 << 20, 'x');
    const Isolated run = isolated([&](const Reporter& reporter) {
        reporter.check("one");
        reporter.finding(large);
        reporter.text("");
        reporter.check("two");
    });
    EXPECT_TRUE(run.outcome.finished);
    EXPECT_THAT(run.said, ElementsAre("cone", "f" + large, "t", "ctwo"));
}

TEST(Sandbox, TellsHowAFunctionEndedAndWhatItSaidBefore) {
    const auto dies = [](const std::function<void()>& death) {
        const Isolated run = isolated([&](const Reporter& reporter) {
            reporter.check("last words");
            death();
        });
        EXPECT_FALSE(run.outcome.finished);
        EXPECT_THAT(run.said, ElementsAre("clast words"));
        return describe(run.outcome);
    };
    EXPECT_EQ(dies([] { raise(SIGSEGV); }), "crashed with SIGSEGV");
    EXPECT_EQ(dies([] { std::abort(); }), "crashed with SIGABRT");
    EXPECT_EQ(dies([] { _exit(0); }), "ended the process with exit code 0");
    EXPECT_EQ(dies([] { _exit(7); }), "ended the process with exit code 7");
}

TEST(Sandbox, StopsWhatDoesNotEndWithAllThatItStarted) {
    const auto start = std::chrono::steady_clock::now();
    std::string grandchild;
    const Outcome outcome = run_isolated(
        0.5, memory,
        [](const Reporter& reporter) {
            const pid_t pid = fork();
            if (pid == 0) {
                pause();
            }
            reporter.text(std::to_string(pid));
            pause();
        },
        [&](const Message& message) { grandchild += message.text; });
    EXPECT_EQ(outcome.end, End::timed_out);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    // Its new parent may need a moment to bury it; a dead one shows no command line.
    std::string command = "alive";
    for (int i = 0; i < 200 && !command.empty(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        command.clear();
        std::getline(std::ifstream("/proc/" + grandchild + "/cmdline"), command);
    }
    EXPECT_EQ(command, "");
}

// Neither another group nor another session saves what a kernel has started, nor the end of its parent.
TEST(Sandbox, EndsWhatHasLeftItsGroup) {
    std::string grandchild;
    const Outcome outcome = run_isolated(
        60, memory,
        [](const Reporter& reporter) {
            const pid_t pid = fork();
            if (pid == 0) {
                setsid();
                reporter.text("from a copy of the process");
                if (fork() == 0) {
                    setsid();
                    pause();
                }
                pause();
            }
            reporter.text(std::to_string(pid));
        },
        [&](const Message& message) { grandchild += message.text; });
    EXPECT_TRUE(outcome.finished);
    EXPECT_EQ(grandchild.find_first_not_of("0123456789"), std::string::npos) << grandchild;
    EXPECT_FALSE(std::filesystem::exists("/proc/" + grandchild)) << grandchild;
    // No child of this process is left either.
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
}

TEST(Sandbox, SparesTheChildrenOfBefore) {
    const pid_t earlier = fork();
    if (earlier == 0) {
        pause();
    }
    isolated([](const Reporter&) {});
    EXPECT_EQ(waitpid(earlier, nullptr, WNOHANG), 0);
    kill(earlier, SIGKILL);
    waitpid(earlier, nullptr, 0);
}

TEST(Sandbox, LimitsMemory) {
    const Isolated run = isolated([](const Reporter& reporter) {
        try {
            const auto block = std::make_unique<std::vector<char>>(std::size_t{3} << 30U);
            reporter.text(block->empty() ? "" : "got it");
        } catch (const std::bad_alloc&) {
            reporter.text("refused");
        }
    });
    EXPECT_THAT(run.said, ElementsAre("trefused"));
}

TEST(Sandbox, PassesOnTheHarnessesOwnErrors) {
    try {
        isolated([](const Reporter&) { throw std::runtime_error("no device"); });
        FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "no device");
    }
}

TEST(Sandbox, RunsProgramsAndKeepsWhatTheyPrint) {
    std::string folder = (std::filesystem::temp_directory_path() / "sandbox-XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    const auto run = [&](std::vector<std::string> words, double limit = 60) {
        return run_program(words, folder, limit);
    };
    EXPECT_EQ(run({"true"}).code, 0);
    EXPECT_EQ(run({"false"}).code, 1);
    EXPECT_EQ(run({"no-program-of-this-name"}).end, End::not_found);
    EXPECT_EQ(run({"sleep", "100"}, 0.2).end, End::timed_out);
    const Outcome killed = run({"sh", "-c", "echo \"$0\" $TMPDIR; echo error >&2; kill -9 $$", "a  b;"});
    EXPECT_EQ(killed.end, End::signalled);
    EXPECT_EQ(killed.code, SIGKILL);
    std::ifstream printed(folder + "/messages");
    std::string first;
    std::string second;
    std::getline(printed, first);
    std::getline(printed, second);
    EXPECT_EQ(first, "a  b; " + folder);
    EXPECT_EQ(second, "error");
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace harness::kernel_gate
