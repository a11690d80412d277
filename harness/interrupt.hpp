// Ctrl-C: a flag that long work looks at, and an exception that unwinds it, so that temporaries are removed.
#pragma once

#include <stdexcept>
#include <string>

namespace harness {

struct Interrupted : std::runtime_error {
    explicit Interrupted(const std::string& what = "interrupted") : std::runtime_error(what) {}
};

// From now on SIGINT, SIGTERM and SIGHUP set the flag. A second signal ends the process at once. A limit on
// the size of files becomes an error of the write that meets it.
void catch_interrupts();

void throw_if_interrupted();

}  // namespace harness
