#include "harness/rank_worker.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "harness/interrupt.hpp"
#include "harness/options.hpp"

namespace harness {
namespace {

// Of an event in the pipe: its kind, the bytes of its text in the byte order of the machine, the text.
constexpr std::size_t header_bytes = 1 + sizeof(std::uint64_t);

[[noreturn]] void throw_errno(std::string_view what) {
    throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

// Whether all went; a reader that is gone is no reason to say anything more.
bool write_all(int pipe, const char* bytes, std::size_t count) {
    while (count > 0) {
        const ssize_t written = write(pipe, bytes, count);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        bytes += written;
        count -= std::size_t(written);
    }
    return true;
}

void tell(int pipe, WorkerEvent::Kind kind, const std::string& text) {
    std::string message(1, char(kind));
    const std::uint64_t bytes = text.size();
    message.append(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
    message += text;
    if (!write_all(pipe, message.data(), message.size())) {
        throw Interrupted("the process that asked for this work is gone");
    }
}

void tell_refused(int pipe, ExitCode code, const char* reason) {
    tell(pipe, WorkerEvent::Kind::refused, fmt::format("{}\n{}", int(code), reason));
}

void serve(int orders, int events, const std::function<PreparedJob()>& prepare) {
    const PreparedJob job = prepare();
    tell(events, WorkerEvent::Kind::ready,
         fmt::format("{} {}\n{}", job.most_shards, job.stages, job.identity));
    Share share;
    while (read(orders, &share, sizeof(share)) == ssize_t{sizeof(share)}) {
        const std::string record = job.run(share, [&](std::string_view stage) {
            throw_if_interrupted();
            tell(events, WorkerEvent::Kind::stage, std::string(stage));
        });
        tell(events, WorkerEvent::Kind::result, record);
    }
}

constexpr std::chrono::seconds time_to_end{10};

bool ends_in_time(pid_t child) {
    const auto deadline = std::chrono::steady_clock::now() + time_to_end;
    while (waitpid(child, nullptr, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > deadline) {
            return false;
        }
        poll(nullptr, 0, 2);
    }
    return true;
}

// The child's life.
int work(int orders, int events, const std::function<PreparedJob()>& prepare) {
    try {
        serve(orders, events, prepare);
        return 0;
    } catch (const Interrupted&) {
        return int(ExitCode::interrupted);
    } catch (const UsageError& error) {
        tell_refused(events, ExitCode::usage, error.what());
        return int(ExitCode::usage);
    } catch (const std::exception& error) {
        tell_refused(events, ExitCode::could_not_run, error.what());
        return int(ExitCode::could_not_run);
    }
}

}  // namespace

RankWorker::RankWorker(const std::function<PreparedJob()>& prepare) {
    std::array<int, 2> orders{};
    std::array<int, 2> events{};
    if (pipe(orders.data()) != 0 || pipe(events.data()) != 0) {
        throw_errno("cannot make a pipe");
    }
    std::signal(SIGPIPE, SIG_IGN);  // a worker that is gone is an event
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) {
        throw_errno("cannot start a process");
    }
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(int(ExitCode::interrupted));
        }
        close(orders[1]);
        close(events[0]);
        int code = int(ExitCode::could_not_run);
        try {
            code = work(orders[0], events[1], prepare);
        } catch (const std::exception&) {
            // Its parent is gone: nobody is there to be told.
        }
        _exit(code);
    }
    close(orders[0]);
    close(events[1]);
    orders_ = orders[1];
    events_ = events[0];
}

RankWorker::~RankWorker() {
    close(orders_);
    close(events_);
    if (!reaped_ && !ends_in_time(pid_)) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
}

void RankWorker::start(Share share) {
    // Where the worker is gone, its end is the next event.
    (void)write_all(orders_, reinterpret_cast<const char*>(&share), sizeof(share));
}

std::string RankWorker::how_it_ended() {
    int status = 0;
    silent_ = true;
    reaped_ = true;
    if (waitpid(pid_, &status, 0) != pid_) {
        return "is gone";
    }
    return WIFSIGNALED(status)
               ? fmt::format("was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)))
               : fmt::format("ended with code {}", WEXITSTATUS(status));
}

// A whole event of what was received.
std::optional<WorkerEvent> RankWorker::take() {
    std::uint64_t bytes = 0;
    if (received_.size() < header_bytes) {
        return std::nullopt;
    }
    std::memcpy(&bytes, received_.data() + 1, sizeof(bytes));
    if (received_.size() < header_bytes + bytes) {
        return std::nullopt;
    }
    WorkerEvent event{WorkerEvent::Kind{received_.front()}, received_.substr(header_bytes, bytes)};
    received_.erase(0, header_bytes + bytes);
    silent_ = event.kind == WorkerEvent::Kind::refused;
    return event;
}

std::optional<WorkerEvent> RankWorker::wait(std::chrono::milliseconds most) {
    if (auto event = take()) {
        return event;
    }
    if (silent_) {
        poll(nullptr, 0, int(most.count()));
        return std::nullopt;
    }
    pollfd ready{events_, POLLIN, 0};
    if (poll(&ready, 1, int(most.count())) <= 0) {
        return std::nullopt;
    }
    std::array<char, 65536> chunk;
    const ssize_t count = read(events_, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) {
        return std::nullopt;
    }
    if (count <= 0) {
        return WorkerEvent{WorkerEvent::Kind::died, how_it_ended()};
    }
    received_.append(chunk.data(), std::size_t(count));
    return take();
}

}  // namespace harness
