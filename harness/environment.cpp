#include "harness/environment.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <span>

#include "datasets/sha256.hpp"
#include "harness/built_from.hpp"
#include "reference/blas.hpp"

namespace harness {
namespace {

std::string value_of(const char* file, std::string_view key, char separator) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with(key)) {
            const auto at = line.find(separator);
            const auto begin = at == std::string::npos ? at : line.find_first_not_of(" \t\"", at + 1);
            if (begin != std::string::npos) {
                const auto end = line.find_last_not_of(" \t\"");
                return line.substr(begin, end - begin + 1);
            }
        }
    }
    return "unknown";
}

// As machine-id(5) asks: not the id itself, but a hash that no other program makes of it.
std::string machine() {
    std::ifstream in("/etc/machine-id");
    std::string id;
    if (!(in >> id)) {
        return "unknown";
    }
    const std::string text = "npu-attention-harness " + id;
    return datasets::sha256_hex(std::as_bytes(std::span(text))).substr(0, 12);
}

std::string operating_system() {
    utsname names{};
    uname(&names);
    return fmt::format("{}, {} {} {}", value_of("/etc/os-release", "PRETTY_NAME", '='), names.sysname,
                       names.release, names.machine);
}

}  // namespace

int usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

Environment environment(int threads) {
    const reference::BlasInfo blas = reference::blas_info();
    Environment out;
    out.machine = machine();
    out.cpu = value_of("/proc/cpuinfo", "model name", ':');
    out.cores = usable_cores();
    out.threads = threads > 0 ? threads : out.cores;
    out.blas = fmt::format("{} ({})", blas.name, blas.config);
    out.blas_core_type = blas.core_type;
    out.compiler = build_compiler;
    out.flags = build_flags;
    out.build_type = build_type;
    out.commit = build_commit;
    out.version = build_version;
    out.system = operating_system();
    return out;
}

std::string utc_now() {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    gmtime_r(&now, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace harness
