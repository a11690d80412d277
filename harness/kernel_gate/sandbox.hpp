// Foreign code at arm's length: a program, or a function of this one, in a process group of its own with a
// time limit. Whatever it does (crash, loop, exit), the caller gets an outcome.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace harness::kernel_gate {

struct Outcome {
    enum class End : std::uint8_t {
        exited,     // by itself; `code` is its exit code
        signalled,  // `code` is the signal
        timed_out,  // it was killed
        not_found,  // there is no such program
    };
    End end = End::exited;
    int code = 0;
    bool finished = false;  // run_isolated: the function returned
};

// Words for how a process ended too early, e.g. "crashed with SIGSEGV".
std::string describe(const Outcome& outcome);

// Runs a program, found as a shell would, without a shell. Its temporaries and what it prints (`messages`) go
// to `folder`; it gets 4 GB of memory. Throws Interrupted after Ctrl-C, when the program has been killed.
Outcome run_program(const std::vector<std::string>& words, const std::string& folder, double limit_seconds);

// What the isolated function says while it runs.
struct Message {
    enum class Kind : char {
        check = 'c',    // a check begins
        finding = 'f',  // what it found wrong
        damage = 'm',   // the same, and the process is not to be trusted with more
        hint = 'h',     // about a crash that follows
        text = 't',     // part of the report
        error = 'e',    // the harness's own failure
        end = 'd',      // the function returned
    };
    Kind kind{};
    std::string text;
};

// The isolated side of the conversation. Every message has left the process when `send` returns. Says nothing
// in a process that was forked from its own.
class Reporter {
public:
    explicit Reporter(int pipe);

    void check(std::string_view name) const { send(Message::Kind::check, name); }
    void finding(std::string_view text) const { send(Message::Kind::finding, text); }
    void text(std::string_view text) const { send(Message::Kind::text, text); }

    // Safe in a signal handler.
    void send(Message::Kind kind, std::string_view text) const;

private:
    int pipe_;
    int process_;
};

// Forks and runs `body` with at most `memory_bytes` more memory than now; what it prints goes to standard
// error. What it starts becomes its child, however deep, and is killed when it ends. `receive` gets its
// messages, here. Call before this process has threads. Throws Interrupted after Ctrl-C and
// std::runtime_error for an error of the harness in `body`.
Outcome run_isolated(double limit_seconds, std::int64_t memory_bytes,
                     const std::function<void(const Reporter&)>& body,
                     const std::function<void(const Message&)>& receive);

}  // namespace harness::kernel_gate
