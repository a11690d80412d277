#include "harness/kernel_gate/sandbox.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <stdexcept>

#include "harness/interrupt.hpp"

namespace harness::kernel_gate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int poll_milliseconds = 20;
constexpr std::size_t header_bytes = 1 + sizeof(std::uint32_t);
constexpr int exit_not_found = 126;
constexpr int exit_after_error = 125;
constexpr rlim_t program_bytes = rlim_t{4} << 30U;

[[noreturn]] void throw_errno(std::string_view what) {
    throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

// The children of this process. What a child leaves behind becomes one too.
std::set<pid_t> children() {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    std::set<pid_t> found;
    std::error_code error;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", error)) {
        std::ifstream file(thread.path() / "children");
        for (pid_t pid = 0; file >> pid;) {
            found.insert(pid);
        }
    }
    return found;
}

// Kills all children but `spared`, and in turn what they leave behind.
void kill_children_but(const std::set<pid_t>& spared) {
    constexpr int most_turns = 1000;  // against what forks faster than it is killed
    for (int turn = 0; turn < most_turns; ++turn) {
        std::set<pid_t> others = children();
        std::erase_if(others, [&](pid_t pid) { return spared.contains(pid); });
        if (others.empty()) {
            return;
        }
        for (const pid_t pid : others) {
            kill(pid, SIGKILL);
        }
        for (const pid_t pid : others) {
            waitpid(pid, nullptr, 0);
        }
    }
}

// A child process in a group of its own, gone with everything it started when this object goes. `before`: the
// children of before it.
class Child {
public:
    Child(pid_t pid, std::set<pid_t> before) : pid_(pid), before_(std::move(before)) { setpgid(pid, pid); }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        // The group outlives its leader where the leader has started others.
        kill(-pid_, SIGKILL);
        if (running_) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
        kill_children_but(before_);
    }

    // Nothing while it runs.
    std::optional<Outcome> ended() {
        int status = 0;
        const pid_t waited = waitpid(pid_, &status, WNOHANG);
        if (waited != pid_) {
            return std::nullopt;
        }
        running_ = false;
        return WIFSIGNALED(status) ? Outcome{Outcome::End::signalled, WTERMSIG(status)}
                                   : Outcome{Outcome::End::exited, WEXITSTATUS(status)};
    }

private:
    pid_t pid_;
    std::set<pid_t> before_;
    bool running_ = true;
};

// Waits until the child ends or its time is up; `wait_a_little` passes the time.
template <typename Wait>
Outcome supervise(Child& child, double limit_seconds, Wait wait_a_little) {
    const auto deadline = Clock::now() + std::chrono::duration<double>(limit_seconds);
    while (true) {
        throw_if_interrupted();
        if (const auto outcome = child.ended()) {
            return *outcome;
        }
        if (Clock::now() >= deadline) {
            return {Outcome::End::timed_out, 0};
        }
        wait_a_little();
    }
}

// The child's first steps: default signals, a group of its own, and no life without its parent.
void leave_parent(pid_t parent) {
    setpgid(0, 0);
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    if (std::signal(SIGHUP, SIG_DFL) == SIG_IGN) {
        std::signal(SIGHUP, SIG_IGN);
    }
    std::signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(exit_after_error);
    }
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
    }
}

void limit(__rlimit_resource resource, rlim_t value) {
    rlimit limits{};
    getrlimit(resource, &limits);
    limits.rlim_cur = std::min(value, limits.rlim_max);
    setrlimit(resource, &limits);
}

std::int64_t address_space_bytes() {
    std::ifstream file("/proc/self/statm");
    std::int64_t pages = 0;
    file >> pages;
    return pages * sysconf(_SC_PAGESIZE);
}

// Takes messages out of the bytes of a pipe.
class Inbox {
public:
    Inbox(int pipe, const std::function<void(const Message&)>& receive) : pipe_(pipe), receive_(receive) {}

    // Reads what there is; waits a little for the first of it.
    void read_some(int milliseconds) {
        if (closed_) {
            poll(nullptr, 0, milliseconds);
            return;
        }
        pollfd ready{pipe_, POLLIN, 0};
        if (poll(&ready, 1, milliseconds) <= 0) {
            return;
        }
        std::array<char, 65536> buffer{};
        const ssize_t count = read(pipe_, buffer.data(), buffer.size());
        if (count <= 0) {
            closed_ = count == 0 || errno != EINTR;
            return;
        }
        bytes_.append(buffer.data(), static_cast<std::size_t>(count));
        deliver();
        more_ = true;
    }

    // What is left after the child's end.
    void drain() {
        do {
            more_ = false;
            read_some(0);
        } while (more_);
    }

    [[nodiscard]] bool saw_end() const { return saw_end_; }
    [[nodiscard]] const std::string& error() const { return error_; }

private:
    void deliver() {
        while (bytes_.size() >= header_bytes) {
            std::uint32_t length = 0;
            std::memcpy(&length, bytes_.data() + 1, sizeof length);
            if (bytes_.size() - header_bytes < length) {
                return;
            }
            const Message message{Message::Kind{bytes_[0]}, bytes_.substr(header_bytes, length)};
            bytes_.erase(0, header_bytes + length);
            if (message.kind == Message::Kind::end) {
                saw_end_ = true;
            } else if (message.kind == Message::Kind::error) {
                error_ = message.text;
            } else {
                receive_(message);
            }
        }
    }

