#include "harness/interrupt.hpp"

#include <csignal>

namespace harness {
namespace {

// The one thing a signal handler may write to.
volatile std::sig_atomic_t interrupted = 0;

extern "C" void on_signal(int number) {
    interrupted = 1;
    std::signal(number, SIG_DFL);
}

}  // namespace

void catch_interrupts() {
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    std::signal(SIGXFSZ, SIG_IGN);  // a file that may grow no further is an error of its write
    // Unless it is started to outlive its terminal (nohup).
    if (std::signal(SIGHUP, on_signal) == SIG_IGN) {
        std::signal(SIGHUP, SIG_IGN);
    }
}

void throw_if_interrupted() {
    if (interrupted != 0) {
        throw Interrupted();
    }
}

}  // namespace harness
