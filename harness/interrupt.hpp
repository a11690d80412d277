// Ctrl-C: a flag that long work looks at, and an exception that unwinds it, so that temporaries are removed.
#pragma once

#include <exception>

namespace harness {

struct Interrupted : std::exception {
    [[nodiscard]] const char* what() const noexcept override { return "interrupted"; }
};

// From now on SIGINT, SIGTERM and SIGHUP set the flag. A second signal ends the process at once.
void catch_interrupts();

void throw_if_interrupted();

}  // namespace harness
