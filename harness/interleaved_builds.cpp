#include "harness/interleaved_builds.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "harness/interrupt.hpp"
#include "harness/run_figures_json.hpp"
#include "harness/temporary_folder.hpp"

namespace harness {
namespace {

pid_t start(const std::vector<std::string>& words) {
    std::vector<char*> arguments;
    for (const std::string& word : words) {
        arguments.push_back(const_cast<char*>(word.c_str()));
    }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions{};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t child = 0;
    const int error =
        posix_spawnp(&child, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        throw std::runtime_error(fmt::format("{}: cannot be run: {}", words.front(), std::strerror(error)));
    }
    return child;
}

// A process that is ended, if it still runs, with this object.
class Child {
public:
    explicit Child(pid_t pid) : pid_(pid) {}
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (!ended_) {
            kill(pid_, SIGTERM);
            waitpid(pid_, nullptr, 0);
        }
    }

    // The status that it ended with. Polls, since signals restart waitpid; throws Interrupted.
    int wait() {
        int status = 0;
        while (waitpid(pid_, &status, WNOHANG) != pid_) {
            throw_if_interrupted();
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        ended_ = true;
        throw_if_interrupted();
        return status;
    }

private:
    pid_t pid_;
    bool ended_ = false;
};

RunFigures run_once(const std::string& program, const std::vector<std::string>& arguments,
                    const std::string& file) {
    std::vector<std::string> words{program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    words.insert(words.end(), {"--json", file, "--quiet"});
    const int status = Child(start(words)).wait();
    if (!std::filesystem::exists(file)) {
        throw std::runtime_error(fmt::format(
            "{} left no run record: {}; behind -- must stand what makes one, such as --compare", program,
            WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                              : fmt::format("ended by signal {}", WTERMSIG(status))));
    }
    RunFigures run = read_run_figures(file);
    run.file = program;
    return run;
}

}  // namespace

InterleavedRuns run_interleaved(const InterleavedBuilds& builds,
                                const std::function<void(const std::string& program)>& before_run,
                                const std::function<bool(const InterleavedRuns&)>& another) {
    const TemporaryFolder folder;
    InterleavedRuns out;
    int number = 0;
    for (int round = 0; round < builds.rounds || another(out); ++round) {
        for (const bool is_first : {true, false, false, true}) {
            throw_if_interrupted();
            const std::string& program = is_first ? builds.first : builds.second;
            before_run(program);
            (is_first ? out.first : out.second)
                .push_back(run_once(program, builds.arguments,
                                    (folder.path() / fmt::format("run-{}.json", number++)).string()));
        }
    }
    return out;
}

}  // namespace harness
