#include "npu_impl/npu_system.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>

#include "npu_impl/xrt_device.hpp"

namespace npu_impl {
namespace {

namespace fs = std::filesystem;

// Buffers of a device are pinned: those of one layer of Whisper base at 3001 rows are about 200 MB.
constexpr std::uint64_t enough_locked_memory = std::uint64_t{1} << 30;

// The first line of a file; nothing where it cannot be read.
std::optional<std::string> first_line(const fs::path& file) {
    std::ifstream stream(file);
    std::string line;
    if (!std::getline(stream, line)) {
        return std::nullopt;
    }
    return line;
}

// Those of a folder whose names begin so, in order.
std::vector<fs::path> entries(const fs::path& folder, std::string_view prefix) {
    std::vector<fs::path> found;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
        if (entry.path().filename().string().starts_with(prefix)) {
            found.push_back(entry.path());
        }
    }
    std::ranges::sort(found);
    return found;
}

SystemFinding examine_kernel(const std::string& root) {
    const std::optional<std::string> release = first_line(root + "/proc/sys/kernel/osrelease");
    if (!release) {
        return {SystemFindingKind::unknown, "kernel", "its release cannot be read", ""};
    }
    int major = 0;
    int minor = 0;
    const char* end = release->data() + release->size();
    const char* dot = std::from_chars(release->data(), end, major).ptr;
    std::from_chars(std::min(dot + 1, end), end, minor);
    const bool has_driver = major > 6 || (major == 6 && minor >= 14);
    return {has_driver ? SystemFindingKind::good : SystemFindingKind::unknown, "kernel", "Linux " + *release,
            has_driver ? ""
                       : "the driver amdxdna is part of Linux since 6.14: update the kernel, or install the "
                         "driver of github.com/amd/xdna-driver"};
}

SystemFinding examine_driver(const std::string& root) {
    const fs::path driver = root + "/sys/bus/pci/drivers/amdxdna";
    if (!fs::exists(driver)) {
        return {SystemFindingKind::bad, "driver", "amdxdna is not loaded",
                "sudo modprobe amdxdna; if there is no such module, install the driver"};
    }
    const std::optional<std::string> version = first_line(root + "/sys/module/amdxdna/version");
    return {SystemFindingKind::good, "driver",
            version ? "amdxdna " + *version : std::string("amdxdna, of the kernel"), ""};
}

// By the name that the driver gives: columns of cores, and how many of each are cores.
std::string size_of(const std::string& name) {
    if (name.find("Phoenix") != std::string::npos || name.find("Hawk") != std::string::npos) {
        return "XDNA1: 4 columns of 4 cores";
    }
    if (name.find("Strix") != std::string::npos || name.find("Krackan") != std::string::npos) {
        return "XDNA2: 8 columns of 4 cores";
    }
    return "of a size that this program does not know";
}

std::vector<SystemFinding> examine_npu(const std::string& root) {
    const fs::path driver = root + "/sys/bus/pci/drivers/amdxdna";
    const std::vector<fs::path> npus = entries(driver, "0000:");
    if (npus.empty()) {
        return {{SystemFindingKind::bad, "npu", "the driver serves none",
                 "lspci -nn | grep -iE '1502|17f0' shows whether there is one; it may be switched off in "
                 "the firmware's setup (IPU)"}};
    }
    std::vector<SystemFinding> findings;
    for (const fs::path& npu : npus) {
        const std::string name = first_line(npu / "vbnv").value_or("of no name");
        findings.push_back({SystemFindingKind::good, "npu",
                            fmt::format("{} at {}, {}", name, npu.filename().string(), size_of(name)), ""});
        const std::optional<std::string> firmware = first_line(npu / "fw_version");
        const bool runs = firmware && *firmware != "0.0.0.0";
        findings.push_back({runs ? SystemFindingKind::good : SystemFindingKind::bad, "firmware",
                            runs ? *firmware : std::string("none is running"),
                            runs ? ""
                                 : "install linux-firmware (amdnpu), then: sudo modprobe -r amdxdna && "
                                   "sudo modprobe amdxdna"});
    }
    return findings;
}

bool may_use(const struct stat& node, const Person& person) {
    constexpr mode_t both = S_IROTH | S_IWOTH;
    const auto allows = [&](unsigned shift) { return (node.st_mode >> shift & both) == both; };
    if (person.user == 0) {
        return true;
    }
    if (person.user == node.st_uid) {
        return allows(6);
    }
    const bool member = std::ranges::find(person.groups, node.st_gid) != person.groups.end();
    return member ? allows(3) : allows(0);
}

// The name of a group, by the system's own file.
std::string group_name(const std::string& root, unsigned group) {
    std::ifstream stream(root + "/etc/group");
    for (std::string line; std::getline(stream, line);) {
        const std::size_t name = line.find(':');
        const std::size_t id = line.find(':', name + 1);
        if (name != std::string::npos && id != std::string::npos &&
            line.substr(id + 1).starts_with(fmt::format("{}:", group))) {
            return line.substr(0, name);
        }
    }
    return fmt::to_string(group);
}

SystemFinding examine_node(const std::string& root, const Person& person) {
    const std::vector<fs::path> nodes = entries(root + "/dev/accel", "accel");
    if (nodes.empty()) {
        return {SystemFindingKind::bad, "device node", "there is no /dev/accel/accel*",
                "it comes with the driver; in a container, hand it in: --device /dev/accel/accel0"};
    }
    std::string shown;
    for (const fs::path& node : nodes) {
        struct stat status {};
        if (stat(node.c_str(), &status) != 0) {
            continue;
        }
        shown = "/dev/accel/" + node.filename().string();
        if (may_use(status, person)) {
            return {SystemFindingKind::good, "device node", shown, ""};
        }
        shown += fmt::format(" is for the group {}", group_name(root, status.st_gid));
    }
    return {SystemFindingKind::bad, "device node", shown + ", and you are not in it",
            "sudo usermod -aG render $USER, then log in anew"};
}

SystemFinding examine_memory(const Person& person) {
    if (person.locked_memory_bytes >= enough_locked_memory) {
        return {SystemFindingKind::good, "locked memory",
                person.locked_memory_bytes == ~std::uint64_t{0}
                    ? std::string("without a limit")
                    : fmt::format("up to {} MiB", person.locked_memory_bytes >> 20U),
                ""};
    }
    return {SystemFindingKind::bad, "locked memory",
            fmt::format("at most {} KiB", person.locked_memory_bytes >> 10U),
            "echo '* - memlock unlimited' | sudo tee /etc/security/limits.d/99-npu.conf, then log in anew"};
}

SystemFinding examine_runtime() {
    if (!built_with_xrt()) {
        return {SystemFindingKind::bad, "XRT", "this program was built without it",
                "install libxrt-dev and uuid-dev, and build anew"};
    }
    const bool serves = xrt_flow() == "hardware contexts";
    return {serves ? SystemFindingKind::good : SystemFindingKind::bad, "XRT",
            fmt::format("built with it, by {}", xrt_flow()),
            serves ? "" : "this XRT is too old for an NPU: build with 2.19 or later (Debian 13 backports)"};
}

SystemFinding examine_plugin(const std::string& root) {
    for (const char* folder :
         {"/usr/lib/x86_64-linux-gnu", "/usr/lib", "/usr/lib64", "/opt/xilinx/xrt/lib"}) {
        const std::vector<fs::path> found = entries(root + folder, "libxrt_driver_xdna.so");
        if (!found.empty()) {
            return {SystemFindingKind::good, "XRT's NPU driver",
                    fmt::format("{}/{}", folder, found.front().filename().string()), ""};
        }
    }
    return {SystemFindingKind::bad, "XRT's NPU driver", "libxrt_driver_xdna.so is nowhere",
            "sudo apt-get install libxrt-npu2 (Debian 13 backports, AMD's packages for Ubuntu)"};
}

}  // namespace

