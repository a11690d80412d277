#include "harness/interleaved_builds.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "harness/interrupt.hpp"
#include "harness/run_figures_json.hpp"

namespace harness {
namespace {

class TemporaryRunFolder {
public:
    TemporaryRunFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "harness-regress-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) {
            throw std::runtime_error(fmt::format("{}: cannot be created: {}", pattern, std::strerror(errno)));
        }
        path_ = pattern;
    }
    ~TemporaryRunFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryRunFolder(const TemporaryRunFolder&) = delete;
    TemporaryRunFolder& operator=(const TemporaryRunFolder&) = delete;

    [[nodiscard]] std::string file(int number) const {
        return (path_ / fmt::format("run-{}.json", number)).string();
    }

private:
    std::filesystem::path path_;
};

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
        posix_spawn(&child, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        throw std::runtime_error(fmt::format("{}: cannot be run: {}", words.front(), std::strerror(error)));
    }
    return child;
}

// The status that the process ended with.
int wait_for(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        try {
            throw_if_interrupted();
        } catch (const Interrupted&) {
            kill(child, SIGTERM);
            waitpid(child, &status, 0);
            throw;
        }
    }
    throw_if_interrupted();
    return status;
}

RunFigures run_once(const std::string& program, const std::vector<std::string>& arguments,
                    const std::string& json) {
    std::vector<std::string> words{program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    words.insert(words.end(), {"--json", json, "--quiet"});
    const int status = wait_for(start(words));
    if (!std::filesystem::exists(json)) {
        throw std::runtime_error(fmt::format(
            "{} left no run record: {}; behind -- must stand what makes one, such as --compare", program,
            WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                              : fmt::format("ended by signal {}", WTERMSIG(status))));
    }
    RunFigures run = read_run_figures(json);
    run.file = program;
    return run;
}

}  // namespace

InterleavedRuns run_interleaved(const InterleavedBuilds& builds,
                                const std::function<void(const std::string& program)>& before_run) {
    const TemporaryRunFolder folder;
    InterleavedRuns out;
    int number = 0;
    for (int round = 0; round < builds.rounds; ++round) {
        for (const bool is_first : {true, false, false, true}) {
            throw_if_interrupted();
            const std::string& program = is_first ? builds.first : builds.second;
            before_run(program);
            (is_first ? out.first : out.second)
                .push_back(run_once(program, builds.arguments, folder.file(number++)));
        }
    }
    return out;
}

}  // namespace harness
