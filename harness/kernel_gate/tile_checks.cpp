#include "harness/kernel_gate/tile_checks.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>

#include "harness/kernel_gate/tile_memory.hpp"
#include "harness/kernel_gate/tile_verdict.hpp"

namespace harness::kernel_gate {
namespace {

// What memory holds that a kernel must not read, and the mode that it must not take over: one of two.
enum Source : std::size_t { stack, heap, around, output, padding, mode, source_count };
using Patterns = std::array<Pattern, source_count>;

constexpr const char* keeps_state = "the same call gives other bits after more calls: it keeps state";
constexpr unsigned conv_even = 12;  // of aie::rounding_mode; floor, its other mode here, is that of a reset

constexpr std::array<const char*, source_count> source_texts{
    "what its stack held before: it reads an uninitialised variable",
    "what the heap held before: it reads uninitialised memory",
    "what lies around its tiles: it reads outside of them",
    "what its output held before: it reads output that it has not written",
    "padded elements, which must not matter",
    "the rounding mode before the call: it does not set the one it needs",
};

Patterns all(Pattern pattern) {
    Patterns patterns{};
    patterns.fill(pattern);
    return patterns;
}

using Bytes = std::vector<std::byte>;

// Rounding, masks and flushing of SSE; the other bits are sticky flags. As every process starts.
constexpr unsigned control_bits = 0xFFC0;
constexpr unsigned control_at_start = 0x1F80;

// Of Xilinx/aie_api aie_types.hpp, by number.
std::string rounding_name(unsigned mode) {
    constexpr std::array names{
        "floor",        "ceil",         "symmetric_floor", "symmetric_ceil", "4",         "5",       "6", "7",
        "negative_inf", "positive_inf", "symmetric_zero",  "symmetric_inf",  "conv_even", "conv_odd"};
    return mode < names.size() ? names.at(mode) : fmt::format("{}", mode);
}

// What lies around operand `index`: of its own, so that a kernel that copies does not copy one operand's
// surroundings into another's unseen. Not by the lowest bits, which rounding may change.
Pattern around_operand(Pattern pattern, std::size_t index) {
    return pattern ^ (static_cast<Pattern>(index) * 0x00040004U);
}

// What is wrong after a call beside memory. Ends processes that the kernel has forked off this one.
struct Aftermath {
    bool threw = false;
    bool started = false;           // a process
    std::vector<std::string> left;  // modes

    void look(const TileKernel& kernel, pid_t process) {
        if (getpid() != process) {
            _exit(0);
        }
        started = waitpid(-1, nullptr, WNOHANG) >= 0 || errno != ECHILD;
        const unsigned mode = kernel.rounding ? kernel.rounding() : 0;
        if (mode != 0) {
            left.push_back(
                fmt::format("it leaves rounding mode {} behind; contract: floor", rounding_name(mode)));
        }
        if ((_mm_getcsr() & control_bits) != control_at_start) {
            left.emplace_back("it changes the CPU's floating-point mode");
            _mm_setcsr(control_at_start);
        }
    }
};

// The operands of one case in memory, filled anew for every call.
class Bench {
public:
    Bench(const TileCase& one, const TileKernel& kernel) : case_(one), kernel_(kernel) {
        for (const Operand& operand : one.operands) {
            memories_.push_back(std::make_unique<TileMemory>(
                operand.name, static_cast<std::size_t>(operand.count()) * element_bytes(operand.type)));
        }
    }

    Aftermath run(const Patterns& patterns) {
        patterns_ = patterns;
        std::array<void*, 8> pointers{};
        before_.clear();
        for (std::size_t i = 0; i < memories_.size(); ++i) {
            fill(i, patterns);
            const std::byte* data = memories_[i]->data();
            before_.emplace_back(data, data + memories_[i]->bytes());
            pointers.at(i) = memories_[i]->data();
        }
        kernel_.reset();
        if (kernel_.set_rounding && patterns[mode] != pattern_nan) {
            kernel_.set_rounding(conv_even);
        }
        const pid_t process = getpid();
        Aftermath aftermath;
        poison_heap(patterns[heap]);
        try {
            poison_stack(patterns[stack]);
            case_.call(kernel_.function, pointers.data());
        } catch (...) {
            aftermath.threw = true;
        }
        aftermath.look(kernel_, process);
        return aftermath;
    }

    // Writes outside tiles and into inputs.
    [[nodiscard]] std::vector<std::string> trespasses() const {
        std::vector<std::string> found;
        for (std::size_t i = 0; i < memories_.size(); ++i) {
            const TileMemory& memory = *memories_[i];
            const Operand& operand = case_.operands[i];
            if (const auto at = memory.damage(around_operand(patterns_[around], i))) {
                found.push_back(describe_outside(operand, *at));
            }
            const bool changed = std::memcmp(memory.data(), before_[i].data(), memory.bytes()) != 0;
            if (operand.use == Use::in && changed) {
                found.push_back(fmt::format("it changes its input {}", operand.name));
            }
        }
        return found;
    }

    // The bytes of every operand that is written.
    [[nodiscard]] std::vector<Bytes> outputs() const {
        std::vector<Bytes> out;
        for (std::size_t i = 0; i < memories_.size(); ++i) {
            if (case_.operands[i].use != Use::in) {
                const std::byte* data = memories_[i]->data();
                out.emplace_back(data, data + memories_[i]->bytes());
            }
        }
        return out;
    }

