#include "datasets/recording_trial.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <new>
#include <system_error>

#include "datasets/recording_hdf5.hpp"

namespace datasets {
namespace {

// Reading the structure of a sound file takes milliseconds; memory is for its largest chunk, thrice.
constexpr rlim_t processor_seconds = 20;
constexpr rlim_t gibibytes = 3;
constexpr int out_of_memory = 2;  // exit code of the child

// What this process has of its address space, and `gibibytes` more.
rlimit address_space() {
    std::ifstream file("/proc/self/statm");
    rlim_t pages = 0;
    file >> pages;
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    const rlim_t wanted = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (gibibytes << 30U);
    limit.rlim_cur = file ? std::min(limit.rlim_cur, wanted) : limit.rlim_cur;
    return limit;
}

// Writes one byte to `done` when `action` has come to an end.
[[noreturn]] void run_child(const std::function<void()>& action, int done) {
    // A crash is expected here: no core file, no message of the C library, and death instead of a handler.
    const rlimit no_core{0, 0};
    const rlimit time{processor_seconds, processor_seconds};
    const rlimit memory = address_space();
    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_CPU, &time);
    setrlimit(RLIMIT_AS, &memory);
    if (const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0) {
        dup2(nowhere, STDERR_FILENO);
    }
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU}) {
        std::signal(signal, SIG_DFL);
    }
    try {
        action();
    } catch (const std::bad_alloc&) {
        _exit(out_of_memory);
    } catch (const OutOfMemory&) {
        _exit(out_of_memory);
    } catch (...) {
        // The parent meets the same exception, and reports it.
    }
    const char byte = 1;
    _exit(write(done, &byte, 1) == 1 ? 0 : 1);
}

std::string describe_death(int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == out_of_memory) {
        return fmt::format("asks for more than {} GiB of memory", gibibytes);
    }
    if (!WIFSIGNALED(status)) {
        return fmt::format("crashes with exit code {}", WEXITSTATUS(status));
    }
    const int signal = WTERMSIG(status);
    return signal == SIGXCPU || signal == SIGKILL
               ? fmt::format("does not come to an end within {} s", processor_seconds)
               : fmt::format("crashes with {}", sigabbrev_np(signal));
}

}  // namespace

std::string died_in_trial(const std::function<void()>& action) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw Refusal(fmt::format("cannot try to read it: {}", std::generic_category().message(errno)));
    }
    auto held = hold_library();
    const pid_t child = fork();
    const int fork_error = errno;
    held.unlock();  // in the child too, which is this thread's alone
    if (child == 0) {
        run_child(action, ends[1]);
    }
    close(ends[1]);
    char byte = 0;
    ssize_t count = 0;
    do {
        count = child < 0 ? 0 : read(ends[0], &byte, 1);
    } while (count < 0 && errno == EINTR);
    close(ends[0]);
    if (child < 0) {
        throw Refusal(fmt::format("cannot try to read it: {}", std::generic_category().message(fork_error)));
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return count == 1 ? std::string() : describe_death(status);
}

}  // namespace datasets
