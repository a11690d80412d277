// Faulty kernels against the cases of a role.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "harness/kernel_gate/tile_checks.hpp"

namespace harness::kernel_gate {

template <typename Function>
std::vector<TileFaults> check_all(std::string_view role, Function* function) {
    std::vector<TileFaults> faults;
    for (const TileCase& one : tile_cases(role)) {
        faults.push_back(check_tile(one, {reinterpret_cast<void*>(function), [] {}}));
    }
    return faults;
}

// All lines of all cases.
inline std::string lines_of(const std::vector<TileFaults>& cases) {
    std::string text;
    for (const TileFaults& faults : cases) {
        for (const std::string& line : faults.lines) {
            text += line + "\n";
        }
    }
    return text;
}

template <typename Function>
std::string complaints(std::string_view role, Function* function) {
    return lines_of(check_all(role, function));
}

// The blocks of kernels/aie2/kernels.h.
inline int blocked(int i, int j, int rows, int columns) {
    return ((i / rows) * (tile / columns) + j / columns) * rows * columns + (i % rows) * columns +
           j % columns;
}

// A kernel with one fault, or none.
struct Planted {
    const char* name;
    std::string_view role;
    void* function;
    std::string_view seen_by;  // how the name of a case begins that fails; empty: none may
};

inline void PrintTo(const Planted& planted, std::ostream* out) {
    *out << planted.role << ", " << planted.name;
}

template <typename Function>
Planted plant(const char* name, std::string_view role, Function* function, std::string_view seen_by) {
    return {name, role, reinterpret_cast<void*>(function), seen_by};
}

inline void expect_seen(const Planted& planted) {
    bool seen = false;
    std::string all;
    for (const TileCase& one : tile_cases(planted.role)) {
        const TileFaults faults = check_tile(one, {planted.function, [] {}});
        seen = seen || (!faults.lines.empty() && one.name.starts_with(planted.seen_by));
        all += faults.lines.empty() ? "" : one.name + ": " + faults.lines.front() + "\n";
    }
    EXPECT_EQ(seen, !planted.seen_by.empty()) << all;
    EXPECT_EQ(all.empty(), planted.seen_by.empty()) << all;
}

inline std::string name_of(const testing::TestParamInfo<Planted>& info) {
    std::string text = std::string(info.param.role) + "_" + info.param.name;
    std::ranges::replace(text, ' ', '_');
    return text;
}

}  // namespace harness::kernel_gate
