// Memory around a tile in which every stray access shows: a zone with a known pattern on either side, and
// pages beyond it that may not be touched. And patterns for what a kernel must not read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/kernel_gate/sandbox.hpp"

namespace harness::kernel_gate {

// Of 32 bits; as bf16 and as fp32 both a NaN, or both a large number.
using Pattern = std::uint32_t;
inline constexpr Pattern pattern_nan = 0x7FA57FA5;
inline constexpr Pattern pattern_large = 0x47124712;

class TileMemory {
public:
    // `data()` is aligned to 64 bytes and to no more.
    TileMemory(std::string name, std::size_t bytes);
    TileMemory(const TileMemory&) = delete;
    TileMemory& operator=(const TileMemory&) = delete;
    ~TileMemory();

    [[nodiscard]] std::byte* data() const { return data_; }
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] const std::string& name() const { return name_; }

    void fill_zones(Pattern pattern);
    void fill_data(Pattern pattern);

    // Where the zones no longer hold `pattern`: bytes from the start of the data to the nearest damage, which
    // is negative before it and at least bytes() behind it.
    [[nodiscard]] std::optional<std::ptrdiff_t> damage(Pattern pattern) const;

private:
    void fill(std::byte* from, std::size_t count, Pattern pattern) const;

    std::string name_;
    std::size_t bytes_;
    std::byte* mapping_;
    std::size_t mapped_;
    std::byte* zones_;  // the accessible part
    std::size_t accessible_;
    std::byte* data_;
};

// Fills what malloc and operator new will hand out next, and the stack below the caller's frame.
void poison_heap(Pattern pattern);
void poison_stack(Pattern pattern);

// From now on a crash of this process sends a hint about the address first: a null pointer, or how far from
// which tile memory.
void report_faults(const Reporter& reporter);

}  // namespace harness::kernel_gate