    [[nodiscard]] Difference difference(const Bench& other) const {
        Difference out;
        const Results own_values = values();
        const Results other_values = other.values();
        for (std::size_t i = 0; i < memories_.size(); ++i) {
            const std::size_t count = case_.operands[i].use == Use::in ? 0 : own_values[i].size();
            out.elements += static_cast<int>(count);
            for (std::size_t e = 0; e < count; ++e) {
                const double a = own_values[i][e];
                const double b = other_values[i][e];
                const bool same =
                    a == b ? std::signbit(a) == std::signbit(b) : std::isnan(a) && std::isnan(b);
                out.differing += same ? 0 : 1;
            }
        }
        return out;
    }

    [[nodiscard]] Results values() const {
        Results out;
        for (std::size_t i = 0; i < memories_.size(); ++i) {
            out.push_back(decode(case_.operands[i], memories_[i]->data()));
        }
        return out;
    }

    // Elements that no call has written: they hold the pattern of each.
    [[nodiscard]] std::vector<std::string> unwritten(const std::vector<Bytes>& first,
                                                     const std::vector<Bytes>& second) const {
        std::vector<std::string> found;
        std::size_t index = 0;
        for (std::size_t i = 0; i < memories_.size(); ++i) {
            const Operand& operand = case_.operands[i];
            if (operand.use == Use::in) {
                continue;
            }
            const std::vector<bool> a = holds_pattern(operand, first[index].data(), pattern_nan);
            const std::vector<bool> b = holds_pattern(operand, second[index].data(), pattern_large);
            ++index;
            if (operand.use == Use::out) {
                Elements untouched(operand);
                for (std::size_t e = 0; e < a.size(); ++e) {
                    untouched.add(e, a[e] && b[e]);
                }
                if (untouched.count() > 0) {
                    found.push_back("it leaves unwritten " + untouched.text());
                }
            }
        }
        return found;
    }

private:
    void fill(std::size_t index, const Patterns& patterns) {
        const Operand& operand = case_.operands[index];
        TileMemory& memory = *memories_[index];
        memory.fill_zones(around_operand(patterns[around], index));
        memory.fill_data(patterns[operand.use == Use::out ? output : padding]);
        if (operand.use != Use::out) {
            encode(operand, memory.data());
        }
    }

    static std::string describe_outside(const Operand& operand, std::ptrdiff_t at) {
        const auto size = static_cast<std::ptrdiff_t>(element_bytes(operand.type));
        const std::ptrdiff_t element = at < 0 ? (at - size + 1) / size : at / size;
        return at < 0 ? fmt::format("it writes outside its tile: element {} of {}, before its start", element,
                                    operand.name)
                      : fmt::format("it writes outside its tile: element {} of {}, which has {}", element,
                                    operand.name, operand.count());
    }

    const TileCase& case_;
    const TileKernel& kernel_;
    std::vector<std::unique_ptr<TileMemory>> memories_;
    Patterns patterns_{};
    std::vector<Bytes> before_;
};

// Which of the sources the results depend on. A difference that does not come back, or comes without the
// source, is one between calls.
std::vector<std::string> dependencies(Bench& bench, const std::vector<Bytes>& expected) {
    const auto differs = [&](const Patterns& patterns) {
        return bench.run(patterns).threw || bench.outputs() != expected;
    };
    const auto depends = [&](const Patterns& patterns) {
        return !differs(all(pattern_nan)) && differs(patterns);
    };
    std::vector<std::string> found;
    for (std::size_t source = 0; source < source_count; ++source) {
        Patterns patterns = all(pattern_nan);
        patterns[source] = pattern_large;
        if (!differs(patterns)) {
            continue;
        }
        if (!depends(patterns)) {
            return {keeps_state};
        }
        found.push_back(fmt::format("its results depend on {}", source_texts[source]));
    }
    if (found.empty()) {
        found.emplace_back(depends(all(pattern_large)) ? "its results depend on memory that it was not given"
                                                       : keeps_state);
    }
    return found;
}

// What forbids to look at results: the first that applies.
std::optional<TileFaults> unsafe_faults(const Bench& bench, const Aftermath& aftermath) {
    if (aftermath.started) {
        return TileFaults{{"it starts a process"}, true};
    }
    if (aftermath.threw) {
        return TileFaults{{"it throws an exception"}, true};
    }
    if (auto found = bench.trespasses(); !found.empty()) {
        return TileFaults{std::move(found), true};
    }
    return std::nullopt;
}

}  // namespace

TileFaults check_tile(const TileCase& one, const TileKernel& kernel) {
    Bench bench(one, kernel);
    const Aftermath first_call = bench.run(all(pattern_nan));
    if (auto faults = unsafe_faults(bench, first_call)) {
        return *faults;
    }
    const std::vector<Bytes> first = bench.outputs();
    const Results results = bench.values();
    if (auto faults = unsafe_faults(bench, bench.run(all(pattern_nan)))) {
        return *faults;
    }
    if (bench.outputs() != first) {
        return {{"the same call twice gives different bits: it keeps state, or reads uninitialised memory"},
                false};
    }
    if (auto faults = unsafe_faults(bench, bench.run(all(pattern_large)))) {
        return *faults;
    }
    const std::vector<Bytes> second = bench.outputs();
    if (auto found = bench.unwritten(first, second); !found.empty()) {
        return {std::move(found), false};
    }
    if (second != first) {
        return {dependencies(bench, first), false};
    }
    TileFaults faults{judge_results(one, results), false};
    faults.lines.insert(faults.lines.begin(), first_call.left.begin(), first_call.left.end());
    return faults;
}

Difference difference(const TileCase& one, const TileKernel& kernel, const TileKernel& other) {
    Bench bench(one, kernel);
    Bench other_bench(one, other);
    bench.run(all(pattern_nan));
    other_bench.run(all(pattern_nan));
    return bench.difference(other_bench);
}

}  // namespace harness::kernel_gate
