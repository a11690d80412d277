#include "harness/kernel_gate/tile_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "harness/kernel_gate/tile_memory.hpp"
#include "harness/kernel_gate/tile_verdict.hpp"

namespace harness::kernel_gate {
namespace {

// What memory holds that a kernel must not read.
enum Source : std::size_t { stack, heap, around, output, padding, source_count };
using Patterns = std::array<Pattern, source_count>;

constexpr std::array<const char*, source_count> source_texts{
    "what its stack held before: it reads an uninitialised variable",
    "what the heap held before: it reads uninitialised memory",
    "what lies around its tiles: it reads outside of them",
    "what its output held before: it reads output that it has not written",
    "padded elements, which must not matter",
};

Patterns all(Pattern pattern) {
    Patterns patterns{};
    patterns.fill(pattern);
    return patterns;
}

using Bytes = std::vector<std::byte>;

// The operands of one case in memory, filled anew for every call.
class Bench {
public:
    Bench(const TileCase& one, const TileKernel& kernel) : case_(one), kernel_(kernel) {
        for (const Operand& operand : one.operands) {
            memories_.push_back(std::make_unique<TileMemory>(
                operand.name, static_cast<std::size_t>(operand.count()) * element_bytes(operand.type)));
        }
    }

    // Calls the kernel; false: it threw an exception.
    bool run(const Patterns& patterns) {
        patterns_ = patterns;
        std::array<void*, 8> pointers{};
        before_.clear();
        for (std::size_t i = 0; i < memories_.size(); ++i) {
            fill(case_.operands[i], *memories_[i], patterns);
            const std::byte* data = memories_[i]->data();
            before_.emplace_back(data, data + memories_[i]->bytes());
            pointers.at(i) = memories_[i]->data();
        }
        kernel_.reset();
        poison_heap(patterns[heap]);
        try {
            poison_stack(patterns[stack]);
            case_.call(kernel_.function, pointers.data());
        } catch (...) {
            return false;
        }
        return true;
    }

    // Writes outside tiles and into inputs.
    [[nodiscard]] std::vector<std::string> trespasses() const {
        std::vector<std::string> found;
        for (std::size_t i = 0; i < memories_.size(); ++i) {
            const TileMemory& memory = *memories_[i];
            const Operand& operand = case_.operands[i];
            if (const auto at = memory.damage(patterns_[around])) {
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
    static void fill(const Operand& operand, TileMemory& memory, const Patterns& patterns) {
        memory.fill_zones(patterns[around]);
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

// Which of the sources the results depend on.
std::vector<std::string> dependencies(Bench& bench, const std::vector<Bytes>& expected) {
    std::vector<std::string> found;
    for (std::size_t source = 0; source < source_count; ++source) {
        Patterns patterns = all(pattern_nan);
        patterns[source] = pattern_large;
        if (!bench.run(patterns) || bench.outputs() != expected) {
            found.push_back(fmt::format("its results depend on {}", source_texts[source]));
        }
    }
    if (found.empty()) {
        found.emplace_back("its results depend on memory that it was not given");
    }
    return found;
}

}  // namespace

TileFaults check_tile(const TileCase& one, const TileKernel& kernel) {
    Bench bench(one, kernel);
    if (!bench.run(all(pattern_nan))) {
        return {{"it throws an exception"}, true};
    }
    if (auto found = bench.trespasses(); !found.empty()) {
        return {std::move(found), true};
    }
    const std::vector<Bytes> first = bench.outputs();
    const Results results = bench.values();
    if (!bench.run(all(pattern_nan)) || bench.outputs() != first) {
        return {{"the same call twice gives different bits: it keeps state, or reads uninitialised memory"},
                false};
    }
    if (!bench.run(all(pattern_large))) {
        return {{"it throws an exception"}, true};
    }
    if (auto found = bench.trespasses(); !found.empty()) {
        return {std::move(found), true};
    }
    const std::vector<Bytes> second = bench.outputs();
    if (auto found = bench.unwritten(first, second); !found.empty()) {
        return {std::move(found), false};
    }
    if (second != first) {
        return {dependencies(bench, first), false};
    }
    return {judge_results(one, results), false};
}

}  // namespace harness::kernel_gate
