// Where a run took place: part of every result, since a time without it says nothing.
#pragma once

#include <optional>
#include <string>

namespace harness {

// The NPU behind a runtime, as it says.
struct NpuEnvironment {
    std::string name;               // or empty: it has none
    bool hardware = false;          // whether that is a name of AMD's hardware; an emulation else
    std::string power_mode;         // or "unknown"
    std::string xrt;                // version of the runtime, or "unknown"
    std::string firmware;           // version that the driver tells, or "unknown"
    int most_launches_at_once = 1;  // in one list; 1: one by one
};

struct Environment {
    std::string machine;         // the same of two runs on one machine; of several that shared a run: "a+b"
    std::string cpu;             // model name
    int cores = 0;               // logical processors this process may use
    int threads = 0;             // tasks that run at once
    std::string blas;            // library, version and build options
    std::string blas_core_type;  // kernel set the library chose for this CPU
    std::string compiler;
    std::string flags;
    std::string build_type;
    std::string commit;  // of the source tree, "-dirty" where it was changed
    std::string version;
    std::string system;  // operating system and its release; no host name
    std::optional<NpuEnvironment> npu;
};

// Logical processors that this process may use.
int usable_cores();

// `threads`: tasks that run at once; 0: one per usable core.
Environment environment(int threads);

// Now, ISO 8601, UTC.
std::string utc_now();

}  // namespace harness
