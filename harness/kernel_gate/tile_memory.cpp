#include "harness/kernel_gate/tile_memory.hpp"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace harness::kernel_gate {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t zone = 4 * page;
constexpr std::size_t forbidden = 64 * page;
constexpr std::size_t offset_in_page = 64;

// Memories by address, for the handler of faults.
struct Known {
    const char* name;
    const std::byte* data;
    std::size_t bytes;
};
std::array<Known, 16> known{};
Reporter fault_reporter(-1);

void handle_fault(int number, siginfo_t* info, void*) {
    std::array<char, 200> text{};
    const auto* address = static_cast<const std::byte*>(info->si_addr);
    const auto value = reinterpret_cast<std::uintptr_t>(address);
    if (value < page) {
        std::snprintf(text.data(), text.size(), "it used a null pointer");
    }
    for (const Known& memory : known) {
        if (memory.data == nullptr || number != SIGSEGV) {
            continue;
        }
        const std::ptrdiff_t distance = address - memory.data;
        const auto reach = static_cast<std::ptrdiff_t>(zone + forbidden);
        const auto bytes = static_cast<std::ptrdiff_t>(memory.bytes);
        if (distance >= bytes && distance < bytes + reach) {
            std::snprintf(text.data(), text.size(), "it touched memory %td bytes past the end of %s",
                          distance - bytes, memory.name);
        } else if (distance < 0 && distance >= -reach) {
            std::snprintf(text.data(), text.size(), "it touched memory %td bytes before %s", -distance,
                          memory.name);
        }
    }
    if (text[0] != '\0') {
        fault_reporter.send(Message::Kind::hint, text.data());
    }
    std::signal(number, SIG_DFL);
    std::raise(number);
}

}  // namespace

TileMemory::TileMemory(std::string name, std::size_t bytes) : name_(std::move(name)), bytes_(bytes) {
    accessible_ = (offset_in_page + bytes + 2 * zone + page - 1) / page * page;
    mapped_ = accessible_ + 2 * forbidden;
    void* mapping = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) {
        throw std::runtime_error("out of memory for the tiles of a kernel");
    }
    mapping_ = static_cast<std::byte*>(mapping);
    zones_ = mapping_ + forbidden;
    data_ = zones_ + zone + offset_in_page;
    mprotect(zones_, accessible_, PROT_READ | PROT_WRITE);
    const auto free = std::ranges::find(known, nullptr, &Known::data);
    if (free != known.end()) {
        *free = {name_.c_str(), data_, bytes_};
    }
}

TileMemory::~TileMemory() {
    const auto own = std::ranges::find(known, data_, &Known::data);
    if (own != known.end()) {
        *own = {};
    }
    munmap(mapping_, mapped_);
}

void TileMemory::fill(std::byte* from, std::size_t count, Pattern pattern) const {
    // By position in the accessible part, so that neighbouring fills continue each other.
    for (std::size_t i = 0; i < count; ++i) {
        const auto position = static_cast<std::size_t>(from + i - zones_);
        from[i] = static_cast<std::byte>(pattern >> (8 * (position % sizeof pattern)));
    }
}

void TileMemory::fill_zones(Pattern pattern) {
    fill(zones_, static_cast<std::size_t>(data_ - zones_), pattern);
    std::byte* behind = data_ + bytes_;
    fill(behind, static_cast<std::size_t>(zones_ + accessible_ - behind), pattern);
}

void TileMemory::fill_data(Pattern pattern) {
    fill(data_, bytes_, pattern);
}

std::optional<std::ptrdiff_t> TileMemory::damage(Pattern pattern) const {
    const auto intact = [&](const std::byte* at) {
        const auto position = static_cast<std::size_t>(at - zones_);
        return *at == static_cast<std::byte>(pattern >> (8 * (position % sizeof pattern)));
    };
    for (const std::byte* at = data_ + bytes_; at < zones_ + accessible_; ++at) {
        if (!intact(at)) {
            return at - data_;
        }
    }
    for (const std::byte* at = data_ - 1; at >= zones_; --at) {
        if (!intact(at)) {
            return at - data_;
        }
    }
    return std::nullopt;
}

void poison_heap(Pattern pattern) {
    // Small blocks come from per-thread caches of up to 7, most recently freed first; glibc itself fills the
    // others.
    constexpr std::size_t cached = 7;
    for (std::size_t bytes = 24; bytes <= 1032; bytes += 16) {
        std::array<void*, cached> blocks{};
        for (void*& block : blocks) {
            block = std::malloc(bytes);
            if (block != nullptr) {
                for (std::size_t i = 0; i + sizeof pattern <= bytes; i += sizeof pattern) {
                    std::memcpy(static_cast<char*>(block) + i, &pattern, sizeof pattern);
                }
                asm volatile("" : : "r"(block) : "memory");
            }
        }
        std::ranges::for_each(blocks, [](void* block) { std::free(block); });
    }
    mallopt(M_PERTURB, static_cast<int>(~(pattern >> 24U) & 0xFFU));
}

[[gnu::noinline]] void poison_stack(Pattern pattern) {
    std::array<Pattern, 128 * 1024 / sizeof(Pattern)> below;
    below.fill(pattern);
    asm volatile("" : : "r"(below.data()) : "memory");
}

void report_faults(const Reporter& reporter) {
    fault_reporter = reporter;
    // A kernel that has used up the stack crashes as well: the handler needs another.
    static std::array<std::byte, 64 * 1024> stack;
    stack_t alternate{};
    alternate.ss_sp = stack.data();
    alternate.ss_size = stack.size();
    sigaltstack(&alternate, nullptr);
    struct sigaction action {};
    action.sa_sigaction = handle_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (const int number : {SIGSEGV, SIGBUS}) {
        sigaction(number, &action, nullptr);
    }
}

}  // namespace harness::kernel_gate
