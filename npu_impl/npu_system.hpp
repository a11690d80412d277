// What of this machine the device xrt depends on: driver, device node, permissions, memory limit, runtime. It
// reads files of the system and opens nothing, so that it says something useful where nothing works.
//
// Sources: names and files of the driver amdxdna (amd/xdna-driver, src/driver/amdxdna: amdxdna_sysfs.c,
// amdxdna_pci_drv.c); device nodes /dev/accel/accel* (Linux, Documentation/accel).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace npu_impl {

enum class SystemFindingKind : std::uint8_t {
    good,
    unknown,  // what was found neither helps nor stands in the way, or cannot be told
    bad,      // the device xrt cannot work
};

struct SystemFinding {
    SystemFindingKind kind = SystemFindingKind::unknown;
    std::string subject;  // "driver"
    std::string found;
    std::string mend;  // a command or what to do; empty where nothing is to be done
};

// Who asks, as far as it decides what the system lets them do.
struct Person {
    unsigned user = 0;
    std::vector<unsigned> groups;
    std::uint64_t locked_memory_bytes = ~std::uint64_t{0};  // the most; all ones: without a limit
};
Person this_process();

// `root` stands before every file name: "" for this machine.
std::vector<SystemFinding> examine_system(const std::string& root, const Person& person);

// No finding is bad.
bool is_usable(const std::vector<SystemFinding>& findings);

}  // namespace npu_impl