Person this_process() {
    Person person{geteuid(), {getegid()}};
    const int count = getgroups(0, nullptr);
    std::vector<gid_t> groups(static_cast<std::size_t>(std::max(count, 0)));
    if (count > 0 && getgroups(count, groups.data()) == count) {
        person.groups.insert(person.groups.end(), groups.begin(), groups.end());
    }
    rlimit limit{};
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        person.locked_memory_bytes = limit.rlim_cur;
    }
    return person;
}

std::vector<SystemFinding> examine_system(const std::string& root, const Person& person) {
    std::vector<SystemFinding> findings{examine_kernel(root), examine_driver(root)};
    std::ranges::move(examine_npu(root), std::back_inserter(findings));
    findings.push_back(examine_node(root, person));
    findings.push_back(examine_memory(person));
    findings.push_back(examine_runtime());
    findings.push_back(examine_plugin(root));
    findings.push_back({SystemFindingKind::unknown, "power mode", "the driver tells it to programs only",
                        "xrt-smi examine --report platform shows it; xrt-smi configure --pmode sets it"});
    return findings;
}

bool is_usable(const std::vector<SystemFinding>& findings) {
    return std::ranges::none_of(
        findings, [](const SystemFinding& finding) { return finding.kind == SystemFindingKind::bad; });
}

}  // namespace npu_impl