    int pipe_;
    const std::function<void(const Message&)>& receive_;
    std::string bytes_;
    std::string error_;
    bool closed_ = false;
    bool more_ = false;
    bool saw_end_ = false;
};

struct Pipe {
    Pipe() {
        if (pipe2(ends.data(), O_CLOEXEC) != 0) {
            throw_errno("cannot make a pipe");
        }
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() {
        close(ends[0]);
        close_writer();
    }
    void close_writer() {
        if (ends[1] >= 0) {
            close(ends[1]);
            ends[1] = -1;
        }
    }
    std::array<int, 2> ends{};
};

[[noreturn]] void run_body(const Reporter& reporter, std::int64_t memory_bytes,
                           const std::function<void(const Reporter&)>& body) {
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_AS, static_cast<rlim_t>(address_space_bytes() + memory_bytes));
    dup2(STDERR_FILENO, STDOUT_FILENO);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    try {
        body(reporter);
        reporter.send(Message::Kind::end, "");
    } catch (const std::exception& error) {
        reporter.send(Message::Kind::error, error.what());
        _exit(exit_after_error);
    }
    _exit(0);
}

}  // namespace

std::string describe(const Outcome& outcome) {
    switch (outcome.end) {
        case Outcome::End::signalled: {
            const char* name = sigabbrev_np(outcome.code);
            return fmt::format("crashed with {}", name != nullptr ? fmt::format("SIG{}", name)
                                                                  : fmt::format("{}", outcome.code));
        }
        case Outcome::End::exited:
            return fmt::format("ended the process with exit code {}", outcome.code);
        case Outcome::End::timed_out:
            return "was still running";
        case Outcome::End::not_found:
            break;
    }
    return "was not found";
}

Reporter::Reporter(int pipe) : pipe_(pipe), process_(getpid()) {}

void Reporter::send(Message::Kind kind, std::string_view text) const {
    if (getpid() != process_) {
        return;
    }
    const auto length = static_cast<std::uint32_t>(text.size());
    std::array<char, header_bytes> header{};
    header[0] = static_cast<char>(kind);
    std::memcpy(header.data() + 1, &length, sizeof length);
    // In one piece, so that nobody else who writes to the pipe comes between.
    std::array<iovec, 2> rest{iovec{header.data(), header.size()},
                              iovec{const_cast<char*>(text.data()), text.size()}};
    while (rest[0].iov_len + rest[1].iov_len > 0) {
        const ssize_t written = writev(pipe_, rest.data(), rest.size());
        if (written < 0 && errno != EINTR) {
            return;
        }
        auto done = static_cast<std::size_t>(std::max(written, ssize_t{0}));
        for (iovec& part : rest) {
            const std::size_t count = std::min(done, part.iov_len);
            part.iov_base = static_cast<char*>(part.iov_base) + count;
            part.iov_len -= count;
            done -= count;
        }
    }
}

Outcome run_program(const std::vector<std::string>& words, const std::string& folder, double limit_seconds) {
    const std::string output = folder + "/messages";
    std::vector<char*> arguments;
    for (const std::string& word : words) {
        arguments.push_back(const_cast<char*>(word.c_str()));
    }
    arguments.push_back(nullptr);
    const pid_t parent = getpid();
    std::set<pid_t> before = children();
    const pid_t pid = fork();
    if (pid < 0) {
        throw_errno("cannot start a process");
    }
    if (pid == 0) {
        leave_parent(parent);
        const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (file >= 0) {
            dup2(file, STDOUT_FILENO);
            dup2(file, STDERR_FILENO);
        }
        limit(RLIMIT_CORE, 0);
        limit(RLIMIT_AS, program_bytes);
        setenv("TMPDIR", folder.c_str(), 1);
        execvp(arguments[0], arguments.data());
        _exit(exit_not_found);
    }
    Child child(pid, std::move(before));
    Outcome outcome = supervise(child, limit_seconds, [] { poll(nullptr, 0, poll_milliseconds); });
    if (outcome.end == Outcome::End::exited && outcome.code == exit_not_found) {
        outcome.end = Outcome::End::not_found;
    }
    return outcome;
}

Outcome run_isolated(double limit_seconds, std::int64_t memory_bytes,
                     const std::function<void(const Reporter&)>& body,
                     const std::function<void(const Message&)>& receive) {
    Pipe pipe;
    std::fflush(nullptr);
    const pid_t parent = getpid();
    std::set<pid_t> before = children();
    const pid_t pid = fork();
    if (pid < 0) {
        throw_errno("cannot start a process");
    }
    if (pid == 0) {
        leave_parent(parent);
        run_body(Reporter(pipe.ends[1]), memory_bytes, body);
    }
    Child child(pid, std::move(before));
    pipe.close_writer();
    Inbox inbox(pipe.ends[0], receive);
    Outcome outcome = supervise(child, limit_seconds, [&] { inbox.read_some(poll_milliseconds); });
    inbox.drain();
    if (!inbox.error().empty()) {
        throw std::runtime_error(inbox.error());
    }
    outcome.finished = inbox.saw_end();
    return outcome;
}

}  // namespace harness::kernel_gate
