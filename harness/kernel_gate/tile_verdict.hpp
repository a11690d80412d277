// The results of a tile kernel in numbers: from memory to values, and values against what was expected.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "harness/kernel_gate/tile_case.hpp"
#include "harness/kernel_gate/tile_memory.hpp"

namespace harness::kernel_gate {

std::size_t element_bytes(Type type);

// The values of an operand, [rows, columns], to and from its layout in memory. Padding is left as it is.
void encode(const Operand& operand, std::byte* memory);
std::vector<double> decode(const Operand& operand, const std::byte* memory);

// For every element of the operand, whether its bits in memory are those of the pattern.
std::vector<bool> holds_pattern(const Operand& operand, const std::byte* memory, Pattern pattern);

// A set of elements of one operand, and where they lie.
class Elements {
public:
    explicit Elements(const Operand& operand) : operand_(operand) {}

    void add(std::size_t element, bool belongs);
    [[nodiscard]] int count() const { return count_; }

    // E.g. "64 of 4096 elements of c (row 63, columns 0-63)".
    [[nodiscard]] std::string text() const;

private:
    const Operand& operand_;
    int count_ = 0;
    int first_row_ = 0, last_row_ = 0, first_column_ = 0, last_column_ = 0;
};

// What is wrong with the results, a line each; empty: nothing.
std::vector<std::string> judge_results(const TileCase& one, const Results& results);

}  // namespace harness::kernel_gate
